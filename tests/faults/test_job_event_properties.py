"""Any event of the trigger for jobs is accepted, or rejected with an error of this package; none is a success by mistake."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.jobs.polling import JobSnapshot, JobSummary
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.wait.any_wait import WaitEnd
from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
from airflow_provider_itwin.exceptions import ITwinTriggerEventError
from airflow_provider_itwin.jobs import DIFF
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor
from airflow_provider_itwin.triggers.jobs import ITwinJobTrigger
from airflow_provider_itwin.utils.job_state import JobTaskState
from airflow_provider_itwin.utils.task_state import TaskState
from tests.airflow.sdk import AirflowException
from tests.airflow.single_task import resumed, through_json
from tests.faults.test_event_properties import SETTINGS, changed, paths

INPUTS = {"itwin_id": "i1", "imodel_id": "m1", "start_changeset": 1, "end_changeset": 2}
REF = JobRef("diff", "j1", {"itwin_id": "i1", "imodel_id": "m1"})
SPEC = JobWaitSpec(DIFF, REF, began=1.79e9)


def event_of(outcome: Any, state: str) -> dict[str, Any]:
    """Return the event of a job that has ended."""
    snapshot = JobSnapshot(JobSummary(state, outcome), {"job": {"status": state, "error": {"message": "x"}}})
    result = JobWaitResult(SPEC, WaitEnd.FINISHED, REF, state, snapshot, elapsed=61.0, polls=3)
    made: dict[str, Any] = through_json(result.as_event(JobTaskState(1.79e9, ref=REF).as_dict()))
    return made


PASSED, FAILED = event_of("passed", "Completed"), event_of("failed", "Failed")
WORDS = ["finished", "passed", "failed", "Completed", "Failed", "deadline", "outage", "diff", "j1", 10**400, 1e308, -1]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*PASSED, *SPEC.as_dict(), *DIFF.as_dict(), *REF.as_dict(), "x"]), inner)
    ),
    max_leaves=12,
)


def near(event: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return events that differ from `event` in one place."""
    return st.builds(lambda path, new: changed(event, path, new), st.sampled_from(list(paths(event))), JSON)


@pytest.fixture(autouse=True)
def unreachable_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the Airflow connection to an unreachable host."""
    value = json.dumps({"conn_type": "itwin", "host": "ftp://nowhere", "login": "a", "password": "b"})
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", value)


def operator() -> ITwinJobOperator:
    return ITwinJobOperator(task_id="a", job=DIFF, inputs=INPUTS, deferrable=True)


def sensor() -> ITwinJobSensor:
    return ITwinJobSensor(task_id="a", job=DIFF, job_ref=REF.as_dict(), deferrable=True)


def test_the_unchanged_events_are_valid() -> None:
    assert resumed(operator(), PASSED) == "j1"
    assert resumed(sensor(), PASSED)["outcome"] == "passed"
    for task in (operator(), sensor()):
        with pytest.raises(AirflowException, match="Diff j1 has failed: its state is Failed"):
            resumed(task, FAILED)


@SETTINGS
@given(JSON | near(PASSED))
def test_a_task_accepts_or_rejects_any_event(event: Any) -> None:
    for task, expected in ((operator(), "j1"), (sensor(), None)):
        try:
            value = resumed(task, event)
        except AirflowException:
            continue
        if expected is None:
            assert (value["job_id"], value["outcome"], value["name"]) == ("j1", "passed", "diff")
        else:
            assert value == expected


@SETTINGS
@given(near(FAILED))
def test_no_change_in_one_place_makes_a_failed_job_succeed(event: Any) -> None:
    for task in (operator(), sensor()):
        with pytest.raises(AirflowException):
            resumed(task, event)


@SETTINGS
@given(JSON)
def test_an_invalid_event_never_passes_for_success(event: Any) -> None:
    if isinstance(event, dict) and isinstance(event.get("error"), str) and "end" not in event:
        return
    with pytest.raises(ITwinTriggerEventError):
        resumed(sensor(), event)


@SETTINGS
@given(JSON)
def test_only_what_was_made_is_read_as_the_end_of_a_job(event: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        JobWaitResult.from_event(event)


@SETTINGS
@given(JSON | near(SPEC.as_dict()))
def test_a_trigger_reports_any_invalid_argument_as_an_error_event(spec: Any) -> None:
    try:
        JobWaitSpec.from_dict(spec)
    except ValueError:
        pass
    else:
        return

    async def first_event() -> Any:
        async for event in ITwinJobTrigger("itwin_default", spec).run():
            return event
        return None

    event = asyncio.run(first_event())

    assert isinstance(json.dumps(event.payload), str)
    assert event.payload.get("error")


@SETTINGS
@given(JSON | near(JobTaskState(1.79e9, ref=REF).as_dict()))
def test_any_stored_state_is_loaded_or_ignored(stored: Any) -> None:
    try:
        state = JobTaskState.from_dict(stored)
    except ValueError:
        return
    assert JobTaskState.from_dict(through_json(state.as_dict())) == state


@pytest.mark.parametrize("shape", [JobTaskState, TaskState])
@pytest.mark.parametrize("asked_at", [10**400, "x", None, []])
def test_a_stored_time_that_is_no_time_is_unreadable(shape: Any, asked_at: Any) -> None:
    with pytest.raises(ValueError, match="The stored state of the task is unreadable"):
        shape.from_dict({**shape(1.0).as_dict(), "asked_at": asked_at})
