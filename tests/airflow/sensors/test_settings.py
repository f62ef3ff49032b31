"""The flags and parameters of a run sensor, and invalid events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from tests.airflow.sensors.run_sensors import FLAGS, NIGHT, only_3_3, sensor
from tests.airflow.single_task import FakeTaskInstance, Outcome, outside_of_task_runner, resumed

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


# Flags where Airflow's base class does not apply them


def test_never_fail_skips_on_any_event(emulator: Emulator) -> None:
    task = sensor(run_id="a", deferrable=True, never_fail=True)
    for event in (None, {}, "error", {"end": "finished"}):
        with pytest.raises(AirflowSkipException):
            resumed(task, event)


@pytest.mark.parametrize("method", ["__fail__"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [({}, "fails"), ({"soft_fail": True}, "fails"), ({"never_fail": True}, "skips"), ({"silent_fail": True}, "fails")],
    ids=["no flag", "soft_fail", "never_fail", "silent_fail"],
)
def test_a_failed_trigger_is_a_temporary_error(
    emulator: Emulator, method: str, flags: dict[str, Any], expected: str
) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    task: Any = sensor(run_id=emulator.start_run(NIGHT), deferrable=True, **flags)
    with pytest.raises(AirflowException) as caught:
        task.resume_execution(method, {"error": "Trigger failure"}, {"ti": FakeTaskInstance()})
    assert isinstance(caught.value, AirflowSkipException) == (expected == "skips")
    assert not isinstance(caught.value, AirflowFailException)


@only_3_3
@pytest.mark.parametrize("flag", FLAGS)
def test_a_trigger_timeout_of_airflow_counts_as_the_timeout(emulator: Emulator, flag: str) -> None:
    from airflow.sdk.exceptions import TaskDeferralTimeout

    emulator.plan_run(NIGHT, "Success", 36_000)
    task: Any = sensor(run_id=emulator.start_run(NIGHT), deferrable=True, **FLAGS[flag])
    wanted = AirflowSkipException if flag in ("soft_fail", "never_fail") else AirflowSensorTimeout
    with pytest.raises(wanted) as caught:
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": FakeTaskInstance()})
    assert not isinstance(caught.value, TaskDeferralTimeout)


# Events


@pytest.fixture
def valid_event(emulator: Emulator, run_task: RunTask) -> dict[str, Any]:
    event: dict[str, Any] = run_task(sensor(run_id=emulator.start_run(NIGHT), deferrable=True)).events[-1]
    return event


@pytest.mark.parametrize(
    "event", [None, {}, [], "", "success", True, 42, {"status": "success"}, {"end": "finished"}], ids=repr
)
def test_an_invalid_event_never_passes_for_success(event: Any) -> None:
    with pytest.raises(AirflowException):
        resumed(sensor(run_id="a", deferrable=True), event)


def test_a_malformed_event_never_passes_for_success(valid_event: dict[str, Any]) -> None:
    task = sensor(run_id=valid_event["ref"]["run_id"], deferrable=True)
    assert resumed(task, valid_event) == valid_event["report"]
    changes: list[dict[str, Any]] = [
        {"end": "done"},
        {"end": "unseen", "report": None},
        {"end": "deadline"},
        {"report": None},
        {"report": {}},
        {"ref": None},
        {"spec": {}},
    ]
    for broken in [valid_event | change for change in changes]:
        with pytest.raises(AirflowException):
            resumed(task, broken)


def test_an_event_about_another_run_never_passes_for_success(valid_event: dict[str, Any]) -> None:
    with pytest.raises(AirflowException):
        resumed(sensor(run_id="another-run", deferrable=True), valid_event)


# Parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Pass run_id, to wait for this run, or started_after"),
        ({"run_id": "a", "poll_interval": 0}, "poll_interval must be a positive number of seconds"),
        ({"run_id": "a", "poll_interval": "often"}, "poll_interval must be a positive number"),
        ({"run_id": "a", "poll_interval": float("inf")}, "poll_interval must be a positive number"),
        ({"run_id": "a", "poke_interval": 0}, "poke_interval must be a positive number"),
        ({"run_id": "a", "fail_on": ["Eror"]}, "invalid fail_on 'Eror'; expected one of"),
        ({"run_id": "a", "fail_on": None}, "fail_on must be results of a run"),
        ({"run_id": "a", "skip_on": 1}, "skip_on must be results of a run"),
        ({"run_id": "a", "fail_on": ["Error"], "skip_on": ["Error"]}, "cannot be in both"),
        ({"run_id": "a", "soft_fail": True, "never_fail": True}, "mutually exclusive"),
    ],
    ids=str,
)
def test_invalid_parameters_are_rejected_in_the_dag_file(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        sensor(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "poll", "poke"),
    [
        ({}, None, 60),
        ({"poll_interval": 20}, 20, 20),
        ({"poke_interval": 20}, 20, 20),
        ({"poke_interval": timedelta(minutes=2)}, 120, 120),
        ({"poll_interval": 20, "poke_interval": 30}, 20, 20),
        ({"default_args": {"poke_interval": 20}}, 20, 20),
        ({"default_args": {"poll_interval": 20}}, 20, 20),
        ({"default_args": {"poll_interval": 20}, "poke_interval": 30}, 20, 20),
        ({"default_args": {"poke_interval": 20}, "poll_interval": 30}, 30, 30),
    ],
    ids=str,
)
def test_poll_interval_and_poke_interval_apply_in_each_mode(arguments: dict[str, Any], poll: Any, poke: Any) -> None:
    task = sensor(run_id="a", **arguments)
    assert (task.poll_interval, task.poke_interval) == (poll, poke)


def test_the_default_arguments_of_a_dag_apply() -> None:
    with DAG("a_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"poke_interval": 20}):
        task = sensor(run_id="a", deferrable=True)
    assert (task.poll_interval, task.poke_interval) == (20, 20)


def test_poke_can_be_called_directly(emulator: Emulator, clock: FakeClock) -> None:
    task: Any = sensor(run_id=emulator.start_run(NIGHT))
    instance = FakeTaskInstance()
    with outside_of_task_runner(instance):
        assert not task.poke({"ti": instance})
        clock.sleep(600)
        assert task.poke({"ti": instance}).xcom_value["result"] == "Success"
