"""Whatever a trigger is said to have fired with, and a store to have kept, is understood, or refused with an error of ours."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import RunEnvelope, decoded
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.start import Baseline
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.exceptions import ITwinTriggerEventError
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.utils.task_state import Store, TaskState
from tests.airflow.single_task import FakeStore, FakeTaskInstance, resumed, through_json

if TYPE_CHECKING:
    from collections.abc import Iterator

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")
ORDER = WaitSpec(REF.kind, REF.connection_id, REF.run_id, deadline=2e9, began=1.79e9)
RUN = decoded(
    b'{"run":{"id":"r1","state":"Completed","result":"Success","jobs":[{"tasks":[{"result":"Success"}]}]}}', RunEnvelope
)
MEMORY = TaskState(1.79e9, Baseline(RunRef(REF.kind, "c1", "r0")), REF)
EVENT: dict[str, Any] = through_json(
    WaitResult(WaitEnd.FINISHED, REF, "Completed", RUN.run, elapsed=61.0, polls=3).as_event(ORDER, MEMORY.as_dict())
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
        | st.dictionaries(st.sampled_from([*EVENT, *ORDER.as_dict(), *REF.as_dict(), "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
USUAL = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give every place in a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Give a copy of a JSON value with something else in one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


EVENTS = JSON | st.builds(lambda path, new: changed(EVENT, path, new), st.sampled_from(list(paths(EVENT))), JSON)

KEPT = MEMORY.as_dict()
MEMORIES = JSON | st.builds(lambda path, new: changed(KEPT, path, new), st.sampled_from(list(paths(KEPT))), JSON)


@pytest.fixture(autouse=True)
def nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the Airflow connection to where nobody answers, for an event that says to start another run."""
    value = json.dumps({"conn_type": "itwin", "host": "ftp://nowhere", "login": "a", "password": "b"})
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", value)


def test_the_event_that_is_changed_below_is_a_good_one() -> None:
    assert resumed(operator(), EVENT) == "r1"
    assert resumed(sensor(), EVENT)["result"] == "Success"


def operator() -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(task_id="a", connection_id="c1", wait_for_completion=True, deferrable=True)


def sensor() -> ITwinStorageConnectionRunSensor:
    return ITwinStorageConnectionRunSensor(task_id="a", connection_id="c1", run_id="r1", deferrable=True)


@USUAL
@given(EVENTS)
def test_no_event_confuses_an_operator(event: Any) -> None:
    try:
        value = resumed(operator(), event)
    except AirflowException:
        return
    assert value == "r1"


@USUAL
@given(EVENTS)
def test_no_event_confuses_a_sensor(event: Any) -> None:
    try:
        value = resumed(sensor(), event)
    except AirflowException:
        return
    assert isinstance(value, dict)
    assert value["ref"] == REF.as_dict()


@USUAL
@given(JSON)
def test_what_is_no_event_is_no_success(event: Any) -> None:
    with pytest.raises(ITwinTriggerEventError):
        resumed(sensor(), event)


@USUAL
@given(MEMORIES)
def test_no_memory_confuses(kept: Any) -> None:
    try:
        memory = TaskState.from_dict(kept)
    except ValueError:
        memory = None
    assert memory is None or TaskState.from_dict(through_json(memory.as_dict())) == memory

    instance = FakeTaskInstance()
    rows = FakeStore()
    context = {"ti": instance, "task_state_store": rows}
    Store(context, True, "this").keep(MEMORY)
    (key, good) = next(iter(rows.rows.items()))
    rows.rows[key] = good | kept if isinstance(kept, dict) else kept
    recalled = Store(context, True, "this").recall(5.0)
    assert recalled is None or isinstance(recalled, TaskState)


@USUAL
@given(st.sampled_from(["storage", "export"]) | JSON, JSON, JSON, JSON)
def test_nothing_that_a_template_gives_confuses_a_trigger(
    kind: Any, connection_id: Any, run_id: Any, after: Any
) -> None:
    trigger = ITwinRunTrigger("itwin_default", kind, connection_id, run_id, started_after=after)

    async def first() -> Any:
        async for event in trigger.run():
            return event
        return None

    event = asyncio.run(first())

    assert isinstance(json.dumps(event.payload), str)
    assert event.payload.get("error")
