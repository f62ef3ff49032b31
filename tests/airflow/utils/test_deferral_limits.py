"""Timeouts without a running triggerer: Airflow's scheduler ends the wait, and the run is polled once more."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinTransientError, ITwinWaitTimeLimitError
from airflow_provider_itwin.utils.deferral import deferral_timeout
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, is_deferral_timeout
from tests.airflow.operators.run_operators import DEFERRED, operator
from tests.airflow.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    TaskDeferred,
)
from tests.airflow.sensors.run_sensors import FLAGS, NIGHT, only_3_3, sensor
from tests.airflow.single_task import FakeStore, FakeTaskInstance, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]

RIVAL = "rival-connection"
TIMEOUT = {"error": "Trigger timeout" if AIRFLOW_V_3_0_PLUS else "Trigger/execution timeout"}
"""The arguments with which the scheduler resumes a task."""
BROKEN = {"error": "Trigger failure", "traceback": ["Traceback of the triggerer"]}


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with two connections of one iModel."""
    for connection_id in (NIGHT, RIVAL):
        emulator.add_connection(connection_id=connection_id, imodel_id="tower-imodel", files=["Tower.dgn"])
    return emulator


def ended(task: Any, kwargs: dict[str, Any], outcome: Outcome | None = None, store: FakeStore | None = None) -> Any:
    """Resume a task as Airflow does after a failed deferral."""
    instance = FakeTaskInstance()
    instance.xcoms = outcome.xcoms if outcome else {}
    context: dict[str, Any] = {"ti": instance, "task_instance": instance}
    if store is not None:
        context["task_state_store"] = store
    return task.resume_execution("__fail__", kwargs, context)


# The timeout of the deferral


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [
        (None, None),
        (1025.0, 85.0),
        (1000.0, 60.0),
        (0.0, 60.0),
        (1000.0 + 86400 * 7, 86400 * 7 + 60.0),
        (1e15, None),
        (float("inf"), None),
    ],
)
def test_the_timeout_of_a_deferral_is_a_minute_after_the_deadline(
    deadline: float | None, expected: float | None
) -> None:
    limit = deferral_timeout(deadline, 1000.0)
    assert (limit.total_seconds() if limit else None) == expected


