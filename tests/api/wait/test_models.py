"""The spec and the result of a wait, as JSON between a task and its trigger: an invalid event never counts as a success."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ErrorDetail, ITwinInputError, ITwinServerError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import (
    Job,
    Run,
    Task,
    TaskError,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")
SPEC = WaitSpec(REF.kind, REF.connection_id, REF.run_id, deadline=1e9, began=5.0)
RUN = Run(
    state="Completed",
    result="Error",
    jobs=[Job(connector_type="DWG", tasks=[Task(result="Error", error=TaskError(error_code="TAE", message="oops"))])],
)
FINISHED = WaitResult(SPEC, WaitEnd.FINISHED, REF, "Completed", RUN, elapsed=1500.5, polls=80)
MEMO = {"asked_at": 1.5, "own": None, "list": [1, "two"]}


def event(**changes: Any) -> dict[str, Any]:
    return FINISHED.as_event(MEMO) | changes


def only_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and only_plain(entry) for key, entry in value.items())
    if type(value) is list:
        return all(map(only_plain, value))
    return value is None or type(value) in (str, int, float, bool)


NEWEST = WaitSpec(ConnectionKind.STORAGE, "c1", started_after="2026-01-01")

RESULTS = [
    FINISHED,
    WaitResult(SPEC, WaitEnd.DEADLINE, REF, "Executing", elapsed=3600.0, polls=3),
    WaitResult(NEWEST, WaitEnd.DEADLINE, None, elapsed=3600.0, polls=3),
    WaitResult(SPEC, WaitEnd.REFUSED, REF, error=ITwinServerError("It failed", status=500)),
    WaitResult(NEWEST, WaitEnd.OUTAGE, None, error=ITwinServerError("It failed", status=500)),
    WaitResult(SPEC, WaitEnd.UNSEEN, REF, "Queued"),
]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("memo", [None, MEMO])
def test_a_result_is_read_from_its_event(result: WaitResult, memo: Any) -> None:
    sent = result.as_event(memo)

    assert only_plain(sent), "Airflow takes plain JSON values only"
    read = WaitResult.from_event(json.loads(json.dumps(sent)))

    assert (read.end, read.ref, read.state) == (result.end, result.ref, result.state)
    assert (read.spec, read.memo) == (result.spec, memo)
    assert (read.elapsed, read.polls) == (result.elapsed, result.polls)
    assert (read.error and str(read.error)) == (result.error and str(result.error))
    assert read.report == (RunReport.of(REF, RUN) if result.run else None)
    assert read.run is None, "the whole run stays in the process that polled it"


def test_an_event_of_a_wait_that_continues_is_invalid() -> None:
    going_on = WaitResult(SPEC, None, REF, "Executing").as_event()

    with pytest.raises(ValueError, match="is invalid"):
        WaitResult.from_event(going_on)


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
def test_a_finished_event_with_an_invalid_member_is_refused(changes: dict[str, Any]) -> None:
    WaitResult.from_event(event())

    with pytest.raises(ValueError, match="The trigger's event"):
        WaitResult.from_event(event(**changes))


def test_the_report_of_another_run_is_refused() -> None:
    other = RunReport.of(RunRef(ConnectionKind.STORAGE, "c1", "another"), RUN)

    with pytest.raises(ValueError, match="contradicts itself"):
        WaitResult.from_event(event(report=other.as_dict()))


DECIDING = ("end", "spec", "ref", "report")


@pytest.mark.parametrize("missing", sorted(event()))
def test_an_event_needs_only_what_decides(missing: str) -> None:
    sent = event()
    del sent[missing]

    if missing in DECIDING:
        with pytest.raises(ValueError, match="is invalid"):
            WaitResult.from_event(sent)
    else:
        read = WaitResult.from_event(sent)
        assert (read.end, read.report) == (WaitEnd.FINISHED, WaitResult.from_event(event()).report)


@pytest.mark.parametrize("missing", sorted(event()["report"]))
def test_a_report_needs_only_what_decides(missing: str) -> None:
    sent = event()
    sent["report"] = {name: value for name, value in sent["report"].items() if name != missing}

    if missing in ("ref", "result", "totals"):
        with pytest.raises(ValueError, match="is invalid"):
            WaitResult.from_event(sent)
    else:
        assert WaitResult.from_event(sent).end is WaitEnd.FINISHED


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, True, None, [1]])
def test_an_event_of_an_invalid_version_is_refused(version: Any) -> None:
    with pytest.raises(ValueError, match="invalid"):
        WaitResult.from_event(event() | {"version": version})


def test_an_event_of_a_newer_version_names_both_versions_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"has version 2, but airflow-provider-itwin .* reads versions up to 1 only"):
        WaitResult.from_event(event() | {"version": 2, "report": "in a form of its own"})


PARTS = ("totals", "failing_tasks", "more_failing_tasks", "result", "duration", "error", "ref")
WRONG: tuple[Any, ...] = ({"x": object}, "text", [[]], 1.5, True)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (part, value)
        for part in PARTS
        for value in WRONG
        if (part, value) not in (("result", "text"), ("duration", 1.5), ("error", {"x": object}))
    ],
)
def test_a_report_with_a_member_of_another_type_is_refused(part: str, value: Any) -> None:
    sent = event()
    sent["report"] = sent["report"] | {part: value}

    with pytest.raises(ValueError, match="The trigger's event"):
        WaitResult.from_event(sent)


@pytest.mark.parametrize(
    "value", [None, True, 1, "", "finished", [], ["finished"], {}, {"status": "success"}, object(), b"{}"]
)
def test_a_value_that_is_no_event_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="The trigger's event"):
        WaitResult.from_event(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_a_changed_event_is_refused_or_read_as_the_same_run(data: st.DataObject) -> None:
    sent: Any = json.loads(json.dumps(event()))
    target, key = sent, data.draw(st.sampled_from(sorted(sent)))
    for _ in range(data.draw(st.integers(0, 3))):
        if isinstance(target[key], dict) and target[key]:
            target, key = target[key], data.draw(st.sampled_from(sorted(target[key])))
    target[key] = data.draw(_JSON)

    try:
        read = WaitResult.from_event(sent)
    except ValueError:
        return
    assert read.report is not None
    assert read.ref == read.report.ref == REF
    assert isinstance(read.report.text("x"), str)
    assert isinstance(read.report.summary, str)


@given(_JSON)
def test_any_other_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="The trigger's event"):
        WaitResult.from_event(value)


def test_a_very_deep_event_is_refused() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]

    with pytest.raises((ValueError, RecursionError)):
        WaitResult.from_event(event(end=deep))


@pytest.mark.parametrize("message", ["m" * 600, "ü" * 600, "図" * 600, "😀" * 600, '"\\' * 300])
def test_an_event_with_a_long_error_is_small(message: str) -> None:
    details = tuple(ErrorDetail(message, message, message) for _ in range(20))
    error = ITwinServerError("It failed", code=message, message=message, details=details)

    sent = WaitResult(SPEC, WaitEnd.OUTAGE, REF, "😀" * 500, error=error).as_event({"x": "y" * 800})

    assert len(json.dumps(sent)) <= 16 * 1024
    assert sent["error"].startswith("It failed. The service returned ")
    assert sent["error"].endswith("…")


@pytest.mark.parametrize(
    ("changes", "message"),
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
def test_an_invalid_spec_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WaitSpec.from_dict({"kind": "storage", "connection_id": "c1", "run_id": "r1"} | changes)


def test_a_spec_is_restored_from_json() -> None:
    stored = SPEC.as_dict()

    assert only_plain(stored)
    assert WaitSpec.from_dict(json.loads(json.dumps(stored))) == SPEC


def test_unknown_members_of_a_stored_spec_are_ignored() -> None:
    assert WaitSpec.from_dict(SPEC.as_dict() | {"added_later": 5}) == SPEC


def test_a_spec_is_also_read_from_itself() -> None:
    assert WaitSpec.from_dict(SPEC) is SPEC


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "needs a mapping of parameters, not None"),
        ("storage", "needs a mapping of parameters, not 'storage'"),
        ([], "needs a mapping of parameters"),
        ({}, "are incomplete"),
        ({"kind": "storage"}, "are incomplete: .*connection_id"),
    ],
)
def test_a_stored_spec_that_is_no_mapping_or_incomplete_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ITwinInputError, match=message):
        WaitSpec.from_dict(values)


def test_the_spec_for_a_run_has_its_reference_and_the_other_parameters() -> None:
    assert WaitSpec.for_run(REF, deadline=1e9, began=5.0) == SPEC


def test_the_target_of_a_spec_names_the_run_or_the_connection() -> None:
    newest = WaitSpec(ConnectionKind.EXPORT, "c1", started_after="2026-01-01T00:00:00Z")

    assert SPEC.target == "run r1 of storage connection c1"
    assert SPEC.ref == REF
    assert newest.target == "a run of export connection c1 that began at or after 2026-01-01T00:00:00Z"
    assert newest.ref is None


def test_a_spec_matches_its_run_or_any_run_of_its_connection() -> None:
    assert SPEC.matches(REF)
    assert NEWEST.matches(REF)
    for other in (
        RunRef(ConnectionKind.MANIFEST, "c1", "r1"),
        RunRef(ConnectionKind.STORAGE, "c2", "r1"),
    ):
        assert not SPEC.matches(other)
        assert not NEWEST.matches(other)
    assert not SPEC.matches(RunRef(ConnectionKind.STORAGE, "c1", "r2"))
