"""A triggerer that runs triggers without Airflow's portal, which uses most of the memory of a wait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.jobs import triggerer_job_runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .deployment import Deployment

pytestmark = pytest.mark.system

NIGHTLY = "itwin_nightly_sync"
SWITCH = "AIRFLOW_DISABLE_GREENBACK_PORTAL"


@pytest.fixture
def without_portal(deployment: Deployment) -> Iterator[Deployment]:
    deployment.restart("triggerer", environment={SWITCH: "true"})
    yield deployment
    deployment.restart("triggerer")


def test_a_task_waits_there_as_in_any_triggerer(without_portal: Deployment) -> None:
    assert SWITCH in Path(triggerer_job_runner.__file__).read_text(), "Airflow no longer has this switch"
    api = without_portal.api
    api.wait_for_dag(NIGHTLY)
    run_id = api.trigger(NIGHTLY, {"connection_id": "demo-storage-connection"})
    api.wait_for_task(NIGHTLY, run_id, "wait_for_synchronization", "deferred")
    assert api.wait_for_run(NIGHTLY, run_id) == "success", api.task_states(NIGHTLY, run_id)
    log = api.log(NIGHTLY, run_id, "wait_for_synchronization")
    assert "Waiting for run" in log
    assert "is Completed after" in log
