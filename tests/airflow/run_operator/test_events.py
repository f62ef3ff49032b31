"""What a run operator believes of what a triggerer tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_itwin.api.wait.waiter import WaitEvent
from airflow_provider_itwin.exceptions import ITwinPermanentError, ITwinTriggerEventError
from airflow_provider_itwin.utils import run_outcome
from tests.airflow.run_sensor.sensors import sensor
from tests.airflow.single_task import Outcome, resumed

from .operators import (
    DEFERRED,
    NIGHT,
    operator,
    run_ids,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

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
        {"spec": None},
        {"spec": {}},
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
    for name in ("end", "spec", "ref", "report", "memo"):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), {key: value for key, value in good_event.items() if key != name})
    assert len(run_ids(emulator)) == 1


@pytest.mark.parametrize("missing", ["polls", "elapsed", "state", "error", "version"])
def test_a_part_that_only_informs_may_be_missing(emulator: Emulator, good_event: dict[str, Any], missing: str) -> None:
    event = {key: value for key, value in good_event.items() if key != missing} | {"added_later": {"a": [1]}}
    assert resumed(operator(**DEFERRED), event) == run_ids(emulator)[0]


def test_an_event_of_a_newer_version_is_no_success_and_starts_nothing(
    emulator: Emulator, good_event: dict[str, Any]
) -> None:
    with pytest.raises(ITwinTriggerEventError, match="has version 2"):
        resumed(operator(**DEFERRED), good_event | {"version": 2})
    with pytest.raises(ITwinTriggerEventError, match="has version 2"):
        resumed(operator(**DEFERRED), good_event | {"memo": good_event["memo"] | {"version": 2}})
    assert len(run_ids(emulator)) == 1


@pytest.mark.parametrize(("retryable", "kind"), [(True, ITwinTriggerEventError), (False, ITwinPermanentError)])
def test_an_event_that_carries_an_error_is_read_as_one(
    emulator: Emulator, retryable: bool, kind: type[Exception]
) -> None:
    event = {"version": 1, "error": "run_id must be a str, not None", "retryable": retryable}
    for task in (operator(**DEFERRED), sensor(run_id="a-run", deferrable=True)):
        with pytest.raises(kind, match="could not begin the wait: run_id must be a str"):
            resumed(task, event)
    assert runs(emulator) == []


def test_the_end_of_another_run_never_passes_for_that_of_ours(
    emulator: Emulator, run_task: RunTask, good_event: dict[str, Any]
) -> None:
    other = run_task(operator(**DEFERRED)).events[-1]
    for mixed in (
        good_event | {"memo": other["memo"]},
        good_event | {"report": other["report"]},
        good_event | {"report": other["report"], "ref": other["ref"]},
        good_event | {"spec": other["spec"]},
    ):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), mixed)
    assert WaitEvent.read(other).report is not None


@pytest.fixture(params=["3.0", "any other"])
def airflow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    version: str = request.param
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_0_PLUS", True)
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_1_PLUS", version != "3.0")
    return version


def test_what_airflow_3_0_hands_over_from_the_try_before_does_not_count(
    emulator: Emulator, run_task: RunTask, airflow: str
) -> None:
    emulator.plan_run(NIGHT, "Error", 600)
    first = run_task(operator(**DEFERRED))
    assert (first.state, len(runs(emulator))) == ("up_for_retry", 1)
    emulator.plan_run(NIGHT, "Success", 600)
    second = run_task(operator(**DEFERRED), event=first.events[-1], try_number=2)
    if airflow == "3.0":
        assert (second.state, len(runs(emulator))) == ("success", 2)
        assert second.value == run_ids(emulator)[-1] != first.events[-1]["spec"]["run_id"]
    else:
        # A try that goes on after a deferral must never start another run, whatever its number is said to be.
        assert (second.state, len(runs(emulator))) == ("up_for_retry", 1)


@pytest.mark.usefixtures("airflow")
def test_what_the_triggerer_tells_this_try_counts_on_every_airflow(emulator: Emulator, run_task: RunTask) -> None:
    event = run_task(operator(**DEFERRED), try_number=2).events[-1]
    assert run_task(operator(**DEFERRED), event=event, try_number=2).value == run_ids(emulator)[0]
    del event["memo"]["try_number"]
    assert run_task(operator(**DEFERRED), event=event, try_number=2).value == run_ids(emulator)[0]
    assert len(runs(emulator)) == 1
