"""What the service says about waiting holds for all requests of a client, within reason, and so do limits of one's own."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.errors import ITwinRateLimitError
from airflow_provider_itwin.api.http.config import Account, Limits
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.drivers import DRIVERS, Driver, World, call, driver

LOOK = endpoints.get_connection(ConnectionKind.STORAGE, "c1")


@pytest.fixture(autouse=True)
def connection(world: World) -> str:
    return world.emulator.add_connection(connection_id="c1")


def test_the_service_is_left_alone_for_as_long_as_it_asks(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "40"})

    with pytest.raises(ITwinRateLimitError):
        call(client, LOOK, retry_budget=0.0)
    call(client, LOOK, retry_budget=0.0)

    assert sum(world.pauses) == pytest.approx(40.0)


def test_the_service_is_not_left_alone_for_a_day(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "86400"})

    call(client, LOOK, retry_budget=1000.0)

    assert 300.0 <= sum(world.pauses) <= 330.0


def test_another_token_is_no_request_to_the_api(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "40"})
    with pytest.raises(ITwinRateLimitError):
        call(client, LOOK, retry_budget=0.0)
    world.operations()
    world.emulator.revoke_tokens()

    call(client, LOOK, retry_budget=0.0)

    assert world.operations() == ["get-storage-connection", "token", "get-storage-connection"]
    assert sum(world.pauses) == pytest.approx(40.0)


@pytest.mark.parametrize("name", DRIVERS)
def test_limits_of_ones_own_spread_the_requests(world: World, name: str) -> None:
    usual = world.account()
    account = Account(
        usual.environment, usual.credentials, limits=Limits(per_minute=20), clock=usual.clock, wall=usual.wall
    )

    with driver(name, world, account) as client:
        for _ in range(60):
            call(client, LOOK)

    moments = [entry.at for entry in world.emulator.journal if entry.operation != "token"]
    assert all(later - earlier >= 60.0 - 1e-4 for earlier, later in zip(moments, moments[20:], strict=False))
    assert moments[-1] - moments[0] < 200.0


@pytest.mark.parametrize("name", DRIVERS)
def test_the_tier_of_the_account_is_kept_without_a_single_refusal(world: World, name: str) -> None:
    world.emulator.limiter.tier = "community"
    usual = world.account()
    account = Account(
        usual.environment, usual.credentials, limits=Limits(500, 5000), clock=usual.clock, wall=usual.wall
    )

    with driver(name, world, account) as client:
        for _ in range(700):
            call(client, LOOK)

    assert {entry.status for entry in world.emulator.journal} == {200}
