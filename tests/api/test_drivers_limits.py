"""Retry-After and configured limits hold for all requests of a client."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.errors import ITwinRateLimitError
from airflow_provider_itwin.api.http.config import Account, Limits
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.drivers import DRIVERS, Driver, World, call, driver

GET_CONNECTION = endpoints.get_connection(ConnectionKind.STORAGE, "c1")


@pytest.fixture(autouse=True)
def connection(world: World) -> str:
    return world.emulator.add_connection(connection_id="c1")


def test_retry_after_holds_for_the_next_request(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "40"})

    with pytest.raises(ITwinRateLimitError):
        call(client, GET_CONNECTION, retry_budget=0.0)
    call(client, GET_CONNECTION, retry_budget=0.0)

    assert sum(world.pauses) == pytest.approx(40.0)


def test_retry_after_is_limited(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "86400"})

    call(client, GET_CONNECTION, retry_budget=1000.0)

    assert 300.0 <= sum(world.pauses) <= 330.0


def test_a_token_request_does_not_wait_for_retry_after(world: World, client: Driver) -> None:
    world.emulator.fail("get-storage-connection", status=429, headers={"Retry-After": "40"})
    with pytest.raises(ITwinRateLimitError):
        call(client, GET_CONNECTION, retry_budget=0.0)
    world.operations()
    world.emulator.revoke_tokens()

    call(client, GET_CONNECTION, retry_budget=0.0)

    assert world.operations() == ["get-storage-connection", "token", "get-storage-connection"]
    assert sum(world.pauses) == pytest.approx(40.0)


@pytest.mark.parametrize("name", DRIVERS)
def test_configured_limits_spread_the_requests(world: World, name: str) -> None:
    usual = world.account()
    account = Account(
        usual.environment, usual.credentials, limits=Limits(per_minute=20), clock=usual.clock, wall=usual.wall
    )

    with driver(name, world, account) as client:
        for _ in range(60):
            call(client, GET_CONNECTION)

    moments = [entry.at for entry in world.emulator.request_log if entry.operation != "token"]
    assert all(later - earlier >= 60.0 - 1e-4 for earlier, later in zip(moments, moments[20:], strict=False))
    assert moments[-1] - moments[0] < 200.0


@pytest.mark.parametrize("name", DRIVERS)
def test_the_limits_of_the_tier_are_kept_without_a_429(world: World, name: str) -> None:
    world.emulator.rate_limiter.tier = "community"
    usual = world.account()
    account = Account(
        usual.environment, usual.credentials, limits=Limits(500, 5000), clock=usual.clock, wall=usual.wall
    )

    with driver(name, world, account) as client:
        for _ in range(700):
            call(client, GET_CONNECTION)

    assert {entry.status for entry in world.emulator.request_log} == {200}
