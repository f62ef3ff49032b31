"""Loss of triggerers while tasks wait in them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

from .service import POLL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .crash_deployment import CrashDagRun, CrashDeployment
    from .service import Service

pytestmark = pytest.mark.system

TIMEOUT = 25.0


@dataclass
class Wait:
    """A task that waits in the triggerer, and its service."""

    dag_run: CrashDagRun
    service: Service

    def assert_succeeds(self) -> None:
        """Check that the task succeeds in its first attempt, with the only run that was started."""
        assert (self.dag_run.end(), self.dag_run.task["try_number"]) == ("success", 1)
        assert [self.dag_run.xcom("run_report")["ref"]["run_id"]] == self.service.run_ids()


@pytest.fixture(scope="module")
def waits(idle_deployment: CrashDeployment) -> Iterator[dict[str, Wait]]:
    """Tasks that wait while all triggerers are lost, and then one of two."""
    deployment = idle_deployment
    with ExitStack() as services:

        def start(name: str, dag_id: str = "crash_deferred", **conf: float) -> Wait:
            service = services.enter_context(deployment.service(name))
            return Wait(deployment.start_dag_run(dag_id, name, **conf), service)

        waits = {
            "still running": start("still_running"),
            "sensor": start("sensor_still_running", "crash_sensor"),
            "finished": start("finished"),
        }
        job_service = services.enter_context(deployment.service("job"))
        job_service.emulator.add_itwin("survey")
        job_service.emulator.plan_job("reality-modeling", duration=1e6)
        waits["job"] = Wait(deployment.start_dag_run("crash_job_deferred", "job"), job_service)
        for wait in waits.values():
            wait.dag_run.wait_for("deferred")
        # Started last, because their timeout starts with them.
        waits["finished after timeout"] = start("finished_after_timeout", "crash_deferred_once", timeout=TIMEOUT)
        waits["timed out"] = start("timed_out", "crash_deferred_once", timeout=TIMEOUT)
        for wait in waits.values():
            wait.dag_run.wait_for("deferred")
        deadline = time.monotonic() + TIMEOUT
        deployment.kill("triggerer")
        assert wait_until(lambda: time.monotonic() > deadline, TIMEOUT + 1.0)
        for name in ("finished", "finished after timeout"):
            waits[name].service.finish()
        [job] = job_service.emulator.jobs()
        job_service.emulator.finish_job(job["id"])
        assert {wait.dag_run.task["state"] for wait in waits.values()} == {"deferred"}
        deployment.restart("triggerer")
        yield waits


def test_a_run_that_finished_while_the_triggerer_was_down_succeeds(waits: dict[str, Wait]) -> None:
    waits["finished"].assert_succeeds()


def test_a_job_that_finished_while_the_triggerer_was_down_succeeds(waits: dict[str, Wait]) -> None:
    wait = waits["job"]
    assert (wait.dag_run.end(), wait.dag_run.task["try_number"]) == ("success", 1)
    assert [wait.dag_run.xcom()] == [job["id"] for job in wait.service.emulator.jobs()]


def test_a_run_that_finished_counts_although_the_timeout_passed_too(waits: dict[str, Wait]) -> None:
    waits["finished after timeout"].assert_succeeds()


def test_a_run_that_is_running_after_the_timeout_fails_the_task(waits: dict[str, Wait]) -> None:
    wait = waits["timed out"]

    assert wait.dag_run.end() == "failed"
    assert "ITwinWaitTimeLimitError" in wait.dag_run.log()
    assert "when the timeout passed (timeout or execution_timeout)" in wait.dag_run.log()
    assert len(wait.service.run_ids()) == 1


def test_other_waits_resume_and_a_second_triggerer_takes_them_over(
    waits: dict[str, Wait], idle_deployment: CrashDeployment
) -> None:
    running = [waits["still running"], waits["sensor"]]
    for wait in running:
        wait.service.wait_for_more(POLL)
    idle_deployment.add_triggerer()
    idle_deployment.kill("triggerer")
    for wait in running:
        wait.service.wait_for_more(POLL)
        assert wait.dag_run.task["state"] == "deferred"
        wait.service.finish()
    for wait in running:
        wait.assert_succeeds()
    idle_deployment.restart("triggerer")
    idle_deployment.remove_second_triggerer()
