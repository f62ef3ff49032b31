"""What a run operator believes of what a triggerer tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_itwin.api.waiting import WaitEvent
from tests.airflow.single_task import Outcome, resumed

from .night import (
    DEFERRED,
    operator,
    run_ids,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_itwin.emulator import Emulator

    RunTask = Callable[..., Outcome]


@pytest.fixture
def good_event(emulator: Emulator, run_task: RunTask) -> dict[str, Any]:
    outcome = run_task(operator(**DEFERRED))
    assert outcome.state == "success"
    event: dict[str, Any] = outcome.events[-1]
    return event


GARBAGE: list[Any] = [None, {}, [], "", "success", "error", True, 42, {"status": "success"}, {"end": "finished"}]


@pytest.mark.parametrize("event", GARBAGE, ids=repr)
def test_an_event_that_makes_no_sense_never_passes_for_success(emulator: Emulator, event: Any) -> None:
    with pytest.raises(AirflowException):
        resumed(operator(**DEFERRED), event)
    assert runs(emulator) == []


@pytest.mark.parametrize(
    "change",
    [
        {"end": "done"},
        {"end": None},
        {"end": "deadline"},
        {"end": "outage"},
        {"end": "refused"},
        {"report": None},
        {"report": {}},
        {"report": "Success"},
        {"order": None},
        {"order": {}},
        {"memo": None},
        {"memo": {}},
        {"memo": "memo"},
        {"ref": None},
        {"ref": "storage/a/b"},
        {"elapsed": None},
    ],
    ids=str,
)
def test_a_broken_event_never_passes_for_success(
    emulator: Emulator, good_event: dict[str, Any], change: dict[str, Any]
) -> None:
    assert resumed(operator(**DEFERRED), good_event) == run_ids(emulator)[0]
    with pytest.raises(AirflowException):
        resumed(operator(**DEFERRED), good_event | change)
    assert len(run_ids(emulator)) == 1


def test_a_missing_part_never_passes_for_success(emulator: Emulator, good_event: dict[str, Any]) -> None:
    for name in good_event:
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), {key: value for key, value in good_event.items() if key != name})
    assert len(run_ids(emulator)) == 1


def test_the_end_of_another_run_never_passes_for_that_of_ours(
    emulator: Emulator, run_task: RunTask, good_event: dict[str, Any]
) -> None:
    other = run_task(operator(**DEFERRED)).events[-1]
    for mixed in (
        good_event | {"memo": other["memo"]},
        good_event | {"report": other["report"]},
        good_event | {"report": other["report"], "ref": other["ref"]},
        good_event | {"order": other["order"]},
    ):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), mixed)
    assert WaitEvent.read(other).report is not None
