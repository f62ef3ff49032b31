"""A queue that does not advance: the service responds to each start with an active run that has already ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinWaitTimeLimitError
from tests.airflow.operators.run_operators import NIGHT, RIVAL, WAITING, operator, run_ids, starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]


def ended_run(emulator: Emulator, clock: FakeClock, connection_id: str) -> str:
    """Return the id of a finished run."""
    emulator.plan_run(connection_id, "Success", 60)
    run_id = emulator.start_run(connection_id)
    clock.sleep(120)
    return run_id


def stay_locked(emulator: Emulator, connection_id: str, run_id: str, times: int | None = None) -> None:
    """Make the service respond to each start with this run."""
    root = f"{emulator.url}/synchronization/imodels/storageconnections"
    emulator.fail(
        "run-storage-connection", times=times, status=303, headers={"Location": f"{root}/{connection_id}/runs/{run_id}"}
    )


@WAITING
@pytest.mark.parametrize("owner", [NIGHT, RIVAL])
def test_start_requests_become_rare_in_a_queue_that_does_not_advance(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any], owner: str
) -> None:
    stay_locked(emulator, owner, ended_run(emulator, clock, owner))

    outcome = run_task(operator(timeout=3600.0, **mode))

    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert 10 <= len(starts(emulator)) <= 40
    assert len(emulator.request_log) <= 200


@WAITING
def test_the_timeout_applies_in_a_queue_that_does_not_advance(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    stale = ended_run(emulator, clock, RIVAL)
    stay_locked(emulator, RIVAL, stale)
    began = clock.now()

    outcome = run_task(operator(timeout=40.0, **mode))

    assert clock.now() - began == pytest.approx(40.0, abs=5.0)
    assert len(starts(emulator)) <= 5
    assert f"Run {stale} of storage connection {RIVAL}, which this task was queued behind, had ended" in outcome.text
    assert "requests for a run with an active run instead" in outcome.text


@WAITING
def test_a_lock_that_is_released_shortly_after_its_run_delays_the_start_by_seconds(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    stay_locked(emulator, RIVAL, ended_run(emulator, clock, RIVAL), times=2)
    began = clock.now()

    outcome = run_task(operator(**mode))

    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert starts(emulator)[:2] == [303, 303]
    assert len(starts(emulator)) == 3
    assert clock.now() - began < 1200


def test_a_deferrable_task_occupies_no_worker_between_two_requests(
    emulator: Emulator, run_task: RunTask, clock: FakeClock
) -> None:
    stay_locked(emulator, RIVAL, ended_run(emulator, clock, RIVAL))

    outcome = run_task(operator(wait_for_completion=True, deferrable=True, timeout=600.0))

    assert len(outcome.triggers) >= len(starts(emulator)) - 1
    assert all(trigger.serialize()[1]["spec"]["not_before"] for trigger in outcome.triggers)


@WAITING
def test_a_queue_that_does_not_advance_is_logged_once(
    emulator: Emulator,
    run_task: RunTask,
    clock: FakeClock,
    mode: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stay_locked(emulator, RIVAL, ended_run(emulator, clock, RIVAL))

    run_task(operator(timeout=3600.0, **mode))

    # Airflow 3 prints the log of tasks, older versions pass it to the loggers.
    texts = (capsys.readouterr().out or caplog.text).splitlines()
    assert sum("queueing behind it" in text for text in texts) == 1
    assert sum("still reports it as active" in text for text in texts) == 1


@WAITING
def test_attach_does_not_adopt_a_finished_run(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    stale = ended_run(emulator, clock, NIGHT)
    stay_locked(emulator, NIGHT, stale, times=1)

    outcome = run_task(operator(if_active="attach", **mode))

    assert outcome.state == "success"
    assert outcome.value != stale


@WAITING
def test_a_long_run_ahead_in_the_queue_does_not_delay_the_start_after_its_end(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", 1800)
    emulator.start_run(RIVAL)

    outcome = run_task(operator(poll_interval=30, **mode))

    assert outcome.state == "success"
    assert starts(emulator).count(303) == 1
