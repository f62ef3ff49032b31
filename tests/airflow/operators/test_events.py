"""Which trigger events a run operator accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.wait.waiter import WaitResult
from airflow_provider_itwin.exceptions import ITwinPermanentError, ITwinTriggerEventError
from airflow_provider_itwin.utils import run_outcome
from tests.airflow.operators.run_operators import (
    DEFERRED,
    NIGHT,
    operator,
    run_ids,
    runs,
)
from tests.airflow.sdk import AirflowException
from tests.airflow.sensors.run_sensors import sensor
from tests.airflow.single_task import Outcome, resumed

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunTask = Callable[..., Outcome]


@pytest.fixture
def valid_event(emulator: Emulator, run_task: RunTask) -> dict[str, Any]:
    outcome = run_task(operator(**DEFERRED))
    assert outcome.state == "success"
    event: dict[str, Any] = outcome.events[-1]
    return event


GARBAGE: list[Any] = [None, {}, [], "", "success", "error", True, 42, {"status": "success"}, {"end": "finished"}]


@pytest.mark.parametrize("event", GARBAGE, ids=repr)
def test_an_invalid_event_never_passes_for_success(emulator: Emulator, event: Any) -> None:
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
def test_a_malformed_event_never_passes_for_success(
    emulator: Emulator, valid_event: dict[str, Any], change: dict[str, Any]
) -> None:
    assert resumed(operator(**DEFERRED), valid_event) == run_ids(emulator)[0]
    with pytest.raises(AirflowException):
        resumed(operator(**DEFERRED), valid_event | change)
    assert len(run_ids(emulator)) == 1


def test_an_event_without_a_required_member_never_passes_for_success(
    emulator: Emulator, valid_event: dict[str, Any]
) -> None:
    for name in ("end", "spec", "ref", "report", "memo"):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), {key: value for key, value in valid_event.items() if key != name})
    assert len(run_ids(emulator)) == 1


@pytest.mark.parametrize("missing", ["polls", "elapsed", "state", "error", "version"])
def test_an_optional_member_of_an_event_may_be_missing(
    emulator: Emulator, valid_event: dict[str, Any], missing: str
) -> None:
    event = {key: value for key, value in valid_event.items() if key != missing} | {"added_later": {"a": [1]}}
    assert resumed(operator(**DEFERRED), event) == run_ids(emulator)[0]


def test_an_event_of_a_newer_version_fails_the_task_and_starts_nothing(
    emulator: Emulator, valid_event: dict[str, Any]
) -> None:
    with pytest.raises(ITwinTriggerEventError, match="has version 2"):
        resumed(operator(**DEFERRED), valid_event | {"version": 2})
    with pytest.raises(ITwinTriggerEventError, match="has version 2"):
        resumed(operator(**DEFERRED), valid_event | {"memo": valid_event["memo"] | {"version": 2}})
    assert len(run_ids(emulator)) == 1


@pytest.mark.parametrize(("retryable", "kind"), [(True, ITwinTriggerEventError), (False, ITwinPermanentError)])
def test_an_error_event_raises_its_error(emulator: Emulator, retryable: bool, kind: type[Exception]) -> None:
    event = {"version": 1, "error": "run_id must be a str, not None", "retryable": retryable}
    for task in (operator(**DEFERRED), sensor(run_id="a-run", deferrable=True)):
        with pytest.raises(kind, match="could not begin the wait: run_id must be a str"):
            resumed(task, event)
    assert runs(emulator) == []


def test_an_event_about_another_run_never_passes_for_success(
    emulator: Emulator, run_task: RunTask, valid_event: dict[str, Any]
) -> None:
    other = run_task(operator(**DEFERRED)).events[-1]
    for mixed in (
        valid_event | {"memo": other["memo"]},
        valid_event | {"report": other["report"]},
        valid_event | {"report": other["report"], "ref": other["ref"]},
        valid_event | {"spec": other["spec"]},
    ):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), mixed)
    assert WaitResult.from_event(other).report is not None


@pytest.fixture(params=["3.0", "any other"])
def airflow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    version: str = request.param
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_0_PLUS", True)
    monkeypatch.setattr(run_outcome, "AIRFLOW_V_3_1_PLUS", version != "3.0")
    return version


def test_the_event_of_the_previous_attempt_is_ignored_on_airflow_3_0(
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
        # An attempt that resumes after a deferral must never start another run, whatever its number is.
        assert (second.state, len(runs(emulator))) == ("up_for_retry", 1)


@pytest.mark.usefixtures("airflow")
def test_the_event_of_this_attempt_counts_on_every_airflow(emulator: Emulator, run_task: RunTask) -> None:
    event = run_task(operator(**DEFERRED), try_number=2).events[-1]
    assert run_task(operator(**DEFERRED), event=event, try_number=2).value == run_ids(emulator)[0]
    del event["memo"]["try_number"]
    assert run_task(operator(**DEFERRED), event=event, try_number=2).value == run_ids(emulator)[0]
    assert len(runs(emulator)) == 1
