"""A run sensor that starts and ends in the triggerer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS
from tests.airflow.sdk import (
    DAG,
)
from tests.airflow.sensors.run_sensors import FLAGS, MODES, NIGHT, only_3_3, sensor
from tests.airflow.sensors.situations import SITUATIONS
from tests.airflow.single_task import Outcome, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


@only_3_3
@pytest.mark.parametrize(
    ("result", "parts"), [("Success", 1), ("PartialSuccess", 2), ("Skipped", 2), ("Error", 2), ("Exploded", 2)]
)
def test_a_clear_success_ends_in_the_triggerer(emulator: Emulator, run_task: RunTask, result: str, parts: int) -> None:
    emulator.plan_run(NIGHT, result, 600)
    run_id = emulator.start_run(NIGHT)
    there = run_task(sensor(run_id=run_id, deferrable=True, end_from_trigger=True))
    here = run_task(sensor(run_id=run_id, deferrable=True))
    assert (there.state, there.value, there.text) == (here.state, here.value, here.text)
    assert there.xcoms["run_report"] == here.xcoms["run_report"]
    assert there.parts == parts


@only_3_3
@pytest.mark.parametrize("arguments", [{"fail_on": ["Success"]}, {"skip_on": ["Success"]}], ids=str)
def test_a_result_that_is_no_success_for_the_task_ends_on_a_worker(
    emulator: Emulator, run_task: RunTask, arguments: dict[str, Any]
) -> None:
    run_id = emulator.start_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, deferrable=True, end_from_trigger=True, **arguments))
    assert (outcome.state, outcome.parts) == ("failed" if "fail_on" in arguments else "skipped", 2)


def started_in_triggerer(task: Any, clock: FakeClock) -> Any:
    """Return the event of the trigger with which the scheduler starts a task."""
    from airflow.sdk._shared.module_loading import import_string

    arguments = task.start_trigger_args
    trigger = import_string(arguments.trigger_cls)(**arguments.trigger_kwargs)
    trigger.timeout_after = clock.utcnow() + arguments.timeout
    return event_of(trigger)


@only_3_3
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("situation", [name for name in SITUATIONS if name != "no Airflow connection"])
def test_the_same_outcome_when_it_starts_in_the_triggerer(
    emulator: Emulator,
    clock: FakeClock,
    run_task: RunTask,
    connection: Callable[..., None],
    situation: str,
    flag: str,
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    task: Any = sensor(deferrable=True, start_from_trigger=True, **arguments | FLAGS[flag])
    outcome = run_task(task, event=started_in_triggerer(task, clock))
    assert outcome.state == SITUATIONS[situation].states[flag], outcome.text


@only_3_3
def test_the_configuration_applies_when_the_sensor_starts_in_the_triggerer(
    emulator: Emulator, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "60")
    emulator.fail("get-storage-connection-run", None, 503)
    task = sensor(run_id=emulator.start_run(NIGHT), deferrable=True, start_from_trigger=True)
    event = started_in_triggerer(task, clock)
    assert event["end"] == "outage"
    assert 60 <= clock.elapsed < 70


@pytest.mark.parametrize("mode", [*MODES, pytest.param("triggerer", marks=only_3_3)])
def test_an_invalid_setting_is_reported(
    emulator: Emulator, clock: FakeClock, run_task: RunTask, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "soon")
    run_id = emulator.start_run(NIGHT)
    if mode == "triggerer":
        task = sensor(run_id=run_id, deferrable=True, start_from_trigger=True)
        outcome = run_task(task, event=started_in_triggerer(task, clock))
    else:
        outcome = run_task(sensor(run_id=run_id, **MODES[mode]))
    assert outcome.state == "failed"
    assert outcome.text == "[itwin] outage_tolerance in Airflow's configuration must be a number, not 'soon'"


@only_3_3
def test_the_scheduler_gets_the_trigger_to_start_with() -> None:
    with DAG("a_dag", schedule=None):
        start = ITwinRunStorageConnectionOperator(task_id="start", connection_id=NIGHT)
        task: Any = sensor(
            connection_id="{{ params.a }}", run_id=start.output, deferrable=True, start_from_trigger=True, timeout=600
        )
    arguments = task.start_trigger_args
    assert task.start_from_trigger
    assert (arguments.next_method, arguments.timeout) == ("execute_complete", timedelta(seconds=660))
    assert arguments.trigger_cls == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    kwargs = arguments.trigger_kwargs
    assert json.loads(json.dumps(kwargs, allow_nan=False)) == kwargs
    assert kwargs["spec"]["connection_id"] == "{{ params.a }}"
    assert kwargs["spec"]["run_id"].startswith("{{ ti.xcom_pull(task_ids='start'")
    assert (kwargs["timeout"], kwargs["ends_task"], kwargs["spec"]["started_after"]) == (600.0, False, None)


@only_3_3
def test_arguments_that_need_a_worker_are_rejected() -> None:
    with DAG("a_dag", schedule=None):
        starts = ITwinRunStorageConnectionOperator.partial(task_id="starts").expand(connection_id=["a", "b"])
        with pytest.raises(ValueError, match="run_id must be a str, a template, or the output of a task"):
            sensor(run_id=starts.output, deferrable=True, start_from_trigger=True)


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 can")
@pytest.mark.parametrize("parameter", ["start_from_trigger", "end_from_trigger"])
def test_parameters_that_this_airflow_does_not_support_are_rejected(parameter: str) -> None:
    with pytest.raises(ValueError, match=f"{parameter} needs Airflow 3.3 or newer"):
        sensor(run_id="a", deferrable=True, **{parameter: True})


@only_3_3
@pytest.mark.parametrize("parameter", ["start_from_trigger", "end_from_trigger"])
def test_triggerer_parameters_need_deferrable(parameter: str) -> None:
    with pytest.raises(ValueError, match=f"{parameter} needs deferrable=True"):
        sensor(run_id="a", **{parameter: True})