LIMITS: dict[str, tuple[dict[str, Any], float | None]] = {
    "none": ({}, None),
    "timeout": ({"timeout": 25}, 85.0),
    "timedelta": ({"timeout": timedelta(minutes=1)}, 120.0),
    "execution_timeout": ({"execution_timeout": timedelta(seconds=40)}, 100.0),
    "both, timeout first": ({"timeout": 25, "execution_timeout": timedelta(seconds=40)}, 85.0),
    "both, execution_timeout first": ({"timeout": 250, "execution_timeout": timedelta(seconds=40)}, 100.0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_deferral_has_the_timeout(emulator: Emulator, clock: FakeClock, name: str) -> None:
    limits, expected = LIMITS[name]
    emulator.plan_run(NIGHT, "Success", 36_000)
    run_id = emulator.start_run(NIGHT)
    tasks: list[Any] = [operator(**DEFERRED, **limits), operator(**DEFERRED, if_active="attach", **limits)]
    if "timeout" in limits and isinstance(limits["timeout"], int):
        tasks += [sensor(run_id=run_id, deferrable=True, **limits)]
        tasks += [sensor(started_after="2020-01-01", deferrable=True, **limits)]
    for task in tasks:
        instance = FakeTaskInstance()
        with pytest.raises(TaskDeferred) as deferred:
            task.execute({"ti": instance, "task_instance": instance})
        limit = deferred.value.timeout
        if expected is None:
            assert limit is None
        else:
            # A poll on the worker takes time, which counts towards the timeout.
            assert expected - 10 <= limit.total_seconds() <= expected


@only_3_3
@pytest.mark.parametrize(
    ("limits", "expected", "grace"),
    [
        ({"timeout": 600}, (600.0, 660), 60.0),
        ({"timeout": 600, "execution_timeout": timedelta(seconds=40)}, (40.0, 100), 0.0),
        ({"timeout": 600, "execution_timeout": timedelta(seconds=620)}, (600.0, 660), 20.0),
        ({"timeout": 600, "execution_timeout": timedelta(hours=2)}, (600.0, 660), 60.0),
    ],
)
def test_a_task_that_starts_in_the_triggerer_knows_the_timeout_of_the_scheduler(
    emulator: Emulator, clock: FakeClock, limits: dict[str, Any], expected: tuple[float, float], grace: float
) -> None:
    from airflow.sdk._shared.module_loading import import_string

    task: Any = sensor(run_id="a-run", deferrable=True, start_from_trigger=True, **limits)
    arguments = task.start_trigger_args
    assert (arguments.trigger_kwargs["timeout"], arguments.timeout.total_seconds()) == expected
    assert arguments.trigger_kwargs["grace"] == grace
    trigger = import_string(arguments.trigger_cls)(**arguments.trigger_kwargs)
    # So does TaskInstance.defer_task.
    limit = min(filter(None, [arguments.timeout, limits.get("execution_timeout")]))
    trigger.timeout_after = clock.utcnow() + limit
    assert trigger._checked_spec().deadline == pytest.approx(clock.now() + expected[0], abs=10.0)


# Resuming after the timeout of the scheduler


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("how", ["started", "adopted"])
def test_the_timeout_of_an_operator_names_its_run_and_can_be_retried(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, durable: bool, how: str
) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    if how == "adopted":
        emulator.start_run(NIGHT)
    store = FakeStore() if durable else None
    task = operator(timeout=25, if_active="attach", **DEFERRED)
    first = run_task(task, store=store, resume=False)
    run_id = emulator.runs(NIGHT)[0]["id"]
    clock.sleep(90)
    with pytest.raises(ITwinWaitTimeLimitError) as caught:
        ended(operator(timeout=25, if_active="attach", **DEFERRED), TIMEOUT, first, store)
    text = str(caught.value)
    for words in (run_id, "was still", "timeout", "triggerer", "does not count as failed", "continues in the cloud"):
        assert words in text
    assert not isinstance(caught.value, ITwinRunFailedError)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    retry = run_task(task, store=store, try_number=2, resume=False)
    assert len(emulator.runs(NIGHT)) == 1
    assert retry.xcoms["run_ref"]["run_id"] == run_id


@pytest.mark.parametrize("kwargs", [TIMEOUT, BROKEN], ids=["timeout", "broken"])
@pytest.mark.parametrize(("result", "passes"), [("Success", True), ("Error", False)])
def test_a_run_that_has_finished_meanwhile_decides_the_outcome(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, kwargs: dict[str, Any], result: str, passes: bool
) -> None:
    emulator.plan_run(NIGHT, result, 60)
    store = FakeStore()
    first = run_task(operator(timeout=25, **DEFERRED), store=store, resume=False)
    clock.sleep(90)
    run_id = emulator.runs(NIGHT)[0]["id"]
    tasks = [operator(timeout=25, **DEFERRED), sensor(run_id=run_id, timeout=25, deferrable=True)]
    for task in tasks:
        if passes:
            value = ended(task, kwargs, first, store)
            assert run_id in (value, value["ref"]["run_id"] if isinstance(value, dict) else None)
        else:
            with pytest.raises(AirflowException, match="its result is Error"):
                ended(task, kwargs, first, store)


@pytest.mark.parametrize("store", [None, FakeStore()], ids=["no store", "store"])
def test_the_timeout_in_the_queue_says_that_no_run_was_started(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore | None
) -> None:
    emulator.plan_run(RIVAL, "Success", 36_000)
    emulator.start_run(RIVAL)
    first = run_task(operator(timeout=25, **DEFERRED), store=store, resume=False)
    clock.sleep(90)
    with pytest.raises(ITwinWaitTimeLimitError, match="No run of storage connection night-connection was started"):
        ended(operator(timeout=25, **DEFERRED), TIMEOUT, first, store)
    assert emulator.runs(NIGHT) == []


def test_a_run_that_cannot_be_polled_does_not_count_as_failed(
    emulator: Emulator, run_task: RunTask, clock: FakeClock
) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    first = run_task(operator(timeout=25, **DEFERRED), resume=False)
    emulator.fail("get-storage-connection-run", None, 503)
    began = clock.elapsed
    with pytest.raises(ITwinWaitTimeLimitError, match=r"could not be polled.*503"):
        ended(operator(timeout=25, **DEFERRED), TIMEOUT, first)
    assert clock.elapsed - began < 20


def test_a_failed_trigger_can_be_retried(emulator: Emulator, run_task: RunTask, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    first = run_task(operator(**DEFERRED), resume=False)
    with pytest.raises(ITwinTransientError, match="The wait ended in the triggerer: Trigger failure") as caught:
        ended(operator(**DEFERRED), BROKEN, first)
    assert not isinstance(caught.value, ITwinWaitTimeLimitError)


SENSOR_ENDS = {"no flag": AirflowSensorTimeout, "soft_fail": AirflowSkipException, "never_fail": AirflowSkipException}


@pytest.mark.parametrize("flag", SENSOR_ENDS)
@pytest.mark.parametrize("which", ["run_id", "started_after"])
def test_a_sensor_ends_as_by_its_own_timeout(emulator: Emulator, flag: str, which: str) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    run_id = emulator.start_run(NIGHT)
    wanted = {"run_id": run_id} if which == "run_id" else {"started_after": "2020-01-01"}
    with pytest.raises(SENSOR_ENDS[flag], match=NIGHT) as caught:
        ended(sensor(deferrable=True, timeout=25, **wanted, **FLAGS[flag]), TIMEOUT)
    assert "triggerer" in str(caught.value)


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("by", ["trigger", "scheduler"])
def test_a_sensor_can_be_retried_after_its_execution_timeout_whatever_its_flags(
    emulator: Emulator, run_task: RunTask, flag: str, by: str
) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    arguments = {"execution_timeout": timedelta(seconds=40), "timeout": 7200, "deferrable": True}
    task: Any = sensor(run_id=emulator.start_run(NIGHT), **arguments | FLAGS[flag])
    if by == "trigger":
        outcome = run_task(task)
        error = outcome.error
        assert outcome.state == "up_for_retry"
    else:
        with pytest.raises(ITwinWaitTimeLimitError) as caught:
            ended(task, TIMEOUT)
        error = caught.value
    assert isinstance(error, ITwinWaitTimeLimitError)
    assert "execution_timeout" in str(error)


# Airflow's own scheduler


@pytest.mark.parametrize("is_over", [True, False])
def test_the_scheduler_ends_a_wait_whose_timeout_has_passed(
    emulator: Emulator, run_dag: Callable[..., DagResult], is_over: bool
) -> None:
    """The scheduler resumes with the same arguments as the tests above."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    result = run_dag(f'ITwinListSourceFilesOperator(task_id="a", connection_id="{NIGHT}")')
    limit = datetime.now(UTC) + timedelta(hours=-1 if is_over else 1)
    with create_session() as session:
        wanted = {"dag_id": result.dag_id, "task_id": "a"}
        session.query(TaskInstance).filter_by(**wanted).update({"state": "deferred", "trigger_timeout": limit})
        session.commit()
        runner = SchedulerJobRunner.__new__(SchedulerJobRunner)
        runner._log = logging.getLogger(__name__)  # type: ignore[assignment]
        runner.check_trigger_timeouts(session=session)
        session.commit()
        instance = session.query(TaskInstance).filter_by(**wanted).one()
        state, method, kwargs = instance.state, instance.next_method, instance.next_kwargs
    if not is_over:
        assert (state, method) == ("deferred", None)
        return
    assert (state, method, kwargs) == ("scheduled", "__fail__", TIMEOUT)
    with pytest.raises(AirflowException) as caught:
        BaseOperator.resume_execution(operator(**DEFERRED), str(method), kwargs, {})
    assert is_deferral_timeout(caught.value)
