"""Tokens over HTTP, with either client: fetched once, renewed ahead of time, replaced when refused, and no trouble hidden."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinServerError
from airflow_provider_itwin.api.http.auth import ClientCredentials, ReadyToken
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import DRIVERS, Driver, World, call, driver

STORAGE = ConnectionKind.STORAGE


@pytest.fixture
def connection(world: World) -> str:
    return world.emulator.add_connection(connection_id="c1")


def look(client: Driver) -> None:
    call(client, endpoints.get_connection(STORAGE, "c1"))


def spec(world: World, **details: object) -> WaitSpec:
    run_id = world.emulator.start_run("c1")
    return WaitSpec(STORAGE, "c1", run_id, began=world.clock.now(), **details)  # type: ignore[arg-type]


@pytest.mark.usefixtures("connection")
def test_one_token_serves_many_calls(world: World, client: Driver) -> None:
    for _ in range(3):
        look(client)

    assert world.operations() == ["token", *["get-storage-connection"] * 3]


@pytest.mark.usefixtures("connection")
def test_a_token_is_renewed_ahead_of_its_end(world: World, client: Driver) -> None:
    look(client)
    world.clock.advance(3600.0 - 300.0 - 1.0)
    look(client)
    world.clock.advance(2.0)
    look(client)

    assert world.operations() == ["token", *["get-storage-connection"] * 2, "token", "get-storage-connection"]


@pytest.mark.usefixtures("connection")
def test_a_token_that_was_revoked_is_replaced_in_passing(world: World, client: Driver) -> None:
    look(client)
    world.emulator.revoke_tokens()
    look(client)

    assert [(entry.operation, entry.status) for entry in world.emulator.journal] == [
        ("token", 200),
        ("get-storage-connection", 200),
        ("get-storage-connection", 401),
        ("token", 200),
        ("get-storage-connection", 200),
    ]
    assert world.pauses == []


@pytest.mark.usefixtures("connection")
def test_a_wait_outlives_its_token(world: World, client: Driver) -> None:
    world.emulator.plan_run("c1", duration=4.0 * 3600.0)
    outcome = client.wait(spec(world))

    assert outcome.end is WaitEnd.FINISHED
    assert world.operations().count("token") == 5


@pytest.mark.usefixtures("connection")
def test_an_issuer_that_is_down_for_a_while_delays_a_wait(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=4, status=503)

    assert client.wait(spec(world)).end is WaitEnd.FINISHED


@pytest.mark.usefixtures("connection")
def test_an_issuer_that_stays_down_is_an_outage_and_raises_nothing(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=None, status=503)

    outcome = client.wait(spec(world, outage_tolerance=300.0))

    assert outcome.end is WaitEnd.OUTAGE
    assert isinstance(outcome.error, ITwinServerError)
    assert outcome.elapsed == pytest.approx(300.0)


@pytest.mark.usefixtures("connection")
def test_an_issuer_that_is_down_at_the_deadline_does_not_hide_it(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=None, status=503)
    ahead = world.clock.now() + 100.0

    outcome = client.wait(spec(world, deadline=ahead))

    assert outcome.end is WaitEnd.DEADLINE
    assert isinstance(outcome.error, ITwinServerError)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_wrong_credentials_end_a_wait_at_once(world: World, name: str) -> None:
    account = world.account(ClientCredentials(world.emulator.client_id, "wrong"))

    with driver(name, world, account) as client:
        outcome = client.wait(spec(world))

    assert outcome.end is WaitEnd.REFUSED
    assert isinstance(outcome.error, ITwinAuthenticationError)
    assert "Look at login (client id) and password (client secret)" in str(outcome.error)
    assert world.operations() == ["token"]
    assert world.pauses == []


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_a_scope_that_the_client_lacks(world: World, name: str) -> None:
    account = world.account(ClientCredentials(world.emulator.client_id, world.emulator.client_secret, "openid"))

    with (
        driver(name, world, account) as client,
        pytest.raises(ITwinAuthenticationError, match="'openid' was asked for"),
    ):
        look(client)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_a_ready_token_is_used_as_it_is(world: World, name: str) -> None:
    token = world.emulator.desk.make(world.emulator.client_id, ("itwin-platform",), "issuer")

    with driver(name, world, world.account(ReadyToken(token))) as client:
        look(client)
        world.emulator.revoke_tokens()
        with pytest.raises(ITwinAuthenticationError, match="has expired or is not for this host"):
            look(client)

    assert world.operations() == ["get-storage-connection"] * 2


@pytest.mark.usefixtures("connection")
def test_a_token_endpoint_that_speaks_nonsense_is_asked_again(world: World, client: Driver) -> None:
    world.emulator.fail("token", kind="html")
    world.emulator.fail("token", kind="invalid-json")
    world.emulator.fail("token", kind="reset-before")

    look(client)

    assert world.operations() == [*["token"] * 4, "get-storage-connection"]
