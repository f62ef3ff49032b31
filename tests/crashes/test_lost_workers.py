"""
Workers that are lost: whatever the moment, the retry goes on with the run that was started, and starts no other.

The task state store of Airflow 3.3 is what makes it so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

from .crash_deployment import Scenario
from .service import LOOK, RIVAL, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment
    from .service import Service

pytestmark = pytest.mark.system

FOUND = "began after an earlier try of this task had asked for it; going on with that"
REMEMBERED = "An earlier try of this task has started run storage/night/{run} already; going on with that"


def goes_on_with_the_run(play: Scenario, service: Service, words: str) -> None:
    """The second try is about the only run, whose end is the end of the task."""
    [run] = service.run_ids()
    play.wait_for("running", tries=2)
    play.wait_for_words(words.format(run=run))
    ref = {"kind": "storage", "connection_id": "night", "run_id": run}
    assert wait_until(lambda: play.xcom("run_ref") == ref, 30.0, every=0.5)
    service.finish()
    assert play.end() == "success"
    assert play.xcom() == run
    assert play.xcom("run_report")["result"] == "Success"
    assert service.run_ids() == [run], "one run was wanted, and one was started"


def worker_lost_before_the_answer(stage: CrashDeployment, name: str = "before_the_answer", skew: float = 0.0) -> None:
    with stage.service(name, skew) as service:
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        play = stage.begin("crash_on_worker", name)
        service.wait_for_runs(1)
        play.kill_worker()
        goes_on_with_the_run(play, service, FOUND)
        assert service.count(START) == 1, "nothing was asked for twice"


def run_ended_before_the_retry(stage: CrashDeployment) -> None:
    with stage.service("ended_before_the_retry") as service:
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        play = stage.begin("crash_deferred", "ended_before_the_retry")
        service.wait_for_runs(1)
        play.kill_task()
        service.finish(result="PartialSuccess")
        assert play.end() == "success"
        assert FOUND in play.log(2)
        assert [play.xcom()] == service.run_ids()


def worker_lost_after_the_answer(stage: CrashDeployment) -> None:
    lost_at(stage, "answered", FOUND)


def worker_lost_before_the_run_is_told(stage: CrashDeployment) -> None:
    lost_at(stage, "kept", REMEMBERED)


def lost_at(stage: CrashDeployment, moment: str, words: str) -> None:
    name = f"lost_when_{moment}"
    with stage.service(name) as service:
        play, sign = Scenario.stalling(stage, "crash_on_worker", name, moment)
        assert wait_until(sign.exists, 180.0)
        assert play.xcom("run_ref") is None
        play.kill_worker()
        goes_on_with_the_run(play, service, words)
        assert service.count(START) == 1


def worker_lost_before_the_deferral(stage: CrashDeployment) -> None:
    with stage.service("before_the_deferral") as service:
        play, sign = Scenario.stalling(stage, "crash_deferred", "before_the_deferral", "kept")
        assert wait_until(sign.exists, 180.0)
        play.kill_task()
        play.wait_for("deferred", tries=2)
        [run] = service.run_ids()
        assert play.xcom("run_ref")["run_id"] == run
        service.finish()
        assert play.end() == "success"
        assert service.run_ids() == [play.xcom()]


def worker_lost_after_the_deferral(stage: CrashDeployment) -> None:
    with stage.service("after_the_deferral") as service:
        play, sign = Scenario.stalling(stage, "crash_deferred", "after_the_deferral", "judging")
        play.wait_for("deferred")
        service.finish()
        assert wait_until(sign.exists, 180.0)
        play.kill_worker()
        assert play.end() == "success"
        assert service.run_ids() == [play.xcom()]
        assert REMEMBERED.format(run=play.xcom()) in play.log(2)


def task_killed_during_the_wait(stage: CrashDeployment) -> None:
    with stage.service("during_the_wait") as service:
        play = stage.begin("crash_on_worker", "during_the_wait")
        service.wait_for_more(LOOK)
        play.kill_task()
        goes_on_with_the_run(play, service, REMEMBERED)

        play.clear()
        service.wait_for_runs(2)
        service.finish()
        assert play.end() == "success"
        assert service.run_ids()[1:] == [play.xcom()], "a cleared task has a run of its own"


def worker_lost_in_the_queue(stage: CrashDeployment) -> None:
    with stage.service("in_the_queue") as service:
        service.emulator.start_run(RIVAL)
        play = stage.begin("crash_on_worker", "in_the_queue")
        service.wait_for_more(LOOK, RIVAL)
        play.kill_worker()
        play.wait_for("running", tries=2)
        service.wait_for_more(LOOK, RIVAL)
        assert service.run_ids() == []
        service.finish(RIVAL)
        service.wait_for_runs(1)
        service.finish()
        assert play.end() == "success"
        assert service.run_ids() == [play.xcom()]
        assert len(service.run_ids(RIVAL)) == 1


def cleared_after_its_last_try_was_lost(stage: CrashDeployment) -> None:
    with stage.service("no_try_left") as service:
        play = stage.begin("crash_on_worker_once", "no_try_left")
        service.wait_for_more(LOOK)
        play.kill_task()
        assert play.end() == "failed"
        [lost] = service.run_ids()
        play.clear()
        starts_anew_behind(lost, play, service)


def cleared_while_it_ran(stage: CrashDeployment) -> None:
    with stage.service("cleared_while_it_ran") as service:
        play = stage.begin("crash_on_worker", "cleared_while_it_ran")
        service.wait_for_more(LOOK)
        [old] = service.run_ids()
        play.clear()
        starts_anew_behind(old, play, service)


def cleared_after_its_worker_was_lost(stage: CrashDeployment) -> None:
    """Somebody sees that it hangs and clears it, before Airflow notices the loss."""
    with stage.service("cleared_after_the_loss") as service:
        play = stage.begin("crash_on_worker", "cleared_after_the_loss")
        service.wait_for_more(LOOK)
        [old] = service.run_ids()
        play.kill_worker()
        play.clear()
        assert play.task["state"] == "restarting"
        starts_anew_behind(old, play, service)


def starts_anew_behind(old: str, play: Scenario, service: Service) -> None:
    """A cleared task waits for the run that it no longer wants, and then has one of its own."""
    play.wait_for("running", tries=2)
    play.wait_for_words(f"The iModel is being synchronized by run storage/night/{old}; queueing behind it")
    service.finish()
    service.wait_for_runs(2)
    service.finish()
    assert play.end() == "success"
    assert service.run_ids() == [old, play.xcom()]


@pytest.mark.parametrize(
    "scene",
    [
        worker_lost_before_the_answer,
        run_ended_before_the_retry,
        worker_lost_after_the_answer,
        worker_lost_before_the_run_is_told,
        worker_lost_before_the_deferral,
        worker_lost_after_the_deferral,
        task_killed_during_the_wait,
        worker_lost_in_the_queue,
        cleared_after_its_last_try_was_lost,
        cleared_while_it_ran,
        cleared_after_its_worker_was_lost,
    ],
)
def test_no_lost_worker_loses_a_run(
    scene: Callable[[CrashDeployment], None], play: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    play(scene)
