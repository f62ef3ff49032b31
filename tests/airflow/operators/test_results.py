"""A run operator and the result of its run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinRunFailedError,
)
from tests.airflow.operators.run_operators import (
    LEAVING,
    NIGHT,
    WAITING,
    operator,
    run_ids,
    runs,
)
from tests.airflow.sdk import AirflowFailException
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunTask = Callable[..., Outcome]


@WAITING
def test_a_failed_run_fails_the_task_retryably_and_a_retry_starts_a_new_one(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=[{"file": "Roof.rvt", "message": "It leaks.", "can_user_fix": True}])
    first = run_task(operator(**mode))
    assert first.state == "up_for_retry"
    assert isinstance(first.error, ITwinRunFailedError)
    assert not isinstance(first.error, AirflowFailException)
    for words in ("Roof.rvt", "It leaks.", "You can fix this", run_ids(emulator)[0], NIGHT, "its result is Error"):
        assert words in first.text
    assert first.error.report == first.xcoms["run_report"]
    assert first.xcoms["run_report"]["failing_tasks"][0]["file_name"] == "Roof.rvt"
    second = run_task(operator(**mode))
    assert second.state == "up_for_retry"
    assert len(run_ids(emulator)) == 2
    assert second.xcoms["run_ref"]["run_id"] == run_ids(emulator)[1]


RESULTS = {
    "Success": "success",
    "PartialSuccess": "success",
    "Skipped": "success",
    "Error": "up_for_retry",
    "TimedOut": "up_for_retry",
    "Canceled": "up_for_retry",
    "Undetermined": "up_for_retry",
    "Exploded": "up_for_retry",
}


@WAITING
@pytest.mark.parametrize(("result", "state"), RESULTS.items())
def test_the_default_meaning_of_each_result(
    emulator: Emulator, run_task: RunTask, result: str, state: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, result)
    outcome = run_task(operator(**mode))
    assert outcome.state == state
    assert outcome.xcoms["run_report"]["result"] == result
    assert (outcome.value is not None) == (state == "success")


@WAITING
@pytest.mark.parametrize(
    ("result", "arguments", "state"),
    [
        ("PartialSuccess", {"fail_on": ["Error", "PartialSuccess"]}, "up_for_retry"),
        ("Error", {"fail_on": []}, "success"),
        ("Error", {"fail_on": "Canceled"}, "success"),
        ("Canceled", {"fail_on": "Cancelled"}, "up_for_retry"),
        ("Exploded", {"fail_on": []}, "up_for_retry"),
        ("Exploded", {"skip_on": ["Skipped"]}, "up_for_retry"),
        ("Skipped", {"skip_on": ["Skipped"]}, "skipped"),
        ("Canceled", {"fail_on": ["Error"], "skip_on": ("canceled",)}, "skipped"),
        ("Success", {"skip_on": ["Success"]}, "skipped"),
        ("Success", {"fail_on": ["success"]}, "up_for_retry"),
        ("Error", {"fail_on": {"Error"}}, "up_for_retry"),
    ],
)
def test_fail_on_and_skip_on_decide_about_results(
    emulator: Emulator, run_task: RunTask, result: str, arguments: dict[str, Any], state: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, result)
    outcome = run_task(operator(**arguments, **mode))
    assert outcome.state == state
    assert outcome.xcoms["run_report"]["result"] == result
    if state == "skipped":
        assert result in outcome.text


@WAITING
def test_results_can_be_passed_as_an_iterator(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.plan_run(NIGHT, "Error")
    assert run_task(operator(fail_on=iter(["Error"]), **mode)).state == "up_for_retry"
    assert run_task(operator(fail_on=[], skip_on=(name for name in ["Error"]), **mode)).state == "skipped"


@WAITING
def test_both_spellings_of_canceled_are_accepted(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.quirks.canceled_spelling = "Cancelled"
    emulator.plan_run(NIGHT, "Canceled")
    assert run_task(operator(**mode)).state == "up_for_retry"
    assert run_task(operator(fail_on=["Error"], skip_on=["Canceled"], **mode)).state == "skipped"


@WAITING
def test_a_finished_run_without_a_result_fails(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.quirks.null_fields = ("result",)
    outcome = run_task(operator(fail_on=[], **mode))
    assert outcome.state == "up_for_retry"
    assert "no result" in outcome.text


@WAITING
def test_an_unknown_state_counts_as_running(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.plan_run(NIGHT, "Success", 600, states=[("Pondering", 0.5), ("Succeeded", 0.25), ("Failed", 0.25)])
    outcome = run_task(operator(**mode))
    assert outcome.state == "success"
    assert runs(emulator)[0]["state"] == "Completed"


@WAITING
def test_a_partial_success_logs_a_warning_with_the_failing_files(
    emulator: Emulator, run_task: RunTask, caplog: pytest.LogCaptureFixture, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess", 600, failing=[{"file": "Tower.dgn", "message": "No reference."}])
    caplog.set_level(logging.INFO)
    outcome = run_task(operator(**mode))
    assert outcome.state == "success"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("Tower.dgn", "No reference.", "PartialSuccess", outcome.value):
        assert words in warning


@WAITING
@pytest.mark.parametrize(("strict", "state"), [(False, "success"), (True, "up_for_retry")])
def test_strict_decides_about_a_success_with_failed_files(
    emulator: Emulator,
    run_task: RunTask,
    caplog: pytest.LogCaptureFixture,
    mode: dict[str, Any],
    strict: bool,
    state: str,
) -> None:
    emulator.quirks.success_with_failure = True
    emulator.plan_run(NIGHT, "Success", 600, failing=["Tower.dgn"])
    caplog.set_level(logging.WARNING)
    outcome = run_task(operator(strict=strict, **mode))
    assert outcome.state == state
    assert "Tower.dgn" in (caplog.text if state == "success" else outcome.text)


@WAITING
def test_the_result_does_not_depend_on_the_file_names(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=["Tower.dgn"])
    emulator.fail("get-storage-connection-sourcefiles", None, 500)
    outcome = run_task(operator(**mode))
    assert isinstance(outcome.error, ITwinRunFailedError)
    assert outcome.xcoms["run_report"]["failing_tasks"][0]["file_id"] in outcome.text


def test_a_connection_with_user_authentication_logs_a_warning(
    emulator: Emulator, run_task: RunTask, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.add_connection(connection_id="personal", authentication_type="User")
    assert run_task(operator(connection_id="personal", **LEAVING)).state == "success"
    assert "UserNotAuthenticated" in capsys.readouterr().out + caplog.text
    caplog.clear()
    emulator.finish_run("personal")
    assert run_task(operator(connection_id="personal", preflight=False, **LEAVING)).state == "success"
    assert "UserNotAuthenticated" not in capsys.readouterr().out + caplog.text
