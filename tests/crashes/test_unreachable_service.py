"""A service or token endpoint that is down for a while, and credentials that change during a wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .service import POLL, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDagRun, CrashDeployment

pytestmark = pytest.mark.system

WAYS = ("crash_on_worker", "crash_deferred")
GAVE_UP = "no good response for longer than the outage tolerance ([itwin] outage_tolerance). The run itself may still be running."


def assert_succeeds(dag_run: CrashDagRun, service: Service) -> None:
    [run] = service.run_ids()
    service.finish()
    assert dag_run.end() == "success"
    assert service.run_ids() == [run] == [dag_run.xcom()], "exactly one run was started"


def down_for_a_few_polls(deployment: CrashDeployment, dag_id: str) -> None:
    name = f"down_briefly_{dag_id}"
    with deployment.service(name) as service:
        dag_run = deployment.start_dag_run(dag_id, name)
        service.wait_for_more(POLL)
        service.stop()
        dag_run.wait_for_log("failed; retrying in")
        service.start()
        dag_run.wait_for_log("works again after")
        assert_succeeds(dag_run, service)
        assert dag_run.task["try_number"] == 1


def down_for_longer_than_the_outage_tolerance(deployment: CrashDeployment, dag_id: str) -> None:
    name = f"down_for_long_{dag_id}"
    with deployment.service(name) as service:
        dag_run = deployment.start_dag_run(dag_id, name)
        service.wait_for_more(POLL)
        service.stop()
        dag_run.wait_for_log(GAVE_UP)
        service.start()
        dag_run.wait_for_log("A previous attempt of this task started run")
        assert_succeeds(dag_run, service)
        assert "ITwinTransientError" in dag_run.log(1)
        assert dag_run.task["try_number"] == 2


def down_permanently(deployment: CrashDeployment) -> None:
    with deployment.service("down_permanently") as service:
        dag_run = deployment.start_dag_run("crash_deferred_once", "down_permanently")
        service.wait_for_more(POLL)
        service.stop()
        assert dag_run.end() == "failed"
        assert "ITwinTransientError" in dag_run.log()
        assert GAVE_UP in dag_run.log()
        assert len(service.run_ids()) == 1


def no_tokens_at_first(deployment: CrashDeployment) -> None:
    with deployment.service("no_tokens_at_first") as service:
        service.emulator.fail("token", times=None, status=503)
        dag_run = deployment.start_dag_run("crash_on_worker", "no_tokens_at_first")
        service.wait_for_more("token", None)
        assert service.run_ids() == []
        service.emulator.clear_faults()
        service.wait_for_runs(1)
        assert_succeeds(dag_run, service)


def tokens_revoked(deployment: CrashDeployment, dag_id: str) -> None:
    """The token endpoint is down too, so a new token is not available at once."""
    name = f"revoked_{dag_id}"
    with deployment.service(name) as service:
        dag_run = deployment.start_dag_run(dag_id, name)
        service.wait_for_more(POLL)
        service.emulator.fail("token", times=None, status=503)
        service.emulator.revoke_tokens()
        service.wait_for_more("token", None)
        service.emulator.clear_faults()
        service.wait_for_more(POLL)
        assert_succeeds(dag_run, service)
        assert dag_run.task["try_number"] == 1


def secret_rotated(deployment: CrashDeployment, dag_id: str) -> None:
    """The Airflow connection gets the new secret, then the old one becomes invalid."""
    name = f"rotated_{dag_id}"
    with deployment.service(name) as service:
        dag_run = deployment.start_dag_run(dag_id, name)
        service.wait_for_more(POLL)
        deployment.change_secret(name, service.emulator, "a-new-secret")
        service.emulator.add_client(service.emulator.client_id, "a-new-secret", everywhere=True)
        service.emulator.revoke_tokens()
        service.wait_for_more(POLL, more=5)
        assert_succeeds(dag_run, service)
        assert dag_run.task["try_number"] == 1
        assert "a-new-secret" not in dag_run.log()


def each_way(name: str, scenario: Callable[[CrashDeployment, str], None]) -> list[object]:
    def run_scenario(dag_id: str) -> Callable[[CrashDeployment], None]:
        return lambda deployment: scenario(deployment, dag_id)

    return [pytest.param(run_scenario(dag_id), id=f"{name}-{dag_id}") for dag_id in WAYS]


@pytest.mark.parametrize(
    "scenario",
    [
        *each_way("down_for_longer_than_the_outage_tolerance", down_for_longer_than_the_outage_tolerance),
        down_permanently,
        *each_way("down_for_a_few_polls", down_for_a_few_polls),
        no_tokens_at_first,
        *each_way("tokens_revoked", tokens_revoked),
        *each_way("secret_rotated", secret_rotated),
    ],
)
def test_a_temporary_outage_loses_no_run(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
