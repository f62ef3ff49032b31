"""Loss of the scheduler, the API server or the database while tasks wait on a worker and in the triggerer."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from .service import POLL

if TYPE_CHECKING:
    from .crash_deployment import CrashDagRun, CrashDeployment
    from .service import Service

pytestmark = pytest.mark.system

WAYS = ("crash_on_worker", "crash_deferred")


def start_both(deployment: CrashDeployment, services: ExitStack, name: str) -> list[tuple[CrashDagRun, Service]]:
    waits = []
    for dag_id in WAYS:
        service = services.enter_context(deployment.service(f"{name}_{dag_id}"))
        waits.append((deployment.start_dag_run(dag_id, f"{name}_{dag_id}"), service))
    for _, service in waits:
        service.wait_for_more(POLL)
    waits[1][0].wait_for("deferred")
    return waits


def assert_both_succeed(waits: list[tuple[CrashDagRun, Service]]) -> None:
    for dag_run, service in waits:
        assert dag_run.end() == "success"
        assert service.run_ids() == [dag_run.xcom()], "exactly one run was started"


def test_losing_the_scheduler_and_its_workers_loses_no_run(idle_deployment: CrashDeployment) -> None:
    with ExitStack() as services:
        waits = start_both(idle_deployment, services, "scheduler")
        idle_deployment.kill("scheduler")
        (_, deferred) = waits[1]
        deferred.finish()
        idle_deployment.restart("scheduler")
        (dag_run, service) = waits[0]
        dag_run.wait_for("running", attempt=2)
        service.wait_for_more(POLL)
        service.finish()
        assert_both_succeed(waits)
        assert "started run" in dag_run.log(2)
        assert waits[1][0].task["try_number"] == 1


def test_losing_the_api_server_loses_no_run(idle_deployment: CrashDeployment) -> None:
    """
    One of the waits ends while the API server is down.

    Airflow starts the task nevertheless, and counts each start without an API server as a failed attempt.
    """
    with ExitStack() as services:
        waits = start_both(idle_deployment, services, "api_server")
        idle_deployment.kill("api-server")
        for _, service in waits:
            service.wait_for_more(POLL, more=3)
        waits[1][1].finish()
        idle_deployment.restart("api-server")
        waits[0][1].finish()
        assert_both_succeed(waits)


def test_restarting_the_database_loses_no_run(idle_deployment: CrashDeployment) -> None:
    if not idle_deployment.has_database_server:
        pytest.skip("SQLite cannot be restarted")
    with ExitStack() as services:
        waits = start_both(idle_deployment, services, "database")
        idle_deployment.break_database_connections()
        for _, service in waits:
            service.wait_for_more(POLL, more=3)
        idle_deployment.restart_stopped()
        for _, service in waits:
            service.wait_for_more(POLL)
            service.finish()
        # A scheduler that stops waits for its tasks first, so it may have stopped only now.
        idle_deployment.restart_until_ended(*(dag_run for dag_run, _ in waits))
        assert_both_succeed(waits)
