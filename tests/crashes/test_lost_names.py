"""
Loss of the worker that names the state of a run: the retry finds the name, or creates it, and names nothing else.

The order of the requests matters, not their number: the tests in ``tests/airflow/operators`` lose the worker at each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment

pytestmark = pytest.mark.system

IMODEL = "tower"
CHANGESETS = "get-imodel-changesets"
CREATE = "create-imodel-named-version"


def worker_lost_during(deployment: CrashDeployment, name: str, operation: str, *, processed: bool) -> None:
    with deployment.service(name) as service:
        run_id = service.emulator.start_run("night")
        service.finish()
        [pushed] = [one["id"] for one in service.emulator.changesets(IMODEL)]
        service.emulator.fail(operation, kind="hang", processed=processed, seconds=100)
        dag_run = deployment.start_dag_run("crash_name_version", name, run=run_id)
        assert wait_until(lambda: service.count(operation) == 1, 180.0)
        dag_run.kill_worker()
        # A later state that must not get the name.
        service.emulator.push_changesets(IMODEL)
        assert dag_run.end() == "success"
        assert dag_run.task["try_number"] > 1
        [version] = service.emulator.named_versions(IMODEL)
        assert (version["name"], version["changesetId"]) == (f"Nightly {run_id}", pushed)
        assert (dag_run.xcom()["id"], dag_run.xcom()["created"]) == (
            version["id"],
            not (processed and operation == CREATE),
        )


def worker_lost_before_it_knows_the_changeset(deployment: CrashDeployment) -> None:
    worker_lost_during(deployment, "before_the_changeset", CHANGESETS, processed=False)


def worker_lost_before_the_name_was_created(deployment: CrashDeployment) -> None:
    worker_lost_during(deployment, "before_the_name", CREATE, processed=False)


def worker_lost_after_the_name_was_created(deployment: CrashDeployment) -> None:
    worker_lost_during(deployment, "after_the_name", CREATE, processed=True)


@pytest.mark.parametrize(
    "scenario",
    [
        worker_lost_before_it_knows_the_changeset,
        worker_lost_before_the_name_was_created,
        worker_lost_after_the_name_was_created,
    ],
)
def test_losing_a_worker_gives_the_state_of_the_run_one_name(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
