"""A service, or its token endpoint, that is not there for a while, and credentials that change in the middle of a wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .service import LOOK, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment, Scenario

pytestmark = pytest.mark.system

WAYS = ("crash_on_worker", "crash_deferred")
GIVEN_UP = (
    "there was no good answer for longer than is tolerated ([itwin] outage_tolerance). The run itself may be going on."
)


def ends_well(play: Scenario, service: Service) -> None:
    [run] = service.run_ids()
    service.finish()
    assert play.end() == "success"
    assert service.run_ids() == [run] == [play.xcom()], "one run was wanted, and one was started"


def away_for_a_few_looks(stage: CrashDeployment, dag_id: str) -> None:
    name = f"away_a_little_{dag_id}"
    with stage.service(name) as service:
        play = stage.begin(dag_id, name)
        service.wait_for_more(LOOK)
        service.stop()
        play.wait_for_words("failed; retrying in")
        service.start()
        play.wait_for_words("The service answers again for")
        ends_well(play, service)
        assert play.task["try_number"] == 1


def away_for_longer_than_is_tolerated(stage: CrashDeployment, dag_id: str) -> None:
    name = f"away_for_long_{dag_id}"
    with stage.service(name) as service:
        play = stage.begin(dag_id, name)
        service.wait_for_more(LOOK)
        service.stop()
        play.wait_for_words(GIVEN_UP)
        service.start()
        play.wait_for_words("An earlier try of this task has started run")
        ends_well(play, service)
        assert "ITwinTransientError" in play.log(1)
        assert play.task["try_number"] == 2


def away_for_good(stage: CrashDeployment) -> None:
    with stage.service("away_for_good") as service:
        play = stage.begin("crash_deferred_once", "away_for_good")
        service.wait_for_more(LOOK)
        service.stop()
        assert play.end() == "failed"
        assert "ITwinTransientError" in play.log()
        assert GIVEN_UP in play.log()
        assert len(service.run_ids()) == 1


def no_tokens_at_the_start(stage: CrashDeployment) -> None:
    with stage.service("no_tokens_at_first") as service:
        service.emulator.fail("token", times=None, status=503)
        play = stage.begin("crash_on_worker", "no_tokens_at_first")
        service.wait_for_more("token", None)
        assert service.run_ids() == []
        service.emulator.heal()
        service.wait_for_runs(1)
        ends_well(play, service)


def tokens_revoked(stage: CrashDeployment, dag_id: str) -> None:
    """While the token endpoint is down, too: so a new token is not to be had at once."""
    name = f"revoked_{dag_id}"
    with stage.service(name) as service:
        play = stage.begin(dag_id, name)
        service.wait_for_more(LOOK)
        service.emulator.fail("token", times=None, status=503)
        service.emulator.revoke_tokens()
        service.wait_for_more("token", None)
        service.emulator.heal()
        service.wait_for_more(LOOK)
        ends_well(play, service)
        assert play.task["try_number"] == 1


def secret_rotated(stage: CrashDeployment, dag_id: str) -> None:
    """The Airflow connection gets the new secret, then the old one stops to be good."""
    name = f"rotated_{dag_id}"
    with stage.service(name) as service:
        play = stage.begin(dag_id, name)
        service.wait_for_more(LOOK)
        stage.change_secret(name, service.emulator, "a-new-secret")
        service.emulator.add_client(service.emulator.client_id, "a-new-secret", everywhere=True)
        service.emulator.revoke_tokens()
        service.wait_for_more(LOOK, more=5)
        ends_well(play, service)
        assert play.task["try_number"] == 1
        assert "a-new-secret" not in play.log()


def each_way(name: str, scene: Callable[[CrashDeployment, str], None]) -> list[object]:
    def played(dag_id: str) -> Callable[[CrashDeployment], None]:
        return lambda stage: scene(stage, dag_id)

    return [pytest.param(played(dag_id), id=f"{name}-{dag_id}") for dag_id in WAYS]


@pytest.mark.parametrize(
    "scene",
    [
        *each_way("away_for_longer_than_is_tolerated", away_for_longer_than_is_tolerated),
        away_for_good,
        *each_way("away_for_a_few_looks", away_for_a_few_looks),
        no_tokens_at_the_start,
        *each_way("tokens_revoked", tokens_revoked),
        *each_way("secret_rotated", secret_rotated),
    ],
)
def test_what_can_pass_is_waited_out(
    scene: Callable[[CrashDeployment], None], play: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    play(scene)
