"""The report and the texts of a run sensor."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunFailedFinalError,
    ITwinTransientError,
)
from airflow_provider_itwin.utils import run_outcome
from tests.airflow.sdk import (
    AirflowSensorTimeout,
)
from tests.airflow.sensors.run_sensors import DAWN, EACH_MODE, MODES, NIGHT, sensor
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


def in_each_mode(run_task: RunTask, **arguments: Any) -> list[Outcome]:
    return [run_task(sensor(**arguments | mode)) for mode in MODES.values()]


@pytest.mark.parametrize("result", ["Success", "PartialSuccess", "Skipped"])
def test_returns_the_same_report_in_each_mode(emulator: Emulator, run_task: RunTask, result: str) -> None:
    failing = ["Roof.rvt"] if result == "PartialSuccess" else []
    emulator.plan_run(NIGHT, result, 600, failing=failing, warnings=3)
    poked, rescheduled, deferred = in_each_mode(run_task, run_id=emulator.start_run(NIGHT))
    assert poked.value == rescheduled.value == deferred.value
    assert poked.value["result"] == result
    assert poked.value["totals"]["tasks"] == 2
    assert poked.xcoms == rescheduled.xcoms == deferred.xcoms
    assert poked.xcoms["run_report"] == poked.value
    assert poked.pushed_without_links == ["run_report"]


def test_a_failed_run_has_the_same_error_text_in_each_mode(emulator: Emulator, run_task: RunTask) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=[{"file": "Roof.rvt", "message": "It leaks."}])
    run_id = emulator.start_run(NIGHT)
    poked, rescheduled, deferred = in_each_mode(run_task, run_id=run_id)
    assert poked.text == rescheduled.text == deferred.text
    for words in ("Roof.rvt", "It leaks.", run_id, NIGHT, "its result is Error"):
        assert words in poked.text
    for outcome in (poked, rescheduled, deferred):
        assert isinstance(outcome.error, ITwinRunFailedFinalError)
        assert outcome.error.report == outcome.xcoms["run_report"] == poked.xcoms["run_report"]


@EACH_MODE
def test_deferrable_decides_between_deferring_and_poking(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), poll_interval=100, **mode))
    polls = [entry for entry in emulator.request_log if entry.operation == "get-storage-connection-run"]
    assert 7 <= len(polls) <= 8
    assert 600 <= clock.elapsed < 720
    assert len(outcome.triggers) == (1 if mode.get("deferrable") else 0)
    assert outcome.parts == {"poke": 1, "reschedule": 7}.get(mode.get("mode", ""), 2)


def test_a_finished_run_needs_no_deferral(emulator: Emulator, run_task: RunTask) -> None:
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, deferrable=True))
    assert (outcome.state, outcome.triggers) == ("success", [])


@EACH_MODE
def test_a_partial_success_logs_a_warning_with_the_failing_files(
    emulator: Emulator, run_task: RunTask, caplog: pytest.LogCaptureFixture, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess", 60, failing=[{"file": "Tower.dgn", "message": "No reference."}])
    caplog.set_level(logging.INFO)
    run_task(sensor(run_id=emulator.start_run(NIGHT), **mode))
    [warning] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("Tower.dgn", "No reference.", "PartialSuccess"):
        assert words in warning


@EACH_MODE
@pytest.mark.parametrize("timeout", [1800, 1800.0, timedelta(minutes=30)], ids=str)
def test_the_timeout_error_names_the_state_of_the_run(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any], timeout: Any
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    run_id = emulator.start_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, timeout=timeout, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)
    for words in (run_id, NIGHT, "Executing", "30 min", "timeout", "continues in the cloud"):
        assert words in outcome.text
    assert 1800 <= clock.elapsed < 1900


@EACH_MODE
def test_the_timeout_applies_to_a_run_that_never_started(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    outcome = run_task(sensor(started_after=DAWN, timeout=1800, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)
    assert "had not been found" in outcome.text
    assert DAWN in outcome.text


@EACH_MODE
def test_a_run_that_finished_before_the_first_poll_counts_as_finished(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 1700)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), timeout=1800, poll_interval=3600, **mode))
    assert outcome.state == "success"


@EACH_MODE
def test_an_unknown_state_counts_as_running(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.plan_run(NIGHT, "Success", 600, states=[("Pondering", 0.5), ("Succeeded", 0.25), ("Failed", 0.25)])
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


@EACH_MODE
def test_a_new_run_may_return_404_at_first(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.quirks.invisible_for = 40
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


@EACH_MODE
def test_an_unknown_run_fails_the_sensor_in_seconds(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    outcome = run_task(sensor(run_id="no-such-run", poll_interval=7, **mode))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "404" in outcome.text
    assert "has 0 runs, and none with this id" in outcome.text
    assert 5 <= clock.elapsed < 20


@EACH_MODE
def test_an_unknown_run_fails_the_sensor_after_a_minute_if_the_runs_cannot_be_listed(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.fail("get-storage-connection-runs", None, 503)
    outcome = run_task(sensor(run_id="no-such-run", poll_interval=7, **mode))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "404" in outcome.text
    # In reschedule mode a poke after the first minute does not know whether an earlier poke has found the run.
    assert 60 <= clock.elapsed < (200 if mode.get("mode") == "reschedule" else 80)


@EACH_MODE
def test_the_error_after_an_outage_names_its_cause(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.plan_run(NIGHT, "Success", 60)
    emulator.fail("get-storage-connection-run", None, 503)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), **mode))
    assert isinstance(outcome.error, ITwinTransientError)
    for words in ("outage_tolerance", "503", "may still be running"):
        assert words in outcome.text


@EACH_MODE
@pytest.mark.parametrize(("strict", "state"), [(False, "success"), (True, "failed")])
def test_strict_decides_about_a_success_with_failed_files(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], strict: bool, state: str
) -> None:
    emulator.quirks.success_with_failure = True
    emulator.plan_run(NIGHT, "Success", 60, failing=["Tower.dgn"])
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), strict=strict, **mode))
    assert outcome.state == state


@EACH_MODE
def test_a_secret_changed_during_the_wait_is_used(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, connection: Callable[..., None], mode: dict[str, Any]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "Success", 3600)

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600, rotate)
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


@pytest.mark.parametrize("version", ["3.0", "any other"])
def test_a_retry_on_airflow_3_0_ignores_the_event_of_the_previous_attempt(
    emulator: Emulator, run_task: RunTask, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_0_PLUS", True)
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_1_PLUS", version != "3.0")
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=5)
    waiting = sensor(run_id=emulator.start_run(NIGHT), **MODES["deferred"])
    first = run_task(waiting)
    assert isinstance(first.error, ITwinTransientError)
    assert first.events
    emulator.clear_faults()
    assert run_task(waiting, event=first.events[-1], try_number=1).state == "up_for_retry"
    second = run_task(waiting, event=first.events[-1], try_number=2)
    assert second.state == ("success" if version == "3.0" else "up_for_retry")
