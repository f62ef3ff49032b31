"""
Loss of workers: whenever it happens, the retry resumes the run that was started, and starts no other.

This needs the task state store of Airflow 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

from .crash_deployment import CrashDagRun
from .service import POLL, RIVAL, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment
    from .service import Service

pytestmark = pytest.mark.system

FOUND = "began after this task first asked for a run; resuming with this run"
STORED = "A previous attempt of this task started run storage/night/{run}; resuming with this run"


def assert_resumes(dag_run: CrashDagRun, service: Service, log_text: str) -> None:
    """Check that the second attempt resumes the only run, and that the task ends with this run."""
    [run] = service.run_ids()
    dag_run.wait_for("running", attempt=2)
    dag_run.wait_for_log(log_text.format(run=run))
    ref = {"kind": "storage", "connection_id": "night", "run_id": run}
    assert wait_until(lambda: dag_run.xcom("run_ref") == ref, 30.0, every=0.5)
    service.finish()
    assert dag_run.end() == "success"
    assert dag_run.xcom() == run
    assert dag_run.xcom("run_report")["result"] == "Success"
    assert service.run_ids() == [run], "exactly one run was started"


def worker_lost_before_the_answer(
    deployment: CrashDeployment, name: str = "before_the_answer", skew: float = 0.0
) -> None:
    with deployment.service(name, skew) as service:
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        dag_run = deployment.start_dag_run("crash_on_worker", name)
        service.wait_for_runs(1)
        dag_run.kill_worker()
        assert_resumes(dag_run, service, FOUND)
        assert service.count(START) == 1, "the run was requested once"


def run_ended_before_the_retry(deployment: CrashDeployment) -> None:
    with deployment.service("ended_before_the_retry") as service:
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        dag_run = deployment.start_dag_run("crash_deferred", "ended_before_the_retry")
        service.wait_for_runs(1)
        dag_run.kill_task()
        service.finish(result="PartialSuccess")
        assert dag_run.end() == "success"
        assert FOUND in dag_run.log(2)
        assert [dag_run.xcom()] == service.run_ids()


def worker_lost_after_the_answer(deployment: CrashDeployment) -> None:
    worker_lost_at(deployment, "answered", FOUND)


def worker_lost_before_the_run_ref_is_published(deployment: CrashDeployment) -> None:
    worker_lost_at(deployment, "saved", STORED)


def worker_lost_at(deployment: CrashDeployment, point: str, log_text: str) -> None:
    name = f"lost_when_{point}"
    with deployment.service(name) as service:
        dag_run, stall_file = CrashDagRun.stalling(deployment, "crash_on_worker", name, point)
        assert wait_until(stall_file.exists, 180.0)
        assert dag_run.xcom("run_ref") is None
        dag_run.kill_worker()
        assert_resumes(dag_run, service, log_text)
        assert service.count(START) == 1


def worker_lost_before_the_deferral(deployment: CrashDeployment) -> None:
    with deployment.service("before_the_deferral") as service:
        dag_run, stall_file = CrashDagRun.stalling(deployment, "crash_deferred", "before_the_deferral", "saved")
        assert wait_until(stall_file.exists, 180.0)
        dag_run.kill_task()
        dag_run.wait_for("deferred", attempt=2)
        [run] = service.run_ids()
        assert dag_run.xcom("run_ref")["run_id"] == run
        service.finish()
        assert dag_run.end() == "success"
        assert service.run_ids() == [dag_run.xcom()]


def worker_lost_after_the_deferral(deployment: CrashDeployment) -> None:
    with deployment.service("after_the_deferral") as service:
        dag_run, stall_file = CrashDagRun.stalling(deployment, "crash_deferred", "after_the_deferral", "judging")
        dag_run.wait_for("deferred")
        service.finish()
        assert wait_until(stall_file.exists, 180.0)
        dag_run.kill_worker()
        assert dag_run.end() == "success"
        assert service.run_ids() == [dag_run.xcom()]
        assert STORED.format(run=dag_run.xcom()) in dag_run.log(2)


def task_killed_during_the_wait(deployment: CrashDeployment) -> None:
    with deployment.service("during_the_wait") as service:
        dag_run = deployment.start_dag_run("crash_on_worker", "during_the_wait")
        service.wait_for_more(POLL)
        dag_run.kill_task()
        assert_resumes(dag_run, service, STORED)

        dag_run.clear()
        service.wait_for_runs(2)
        service.finish()
        assert dag_run.end() == "success"
        assert service.run_ids()[1:] == [dag_run.xcom()], "a cleared task starts a run of its own"


def worker_lost_in_the_queue(deployment: CrashDeployment) -> None:
    with deployment.service("in_the_queue") as service:
        service.emulator.start_run(RIVAL)
        dag_run = deployment.start_dag_run("crash_on_worker", "in_the_queue")
        service.wait_for_more(POLL, RIVAL)
        dag_run.kill_worker()
        dag_run.wait_for("running", attempt=2)
        service.wait_for_more(POLL, RIVAL)
        assert service.run_ids() == []
        service.finish(RIVAL)
        service.wait_for_runs(1)
        service.finish()
        assert dag_run.end() == "success"
        assert service.run_ids() == [dag_run.xcom()]
        assert len(service.run_ids(RIVAL)) == 1


def cleared_after_its_last_attempt_was_lost(deployment: CrashDeployment) -> None:
    with deployment.service("no_attempt_left") as service:
        dag_run = deployment.start_dag_run("crash_on_worker_once", "no_attempt_left")
        service.wait_for_more(POLL)
        dag_run.kill_task()
        assert dag_run.end() == "failed"
        [lost] = service.run_ids()
        dag_run.clear()
        assert_starts_a_new_run_after(lost, dag_run, service)


def cleared_while_it_ran(deployment: CrashDeployment) -> None:
    with deployment.service("cleared_while_it_ran") as service:
        dag_run = deployment.start_dag_run("crash_on_worker", "cleared_while_it_ran")
        service.wait_for_more(POLL)
        [old] = service.run_ids()
        dag_run.clear()
        assert_starts_a_new_run_after(old, dag_run, service)


def cleared_after_its_worker_was_lost(deployment: CrashDeployment) -> None:
    """A user clears the hanging task before Airflow notices the loss."""
    with deployment.service("cleared_after_the_loss") as service:
        dag_run = deployment.start_dag_run("crash_on_worker", "cleared_after_the_loss")
        service.wait_for_more(POLL)
        [old] = service.run_ids()
        dag_run.kill_worker()
        dag_run.clear()
        assert dag_run.task["state"] == "restarting"
        assert_starts_a_new_run_after(old, dag_run, service)


def assert_starts_a_new_run_after(old: str, dag_run: CrashDagRun, service: Service) -> None:
    """Check that a cleared task waits for its old run, and then starts a new one."""
    dag_run.wait_for("running", attempt=2)
    dag_run.wait_for_log(f"The iModel is being synchronized by run storage/night/{old}; queueing behind it")
    service.finish()
    service.wait_for_runs(2)
    service.finish()
    assert dag_run.end() == "success"
    assert service.run_ids() == [old, dag_run.xcom()]


@pytest.mark.parametrize(
    "scenario",
    [
        worker_lost_before_the_answer,
        run_ended_before_the_retry,
        worker_lost_after_the_answer,
        worker_lost_before_the_run_ref_is_published,
        worker_lost_before_the_deferral,
        worker_lost_after_the_deferral,
        task_killed_during_the_wait,
        worker_lost_in_the_queue,
        cleared_after_its_last_attempt_was_lost,
        cleared_while_it_ran,
        cleared_after_its_worker_was_lost,
    ],
)
def test_losing_a_worker_loses_no_run(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
