"""Waits without any worker: the sensor starts and ends in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .deployment import Deployment

pytestmark = pytest.mark.system

DAG = "triggerer_only"


@pytest.fixture(scope="module")
def good(deployment: Deployment) -> str:
    """The id of a DAG run whose synchronization succeeds."""
    deployment.api.wait_for_dag(DAG)
    run_id = deployment.api.trigger(DAG, {"connection_id": "demo-second-connection"})
    assert deployment.api.wait_for_run(DAG, run_id) == "success", deployment.api.task_states(DAG, run_id)
    return run_id


@pytest.fixture(scope="module")
def bad(deployment: Deployment) -> str:
    """The id of a DAG run whose synchronization fails."""
    deployment.api.wait_for_dag(DAG)
    run_id = deployment.api.trigger(DAG, {"connection_id": "demo-failing-connection"})
    assert deployment.api.wait_for_run(DAG, run_id) == "failed", deployment.api.task_states(DAG, run_id)
    return run_id


def test_all_sensors_succeed_except_the_one_with_a_short_timeout(deployment: Deployment, good: str) -> None:
    assert deployment.api.task_states(DAG, good) == {
        "start": "success",
        "both": "success",
        "only_the_start": "success",
        "only_the_end": "success",
        "too_short": "skipped",
    }


def test_a_task_that_starts_and_ends_in_the_triggerer_never_runs_on_a_worker(deployment: Deployment, good: str) -> None:
    log = deployment.api.log(DAG, good, "both")

    assert "Waiting for run" in log
    assert "Success: 5 files in" in log
    assert "Pausing task as DEFERRED" not in log
    assert "Pushing xcom" not in log
    assert "::group::Pre Execute" not in log


def test_the_log_of_each_waiting_task_has_the_state_changes(deployment: Deployment, good: str) -> None:
    for task_id in ("both", "only_the_start", "only_the_end"):
        log = deployment.api.log(DAG, good, task_id)
        assert "is Completed after" in log, (task_id, log)


def test_the_report_does_not_depend_on_where_the_task_ends(deployment: Deployment, good: str) -> None:
    reports = [
        deployment.api.xcom(DAG, good, task_id, key)
        for task_id in ("both", "only_the_start", "only_the_end")
        for key in ("return_value", "run_report")
    ]

    assert reports[0]["result"] == "Success"
    assert all(report == reports[0] for report in reports)


def test_a_failed_run_fails_the_task_with_its_reason_and_without_a_retry(deployment: Deployment, bad: str) -> None:
    states = deployment.api.task_states(DAG, bad)
    assert {task: state for task, state in states.items() if task != "too_short"} == {
        "start": "success",
        "both": "failed",
        "only_the_start": "failed",
        "only_the_end": "failed",
    }
    for task_id in ("both", "only_the_start", "only_the_end"):
        assert "PD-ARC-Deck.rvt" in deployment.api.log(DAG, bad, task_id)
        assert deployment.api.task_instance(DAG, bad, task_id)["try_number"] == 1
