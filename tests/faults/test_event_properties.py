"""Any trigger event and any stored state is accepted, or rejected with an error of this package."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import RunEnvelope, decoded
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.start import Baseline, StartAttempt
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.exceptions import ITwinTriggerEventError
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.utils.task_state import TaskState, TaskStateStore
from tests.airflow.sdk import AirflowException
from tests.airflow.single_task import FakeStore, FakeTaskInstance, resumed, through_json

if TYPE_CHECKING:
    from collections.abc import Iterator

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")
SPEC = WaitSpec(REF.kind, REF.connection_id, REF.run_id, deadline=2e9, began=1.79e9)
RUN = decoded(
    b'{"run":{"id":"r1","state":"Completed","result":"Success","jobs":[{"tasks":[{"result":"Success"}]}]}}', RunEnvelope
)
STATE = TaskState(1.79e9, StartAttempt(Baseline(RunRef(REF.kind, "c1", "r0"))), REF)
EVENT: dict[str, Any] = through_json(
    WaitResult(SPEC, WaitEnd.FINISHED, REF, "Completed", RUN.run, elapsed=61.0, polls=3).as_event(STATE.as_dict())
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**400, 1e308, -1, "storage", "c1", "finished", "refused", "outage", "deadline", "unseen", "2026-01-01"]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*EVENT, *SPEC.as_dict(), *REF.as_dict(), "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every place in a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a JSON value with `new` at `path`."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


EVENTS = JSON | st.builds(lambda path, new: changed(EVENT, path, new), st.sampled_from(list(paths(EVENT))), JSON)

STORED = STATE.as_dict()
STORED_STATES = JSON | st.builds(
    lambda path, new: changed(STORED, path, new), st.sampled_from(list(paths(STORED))), JSON
)


@pytest.fixture(autouse=True)
def unreachable_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the Airflow connection to an unreachable host, for events that request another run."""
    value = json.dumps({"conn_type": "itwin", "host": "ftp://nowhere", "login": "a", "password": "b"})
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", value)


def test_the_unchanged_event_is_valid() -> None:
    assert resumed(operator(), EVENT) == "r1"
    assert resumed(sensor(), EVENT)["result"] == "Success"


def operator() -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(task_id="a", connection_id="c1", wait_for_completion=True, deferrable=True)


def sensor() -> ITwinStorageConnectionRunSensor:
    return ITwinStorageConnectionRunSensor(task_id="a", connection_id="c1", run_id="r1", deferrable=True)


@SETTINGS
@given(EVENTS)
def test_an_operator_accepts_or_rejects_any_event(event: Any) -> None:
    try:
        value = resumed(operator(), event)
    except AirflowException:
        return
    assert value == "r1"


@SETTINGS
@given(EVENTS)
def test_a_sensor_accepts_or_rejects_any_event(event: Any) -> None:
    try:
        value = resumed(sensor(), event)
    except AirflowException:
        return
    assert isinstance(value, dict)
    assert value["ref"] == REF.as_dict()


@SETTINGS
@given(JSON)
def test_an_invalid_event_never_passes_for_success(event: Any) -> None:
    # An error event is valid.
    assume(not (isinstance(event, dict) and isinstance(event.get("error"), str) and "end" not in event))
    with pytest.raises(ITwinTriggerEventError):
        resumed(sensor(), event)


@SETTINGS
@given(STORED_STATES)
def test_any_stored_state_is_loaded_or_ignored(stored: Any) -> None:
    try:
        state = TaskState.from_dict(stored)
    except ValueError:
        state = None
    assert state is None or TaskState.from_dict(through_json(state.as_dict())) == state

    instance = FakeTaskInstance()
    rows = FakeStore()
    context = {"ti": instance, "task_state_store": rows}
    TaskStateStore(context, True, "this", TaskState).save(STATE)
    (key, good) = next(iter(rows.rows.items()))
    rows.rows[key] = good | stored if isinstance(stored, dict) else stored
    loaded = TaskStateStore(context, True, "this", TaskState).load(5.0)
    assert loaded is None or isinstance(loaded, TaskState)


@SETTINGS
@given(st.sampled_from(["storage", "export"]) | JSON, JSON, JSON, JSON)
def test_a_trigger_reports_any_invalid_argument_as_an_error_event(
    kind: Any, connection_id: Any, run_id: Any, after: Any
) -> None:
    trigger = ITwinRunTrigger(
        "itwin_default",
        {"kind": kind, "connection_id": connection_id, "run_id": run_id, "started_after": after},
    )

    async def first_event() -> Any:
        async for event in trigger.run():
            return event
        return None

    event = asyncio.run(first_event())

    assert isinstance(json.dumps(event.payload), str)
    assert event.payload.get("error")
