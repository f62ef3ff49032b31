"""A service whose clock is an hour off: what began before a task asked, and what began since, is still told apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from .service import LOOK, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment

pytestmark = pytest.mark.system

HOUR = 3600.0


def old_run_is_not_ours_but_the_lost_one_is(stage: CrashDeployment, skew: float) -> None:
    name = "an_hour_ahead" if skew > 0 else "an_hour_behind"
    with stage.service(name, skew) as service:
        old = service.emulator.start_run("night")
        play = stage.begin("crash_on_worker", name)
        play.wait_for_words(f"The iModel is being synchronized by run storage/night/{old}; queueing behind it")
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        service.finish()
        service.wait_for_runs(2)
        play.kill_worker()
        play.wait_for("running", tries=2)
        service.wait_for_more(LOOK)
        service.finish()
        assert play.end() == "success"
        assert service.run_ids() == [old, play.xcom()]


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(partial(old_run_is_not_ours_but_the_lost_one_is, skew=HOUR), id="ahead"),
        pytest.param(partial(old_run_is_not_ours_but_the_lost_one_is, skew=-HOUR), id="behind"),
    ],
)
def test_the_services_clock_does_not_matter(
    scene: Callable[[CrashDeployment], None], play: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    play(scene)
