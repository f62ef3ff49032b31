"""Which run a sensor waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.sdk import (
    AirflowSensorTimeout,
)
from tests.airflow.sensors.run_sensors import EACH_MODE, NIGHT, sensor
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


@EACH_MODE
def test_waits_for_a_run_that_begins_later(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    old = emulator.start_run(NIGHT)
    clock.sleep(900)
    clock.at(1200, lambda: emulator.start_run(NIGHT))
    outcome = run_task(sensor(started_after=clock.utcnow(), **mode))
    first, second = emulator.runs(NIGHT)
    assert first["id"] == old
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", second["id"])


@EACH_MODE
def test_an_older_run_that_is_still_running_is_ignored(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.start_run(NIGHT)
    clock.sleep(60)
    outcome = run_task(sensor(started_after=clock.utcnow(), timeout=1800, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)


@EACH_MODE
def test_a_finished_run_counts(emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]) -> None:
    start = clock.utcnow()
    clock.sleep(60)
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    clock.sleep(60)
    outcome = run_task(sensor(started_after=start, **mode))
    assert (outcome.state, outcome.value["ref"]["run_id"], outcome.triggers) == ("success", run_id, [])


def formats_of(time: datetime) -> dict[str, Any]:
    """Return a time in every accepted format."""
    return {
        "aware": time,
        "naive": time.replace(tzinfo=None),
        "Z": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "no zone": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "space": time.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        "elsewhere": time.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo).isoformat(),
        "str": str(time),
    }


@EACH_MODE
@pytest.mark.parametrize("form", formats_of(datetime(2026, 1, 1, tzinfo=UTC)))
def test_started_after_accepts_every_time_format(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any], form: str
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    run_id = emulator.start_run(NIGHT)
    begun = clock.utcnow()
    before, after = formats_of(begun - timedelta(seconds=30))[form], formats_of(begun + timedelta(seconds=30))[form]
    outcome = run_task(sensor(started_after=before, **mode))
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", run_id)
    assert run_task(sensor(started_after=after, timeout=120, **mode)).state == "failed"
