"""Triggerers that are lost while tasks wait in them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

from .service import LOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .crash_deployment import CrashDeployment, Scenario
    from .service import Service

pytestmark = pytest.mark.system

LIMIT = 25.0


@dataclass
class Wait:
    """A task that waits in the triggerer, and the service that it waits for."""

    play: Scenario
    service: Service

    def ends_well(self) -> None:
        """The task ends in its first try, with the only run that was started."""
        assert (self.play.end(), self.play.task["try_number"]) == ("success", 1)
        assert [self.play.xcom("run_report")["ref"]["run_id"]] == self.service.run_ids()


@pytest.fixture(scope="module")
def waits(quiet_stage: CrashDeployment) -> Iterator[dict[str, Wait]]:
    """Waits through the loss of all triggerers, and then of one of two."""
    stage = quiet_stage
    with ExitStack() as services:

        def begin(name: str, dag_id: str = "crash_deferred", **conf: float) -> Wait:
            service = services.enter_context(stage.service(name))
            return Wait(stage.begin(dag_id, name, **conf), service)

        waits = {
            "goes on": begin("goes_on"),
            "sensor": begin("sensor_goes_on", "crash_sensor"),
            "ended meanwhile": begin("ended_meanwhile"),
        }
        for wait in waits.values():
            wait.play.wait_for("deferred")
        # The last, for their time runs.
        waits["ended late"] = begin("ended_late", "crash_deferred_once", timeout=LIMIT)
        waits["too late"] = begin("too_late", "crash_deferred_once", timeout=LIMIT)
        for wait in waits.values():
            wait.play.wait_for("deferred")
        limits_pass_at = time.monotonic() + LIMIT
        stage.kill("triggerer")
        assert wait_until(lambda: time.monotonic() > limits_pass_at, LIMIT + 1.0)
        for name in ("ended meanwhile", "ended late"):
            waits[name].service.finish()
        assert {wait.play.task["state"] for wait in waits.values()} == {"deferred"}
        stage.restart("triggerer")
        yield waits


def test_nobody_to_wait_for_longer_than_the_run_takes(waits: dict[str, Wait]) -> None:
    waits["ended meanwhile"].ends_well()


def test_a_run_that_ended_counts_although_the_limit_passed_too(waits: dict[str, Wait]) -> None:
    waits["ended late"].ends_well()


def test_a_run_that_goes_on_after_the_limit_fails_the_task(waits: dict[str, Wait]) -> None:
    wait = waits["too late"]

    assert wait.play.end() == "failed"
    assert "ITwinWaitTimeLimitError" in wait.play.log()
    assert "when the limit that timeout or execution_timeout sets had passed" in wait.play.log()
    assert len(wait.service.run_ids()) == 1


def test_the_other_waits_go_on_and_a_second_triggerer_takes_them_over(
    waits: dict[str, Wait], quiet_stage: CrashDeployment
) -> None:
    going_on = [waits["goes on"], waits["sensor"]]
    for wait in going_on:
        wait.service.wait_for_more(LOOK)
    quiet_stage.add_triggerer()
    quiet_stage.kill("triggerer")
    for wait in going_on:
        wait.service.wait_for_more(LOOK)
        assert wait.play.task["state"] == "deferred"
        wait.service.finish()
    for wait in going_on:
        wait.ends_well()
    quiet_stage.restart("triggerer")
    quiet_stage.remove_second_triggerer()
