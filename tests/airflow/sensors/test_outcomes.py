"""The outcome of a run sensor is the same on the worker, rescheduled and deferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
)
from tests.airflow.sdk import (
    AirflowFailException,
)
from tests.airflow.sensors.run_sensors import EACH_MODE, FLAGS, sensor
from tests.airflow.sensors.situations import SITUATIONS
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunTask = Callable[..., Outcome]


@EACH_MODE
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_same_outcome_in_each_mode(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    situation: str,
    flag: str,
    mode: dict[str, Any],
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    outcome = run_task(sensor(**arguments | mode | FLAGS[flag]), most_parts=400)
    assert outcome.state == SITUATIONS[situation].states[flag], outcome.text
    assert ("run_report" in outcome.xcoms) == (outcome.value is not None or "result" in outcome.text)
    if outcome.state == "success":
        assert outcome.value == outcome.xcoms["run_report"]
    else:
        assert outcome.value is None
        assert len(outcome.text) > 20


@EACH_MODE
@pytest.mark.parametrize("situation", ["run id None", "run id a link", "connection id None", "connection id a path"])
def test_sends_no_request_for_invalid_input(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None], situation: str, mode: dict[str, Any]
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    outcome = run_task(sensor(**arguments | mode))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert isinstance(outcome.error, AirflowFailException)
    assert situation.split()[0] + "_id" in outcome.text
    assert not emulator.request_log
