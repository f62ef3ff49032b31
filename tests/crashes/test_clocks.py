"""A service whose clock is an hour off: a task still distinguishes its own run from an older one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from .service import POLL, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment

pytestmark = pytest.mark.system

HOUR = 3600.0


def retry_resumes_its_own_run_and_not_the_older_one(deployment: CrashDeployment, skew: float) -> None:
    name = "an_hour_ahead" if skew > 0 else "an_hour_behind"
    with deployment.service(name, skew) as service:
        old = service.emulator.start_run("night")
        dag_run = deployment.start_dag_run("crash_on_worker", name)
        dag_run.wait_for_log(f"The iModel is being synchronized by run storage/night/{old}; queueing behind it")
        service.emulator.fail(START, kind="hang", processed=True, seconds=100)
        service.finish()
        service.wait_for_runs(2)
        dag_run.kill_worker()
        dag_run.wait_for("running", attempt=2)
        service.wait_for_more(POLL)
        service.finish()
        assert dag_run.end() == "success"
        assert service.run_ids() == [old, dag_run.xcom()]


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(partial(retry_resumes_its_own_run_and_not_the_older_one, skew=HOUR), id="ahead"),
        pytest.param(partial(retry_resumes_its_own_run_and_not_the_older_one, skew=-HOUR), id="behind"),
    ],
)
def test_a_wrong_clock_of_the_service_does_not_matter(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
