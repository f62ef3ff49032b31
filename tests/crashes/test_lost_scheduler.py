"""Scheduler, API server and database that are lost while tasks wait, on a worker and in the triggerer."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from .service import LOOK

if TYPE_CHECKING:
    from .crash_deployment import CrashDeployment, Scenario
    from .service import Service

pytestmark = pytest.mark.system

WAYS = ("crash_on_worker", "crash_deferred")


def begin_both(stage: CrashDeployment, services: ExitStack, name: str) -> list[tuple[Scenario, Service]]:
    waits = []
    for dag_id in WAYS:
        service = services.enter_context(stage.service(f"{name}_{dag_id}"))
        waits.append((stage.begin(dag_id, f"{name}_{dag_id}"), service))
    for _, service in waits:
        service.wait_for_more(LOOK)
    waits[1][0].wait_for("deferred")
    return waits


def end_both(waits: list[tuple[Scenario, Service]]) -> None:
    for play, service in waits:
        assert play.end() == "success"
        assert service.run_ids() == [play.xcom()], "one run was wanted, and one was started"


def test_a_lost_scheduler_takes_its_workers_with_it_and_no_run(quiet_stage: CrashDeployment) -> None:
    with ExitStack() as services:
        waits = begin_both(quiet_stage, services, "scheduler")
        quiet_stage.kill("scheduler")
        (_, deferred) = waits[1]
        deferred.finish()
        quiet_stage.restart("scheduler")
        (play, service) = waits[0]
        play.wait_for("running", tries=2)
        service.wait_for_more(LOOK)
        service.finish()
        end_both(waits)
        assert "has started run" in play.log(2)
        assert waits[1][0].task["try_number"] == 1


def test_a_lost_api_server_costs_no_run(quiet_stage: CrashDeployment) -> None:
    """
    The one wait ends while there is no API server.

    Airflow starts its task then all the same, and counts each start that finds no API server as a failed try.
    """
    with ExitStack() as services:
        waits = begin_both(quiet_stage, services, "api_server")
        quiet_stage.kill("api-server")
        for _, service in waits:
            service.wait_for_more(LOOK, more=3)
        waits[1][1].finish()
        quiet_stage.restart("api-server")
        waits[0][1].finish()
        end_both(waits)


def test_a_restarted_database_costs_no_run(quiet_stage: CrashDeployment) -> None:
    if not quiet_stage.has_database_server:
        pytest.skip("SQLite cannot be restarted")
    with ExitStack() as services:
        waits = begin_both(quiet_stage, services, "database")
        quiet_stage.break_database_connections()
        for _, service in waits:
            service.wait_for_more(LOOK, more=3)
        quiet_stage.restart_what_fell_over()
        for _, service in waits:
            service.wait_for_more(LOOK)
            service.finish()
        # A scheduler that falls over waits for its tasks first, so that it may be gone only now.
        quiet_stage.look_after(*(play for play, _ in waits))
        end_both(waits)
