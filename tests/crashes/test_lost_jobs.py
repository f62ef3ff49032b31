"""
Loss of the worker that starts a job: the retry finds the job, and starts no second one. A user who ends the wait cancels the job.

The order of the requests matters, not their number: ``tests/airflow/operators/test_jobs.py`` loses the worker at other points.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .crash_deployment import CrashDagRun, CrashDeployment
    from .service import Service

pytestmark = pytest.mark.system

START = "reality-modeling-jobs-create"
POLL = "reality-modeling-jobs-progress"
ITWIN = "survey"


def worker_lost_during_the_start(deployment: CrashDeployment, name: str, *, processed: bool) -> None:
    with deployment.service(name) as service:
        service.emulator.add_itwin(ITWIN)
        service.emulator.plan_job("reality-modeling", duration=20)
        service.emulator.fail(START, kind="hang", processed=processed, seconds=100)
        dag_run = deployment.start_dag_run("crash_job", name)
        assert wait_until(lambda: service.count(START) == 1, 180.0)
        dag_run.kill_worker()
        assert dag_run.end() == "success"
        assert dag_run.task["try_number"] > 1
        [job] = service.emulator.jobs()
        assert dag_run.xcom() == job["id"]
        assert service.count(START) == (1 if processed else 2)


def worker_lost_before_the_job_was_started(deployment: CrashDeployment) -> None:
    worker_lost_during_the_start(deployment, "before_the_job", processed=False)


def worker_lost_after_the_job_was_started(deployment: CrashDeployment) -> None:
    worker_lost_during_the_start(deployment, "after_the_job", processed=True)


def worker_lost_during_the_wait(deployment: CrashDeployment) -> None:
    with deployment.service("job_wait") as service:
        service.emulator.add_itwin(ITWIN)
        service.emulator.plan_job("reality-modeling", duration=1e6)
        dag_run = deployment.start_dag_run("crash_job", "job_wait")
        service.wait_for_more(POLL, None)
        dag_run.kill_worker()
        dag_run.wait_for("running", attempt=2)
        service.wait_for_more(POLL, None)
        [job] = service.emulator.jobs()
        service.emulator.finish_job(job["id"])
        assert dag_run.end() == "success"
        assert [job["id"] for job in service.emulator.jobs()] == [dag_run.xcom()]


def marked_while_deferred(deployment: CrashDeployment) -> None:
    with waiting_in_the_triggerer(deployment, "job_marked") as (service, dag_run):
        [job] = service.emulator.jobs()
        dag_run.mark("failed")
        assert wait_until(lambda: service.emulator.jobs()[0]["state"] == "Cancelled", 120.0), service.emulator.jobs()
        assert dag_run.end() == "failed"
        assert [job["id"]] == [one["id"] for one in service.emulator.jobs()]
        dag_run.wait_for_log(f"job {job['id']} was canceled")


def cleared_while_deferred(deployment: CrashDeployment) -> None:
    with waiting_in_the_triggerer(deployment, "job_cleared") as (service, dag_run):
        dag_run.clear()
        assert wait_until(lambda: len(service.emulator.jobs()) == 2, 180.0), dag_run.log()
        first, second = service.emulator.jobs()
        assert wait_until(lambda: service.emulator.jobs()[0]["state"] == "Cancelled", 120.0), service.emulator.jobs()
        service.emulator.finish_job(second["id"])
        assert dag_run.end() == "success"
        assert dag_run.xcom() == second["id"] != first["id"]


@contextmanager
def waiting_in_the_triggerer(deployment: CrashDeployment, name: str) -> Iterator[tuple[Service, CrashDagRun]]:
    """A task that waits for a job in the triggerer."""
    with deployment.service(name) as service:
        service.emulator.add_itwin(ITWIN)
        service.emulator.plan_job("reality-modeling", duration=1e6)
        dag_run = deployment.start_dag_run("crash_job_deferred", name)
        dag_run.wait_for("deferred")
        service.wait_for_more(POLL, None)
        yield service, dag_run


@pytest.mark.parametrize("scenario", [marked_while_deferred, cleared_while_deferred])
def test_a_user_who_ends_the_wait_cancels_the_job(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)


@pytest.mark.parametrize(
    "scenario",
    [
        worker_lost_before_the_job_was_started,
        worker_lost_after_the_job_was_started,
        worker_lost_during_the_wait,
    ],
)
def test_losing_a_worker_starts_no_second_job(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
