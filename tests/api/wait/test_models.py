"""What a wait is for and what it ends with, on the way between a task and a trigger: nothing strange passes for ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ErrorDetail, ITwinServerError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import (
    Job,
    Run,
    Task,
    TaskError,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitEvent,
    WaitResult,
    WaitSpec,
)

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")
ORDER = WaitSpec(REF.kind, REF.connection_id, REF.run_id, deadline=1e9, began=5.0)
RUN = Run(
    state="Completed",
    result="Error",
    jobs=[Job(connector_type="DWG", tasks=[Task(result="Error", error=TaskError(error_code="TAE", message="oops"))])],
)
FINISHED = WaitResult(WaitEnd.FINISHED, REF, "Completed", RUN, elapsed=1500.5, polls=80)
MEMO = {"asked_at": 1.5, "own": None, "list": [1, "two"]}


def event(**changes: Any) -> dict[str, Any]:
    return FINISHED.as_event(ORDER, MEMO) | changes


def only_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and only_plain(entry) for key, entry in value.items())
    if type(value) is list:
        return all(map(only_plain, value))
    return value is None or type(value) in (str, int, float, bool)


OUTCOMES = [
    FINISHED,
    WaitResult(WaitEnd.DEADLINE, REF, "Executing", elapsed=3600.0, polls=3),
    WaitResult(WaitEnd.DEADLINE, None, elapsed=3600.0, polls=3),
    WaitResult(WaitEnd.REFUSED, REF, error=ITwinServerError("It failed", status=500)),
    WaitResult(WaitEnd.OUTAGE, None, error=ITwinServerError("It failed", status=500)),
    WaitResult(WaitEnd.UNSEEN, REF, "Queued"),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("memo", [None, MEMO])
def test_an_outcome_arrives_as_it_was_sent(outcome: WaitResult, memo: Any) -> None:
    spec = ORDER if outcome.ref else WaitSpec(ConnectionKind.STORAGE, "c1", started_after="2026-01-01")
    sent = outcome.as_event(spec, memo)

    assert only_plain(sent), "Airflow takes plain JSON values only"
    read = WaitEvent.read(json.loads(json.dumps(sent)))

    assert (read.end, read.ref, read.state) == (outcome.end, outcome.ref, outcome.state)
    assert (read.spec, read.memo) == (spec, memo)
    assert (read.elapsed, read.polls) == (outcome.elapsed, outcome.polls)
    assert read.error == (str(outcome.error) if outcome.error else None)
    assert (read.report is not None) == (outcome.end is WaitEnd.FINISHED)


def test_what_is_read_was_never_a_run_that_goes_on() -> None:
    going_on = WaitResult(None, REF, "Executing").as_event(ORDER)

    with pytest.raises(ValueError, match="cannot be understood"):
        WaitEvent.read(going_on)


@pytest.mark.parametrize(
    "changes",
    [
        {"end": "success"},
        {"end": None},
        {"end": 1},
        {"end": "deadline"},
        {"report": None},
        {"report": {}},
        {"report": "Success"},
        {"report": [1]},
        {"ref": None},
        {"ref": {"kind": "storage", "connection_id": "c1", "run_id": "another"}},
        {"ref": {"kind": "manifest", "connection_id": "c1", "run_id": "r1"}},
        {"ref": {"kind": "storage", "connection_id": "another", "run_id": "r1"}},
        {"ref": {"kind": "storage", "connection_id": "c1", "run_id": "a/b"}},
        {"ref": {"kind": "storage"}},
        {"ref": "storage/c1/r1"},
        {"spec": None},
        {"spec": {}},
        {"spec": {"kind": "storage", "connection_id": "c1", "run_id": "another"}},
        {"spec": {"kind": "parcel", "connection_id": "c1", "run_id": "r1"}},
        {"spec": {"kind": "storage", "connection_id": "c1", "run_id": "r1", "deadline": "soon"}},
        {"spec": {"kind": "storage", "connection_id": "c1", "run_id": "r1", "poll_interval": -1}},
        {"spec": {"kind": "storage", "connection_id": "c1"}},
        {"state": 7},
        {"state": ["Completed"]},
        {"error": {"type": "x", "text": "y"}},
        {"error": 5},
        {"elapsed": None},
        {"elapsed": "12"},
        {"elapsed": float("nan")},
        {"elapsed": float("inf")},
        {"polls": 1.5},
        {"polls": "3"},
        {"polls": float("inf")},
        {"polls": None},
        {"memo": [1]},
        {"memo": "text"},
    ],
)
def test_a_finished_event_with_anything_strange_in_it_is_refused(changes: dict[str, Any]) -> None:
    WaitEvent.read(event())

    with pytest.raises(ValueError, match="The trigger's event"):
        WaitEvent.read(event(**changes))


def test_the_report_of_another_run_is_refused() -> None:
    other = WaitResult(WaitEnd.FINISHED, RunRef(ConnectionKind.STORAGE, "c1", "another"), "Completed", RUN)

    with pytest.raises(ValueError, match="contradicts itself"):
        WaitEvent.read(event(report=other.as_event(ORDER)["report"]))


DECIDING = ("end", "spec", "ref", "report")


@pytest.mark.parametrize("missing", sorted(event()))
def test_only_what_decides_must_be_there(missing: str) -> None:
    sent = event()
    del sent[missing]

    if missing in DECIDING:
        with pytest.raises(ValueError, match="cannot be understood"):
            WaitEvent.read(sent)
    else:
        read = WaitEvent.read(sent)
        assert (read.end, read.report) == (WaitEnd.FINISHED, WaitEvent.read(event()).report)


@pytest.mark.parametrize("missing", sorted(event()["report"]))
def test_a_report_needs_only_what_decides(missing: str) -> None:
    sent = event()
    sent["report"] = {name: value for name, value in sent["report"].items() if name != missing}

    if missing in ("ref", "result", "totals"):
        with pytest.raises(ValueError, match="cannot be understood"):
            WaitEvent.read(sent)
    else:
        assert WaitEvent.read(sent).end is WaitEnd.FINISHED


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, True, None, [1]])
def test_an_event_of_an_invalid_version_is_refused(version: Any) -> None:
    with pytest.raises(ValueError, match="invalid"):
        WaitEvent.read(event() | {"version": version})


def test_an_event_of_a_newer_version_names_both_versions_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"has version 2, but airflow-provider-itwin .* reads versions up to 1 only"):
        WaitEvent.read(event() | {"version": 2, "report": "in a form of its own"})


PARTS = ("totals", "failing_tasks", "more_failing_tasks", "result", "duration", "error", "ref")
STRANGE: tuple[Any, ...] = ({"x": object}, "text", [[]], 1.5, True)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (part, value)
        for part in PARTS
        for value in STRANGE
        if (part, value) not in (("result", "text"), ("duration", 1.5), ("error", {"x": object}))
    ],
)
def test_nothing_in_the_report_may_be_of_another_type(part: str, value: Any) -> None:
    sent = event()
    sent["report"] = sent["report"] | {part: value}

    with pytest.raises(ValueError, match="The trigger's event"):
        WaitEvent.read(sent)


@pytest.mark.parametrize(
    "strange", [None, True, 1, "", "finished", [], ["finished"], {}, {"status": "success"}, object(), b"{}"]
)
def test_what_is_no_event_at_all_is_refused(strange: Any) -> None:
    with pytest.raises(ValueError, match="The trigger's event"):
        WaitEvent.read(strange)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_no_change_of_an_event_breaks_the_reader(data: st.DataObject) -> None:
    sent: Any = json.loads(json.dumps(event()))
    target, key = sent, data.draw(st.sampled_from(sorted(sent)))
    for _ in range(data.draw(st.integers(0, 3))):
        if isinstance(target[key], dict) and target[key]:
            target, key = target[key], data.draw(st.sampled_from(sorted(target[key])))
    target[key] = data.draw(_JSON)

    try:
        read = WaitEvent.read(sent)
    except ValueError:
        return
    assert read.report is not None
    assert read.ref == read.report.ref == REF
    assert isinstance(read.report.text("x"), str)
    assert isinstance(read.report.summary, str)


@given(_JSON)
def test_no_value_breaks_the_reader(value: Any) -> None:
    with pytest.raises(ValueError, match="The trigger's event"):
        WaitEvent.read(value)


def test_a_very_deep_event_does_not_break_the_reader() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]

    with pytest.raises((ValueError, RecursionError)):
        WaitEvent.read(event(end=deep))


@pytest.mark.parametrize("message", ["m" * 600, "ü" * 600, "図" * 600, "😀" * 600, '"\\' * 300])
def test_an_event_with_a_long_error_is_small(message: str) -> None:
    details = tuple(ErrorDetail(message, message, message) for _ in range(20))
    error = ITwinServerError("It failed", code=message, message=message, details=details)

    sent = WaitResult(WaitEnd.OUTAGE, REF, "😀" * 500, error=error).as_event(ORDER, {"x": "y" * 800})

    assert len(json.dumps(sent)) <= 16 * 1024
    assert sent["error"].startswith("It failed. The service said ")
    assert sent["error"].endswith("…")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "parcel"}, "parcel"),
        ({"connection_id": ""}, "connection_id"),
        ({"connection_id": None}, "connection_id"),
        ({"run_id": "a/b"}, "run_id"),
        ({"run_id": ""}, "run_id"),
        ({"run_id": None}, "started_after"),
        ({"run_id": None, "started_after": "yesterday"}, "'yesterday'"),
        ({"run_id": None, "started_after": ""}, "started_after"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": -5.0}, "poll_interval"),
        ({"poll_interval": float("nan")}, "poll_interval"),
        ({"poll_interval": float("inf")}, "poll_interval"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        WaitSpec(**{"kind": "storage", "connection_id": "c1", "run_id": "r1"} | changes)


def test_an_order_can_be_written_down() -> None:
    written = ORDER.as_dict()

    assert only_plain(written)
    assert WaitSpec(**json.loads(json.dumps(written))) == ORDER


def test_an_order_says_what_is_waited_for() -> None:
    newest = WaitSpec(ConnectionKind.EXPORT, "c1", started_after="2026-01-01T00:00:00Z")

    assert ORDER.target == "run r1 of storage connection c1"
    assert ORDER.ref == REF
    assert newest.target == "a run of export connection c1 that began at or after 2026-01-01T00:00:00Z"
    assert newest.ref is None


def test_which_runs_an_order_concerns() -> None:
    newest = WaitSpec(ConnectionKind.STORAGE, "c1", started_after="2026-01-01")

    assert ORDER.concerns(REF)
    assert newest.concerns(REF)
    for other in (
        RunRef(ConnectionKind.MANIFEST, "c1", "r1"),
        RunRef(ConnectionKind.STORAGE, "c2", "r1"),
    ):
        assert not ORDER.concerns(other)
        assert not newest.concerns(other)
    assert not ORDER.concerns(RunRef(ConnectionKind.STORAGE, "c1", "r2"))
