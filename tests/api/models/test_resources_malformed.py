"""Bodies with surprises: what can be understood is kept, and what cannot is one kind of error and no other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.models import resources
from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.resources import (
    ConnectionEnvelope,
    ConnectionPage,
    Run,
    RunEnvelope,
    RunPage,
    RunSummary,
    RunSummaryEnvelope,
    SourceFilePage,
    decoded,
)
from tests.api.responses import DATA

SHAPES: list[type[Any]] = [RunEnvelope, RunSummaryEnvelope, ConnectionEnvelope, RunPage, SourceFilePage, ConnectionPage]
DOCUMENTED = json.loads((DATA / "get-storage-connection-run.200.json").read_bytes())
WRONG: list[Any] = [None, True, 5, 1.5, "text", [], [1], {}, {"x": 1}, [[None]], [{}]]


def run_of(body: Any) -> Run:
    return decoded(json.dumps(body).encode(), RunEnvelope).run


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in entries for place in paths(entry, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Give a copy of a JSON value with something else in one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


INNER = [path for path in paths(DOCUMENTED) if len(path) > 1]


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in texts(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in texts(entry)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", INNER, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_type_anywhere_keeps_its_neighbours(path: tuple[Any, ...], wrong: Any) -> None:
    run = run_of(changed(DOCUMENTED, path, wrong))

    kept = json.loads(msgspec.json.encode(run))
    expected = texts(changed(DOCUMENTED, path, None)["run"])
    assert set(expected) <= set(texts(kept))
    assert run.start_date_time is None or run.start_date_time.tzinfo is not None


@pytest.mark.parametrize("path", INNER, ids=lambda path: ".".join(map(str, path)))
def test_null_anywhere_is_as_good_as_absent(path: tuple[Any, ...]) -> None:
    def without(value: Any, path: tuple[Any, ...]) -> Any:
        copy = dict(value) if isinstance(value, dict) else list(value)
        if len(path) == 1:
            del copy[path[0]]
        else:
            copy[path[0]] = without(copy[path[0]], path[1:])
        return copy

    assert run_of(changed(DOCUMENTED, path, None)) == run_of(without(DOCUMENTED, path))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"run":{"id":"r',
        b"<html></html>",
        b"nothing",
        b"\xff\xfe",
        b"\x00",
        b'{"run":{}} trailing',
        b'{"run":' + b"[" * 100_000,
        b'{"run":' + b'{"a":' * 100_000,
        b'{"run":{"id":' + b"9" * 10_000 + b"}}",
        b'{"run":{"id":1e999}}',
        b'{"run":{"id":NaN}}',
        b'{"run":{"id":"\\ud800"}}',
        b'{"run":{"id":"\\q"}}',
        b'{"run":{"id":"a\nb"}}',
    ],
    ids=lambda body: repr(body[:24]) if isinstance(body, bytes) else None,
)
def test_what_is_no_json_is_an_error_of_the_protocol_or_nothing(shape: type[Any], body: bytes) -> None:
    errors = []
    try:
        decoded(body, shape)
    except ITwinProtocolError as error:
        errors.append(error)

    assert all(error.transient and len(str(error)) < 500 for error in errors)
    assert errors or body.startswith(b'{"run":{"id":') or shape not in (RunEnvelope, ConnectionEnvelope)


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"run"', b"true", b'["run"]', b"[{}]"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_no_object_is_an_error_of_the_protocol(shape: type[Any], body: bytes) -> None:
    with pytest.raises(ITwinProtocolError, match="without the expected content"):
        decoded(body, shape)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"run":null}', b'{"run":[]}', b'{"run":5}', b'{"Run":{}}', b'{"error":{"code":"x"}}']
)
def test_what_should_be_a_run_and_is_none(body: bytes) -> None:
    for shape in (RunEnvelope, RunSummaryEnvelope):
        with pytest.raises(ITwinProtocolError, match=r"\(run\)"):
            decoded(body, shape)


def test_nearly_numbers_are_numbers() -> None:
    run = run_of(
        {
            "run": {
                "jobs": [{"tasks": [{"retryAttempts": "2", "error": {"bridgeExitCode": -1.0, "canUserFix": "true"}}]}]
            }
        }
    )

    assert run.jobs is not None
    assert run.jobs[0].tasks is not None
    task = run.jobs[0].tasks[0]
    assert task.retry_attempts == 2
    assert task.error is not None
    assert (task.error.bridge_exit_code, task.error.can_user_fix) == (-1, True)


def test_bytes_that_are_no_text_cost_a_letter_and_not_the_run() -> None:
    body = b'{"run":{"id":"r1","state":"Completed","error":{"description":"Gr\xfc\xdfe"},"jobs":[{"tasks":[{}]}]}}'

    run = decoded(body, RunEnvelope).run

    assert run.is_finished
    assert run.error is not None
    assert run.error.description == "Gr\ufffd\ufffde"
    assert run.jobs is not None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\udE00", "\ufffd"),
        (rb"cut \ud83d here", "cut \ufffd here"),
        (rb"\uD83D\uDE00\uDE00", "\U0001f600\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\n", "\ufffd\n"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (b"\xfc\\ud83d", "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("place", ["read", "passed over", "as a name", "beside a wrong type"])
def test_half_a_surrogate_pair_costs_a_letter_and_not_the_run(written: bytes, read: str, place: str) -> None:
    before = {
        "read": b"",
        "passed over": b'"more":"' + written + b'",',
        "as a name": b'"' + written + b'":1,',
        "beside a wrong type": b'"phase":[],',
    }[place]
    body = b'{"run":{' + before + b'"id":"r1","state":"Completed","error":{"description":"' + written + b'"}}}'

    run = decoded(body, RunEnvelope).run

    assert (run.id, run.state) == ("r1", "Completed")
    assert run.error is not None
    assert run.error.description == read
    assert decoded(body, RunSummaryEnvelope).run.is_finished


def test_entries_of_a_list_that_are_none_are_passed_over() -> None:
    page = decoded(b'{"runs":[null,5,{"id":"r1"},[],"x",{"id":7},{"id":"r2"}]}', RunPage)

    assert page.runs is not None
    assert [run.id for run in page.runs] == ["r1", None, "r2"]


_NAMES = [
    "id",
    "state",
    "result",
    "jobs",
    "tasks",
    "error",
    "details",
    "synchronizationReport",
    "_links",
    "next",
    "href",
    "lastRun",
    "startDateTime",
    "bridgeExitCode",
    "canUserFix",
    "totalErrorsCount",
]
_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
"""Halves of surrogate pairs, too."""
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_NAMES) | _ANY_TEXT,
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


def check(body: bytes, shape: type[Any]) -> None:
    try:
        value = decoded(body, shape)
    except ITwinProtocolError:
        return
    assert isinstance(value, shape)
    assert isinstance(repr(value), str)
    msgspec.json.encode(value)
    _check_types(value)


def _check_types(value: Any) -> None:
    """See that every field holds what its type says, so that nobody downstream is surprised."""
    assert msgspec.convert(msgspec.to_builtins(value), type(value)) == value


@given(st.binary(max_size=60), st.sampled_from(SHAPES))
def test_no_bytes_confuse(body: bytes, shape: type[Any]) -> None:
    check(body, shape)


@given(_JSON, st.sampled_from(SHAPES))
def test_no_json_confuses(value: Any, shape: type[Any]) -> None:
    check(json.dumps(value).encode(), shape)


@given(_JSON)
def test_no_json_in_the_place_of_a_run_confuses(value: Any) -> None:
    for shape, name in (
        (RunEnvelope, "run"),
        (ConnectionEnvelope, "connection"),
        (RunPage, "runs"),
        (SourceFilePage, "sourceFiles"),
    ):
        check(json.dumps({name: value}).encode(), shape)


@given(st.sampled_from(INNER), _JSON)
def test_no_json_in_the_midst_of_a_run_confuses(path: tuple[Any, ...], value: Any) -> None:
    check(json.dumps(changed(DOCUMENTED, path, value)).encode(), RunEnvelope)


@given(_JSON)
def test_a_poll_and_the_whole_agree(value: Any) -> None:
    body = json.dumps({"run": value}).encode()
    try:
        run = decoded(body, RunEnvelope).run
    except ITwinProtocolError:
        with pytest.raises(ITwinProtocolError):
            decoded(body, RunSummaryEnvelope)
        return
    summary = decoded(body, RunSummaryEnvelope).run
    assert summary == RunSummary(
        **{name: getattr(run, name) for name in ("start_text", "end_text", "id", "state", "result")}
    )


@given(st.text())
def test_no_date_confuses(text: str) -> None:
    moment = read_moment(text)

    assert moment is None or moment.utcoffset() is not None


@given(st.datetimes(timezones=st.timezones()))
def test_dates_keep_their_moment(moment: Any) -> None:
    read = read_moment(moment.isoformat())

    assert read is None or read.timestamp() == moment.timestamp()


def test_every_name_that_is_exported_is_there() -> None:
    assert all(hasattr(resources, name) for name in resources.__all__)
