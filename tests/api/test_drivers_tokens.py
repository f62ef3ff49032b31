"""Tokens over HTTP, with either client: fetched once, renewed before they expire or when refused, and no error hidden."""

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


def get_connection(client: Driver) -> None:
    call(client, endpoints.get_connection(STORAGE, "c1"))


def spec(world: World, **details: object) -> WaitSpec:
    run_id = world.emulator.start_run("c1")
    return WaitSpec(STORAGE, "c1", run_id, began=world.clock.now(), **details)  # type: ignore[arg-type]


@pytest.mark.usefixtures("connection")
def test_one_token_serves_many_calls(world: World, client: Driver) -> None:
    for _ in range(3):
        get_connection(client)

    assert world.operations() == ["token", *["get-storage-connection"] * 3]


@pytest.mark.usefixtures("connection")
def test_a_token_is_renewed_before_it_expires(world: World, client: Driver) -> None:
    get_connection(client)
    world.clock.advance(3600.0 - 300.0 - 1.0)
    get_connection(client)
    world.clock.advance(2.0)
    get_connection(client)

    assert world.operations() == ["token", *["get-storage-connection"] * 2, "token", "get-storage-connection"]


@pytest.mark.usefixtures("connection")
def test_a_revoked_token_is_renewed_without_a_pause(world: World, client: Driver) -> None:
    get_connection(client)
    world.emulator.revoke_tokens()
    get_connection(client)

    assert [(entry.operation, entry.status) for entry in world.emulator.request_log] == [
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
    result = client.wait(spec(world))

    assert result.end is WaitEnd.FINISHED
    assert world.operations().count("token") == 5


@pytest.mark.usefixtures("connection")
def test_a_temporary_outage_of_the_issuer_delays_a_wait(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=4, status=503)

    assert client.wait(spec(world)).end is WaitEnd.FINISHED


@pytest.mark.usefixtures("connection")
def test_a_lasting_outage_of_the_issuer_is_an_outage_of_the_wait(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=None, status=503)

    result = client.wait(spec(world, outage_tolerance=300.0))

    assert result.end is WaitEnd.OUTAGE
    assert isinstance(result.error, ITwinServerError)
    assert result.elapsed == pytest.approx(300.0)


@pytest.mark.usefixtures("connection")
def test_an_outage_of_the_issuer_does_not_hide_the_deadline(world: World, client: Driver) -> None:
    world.emulator.fail("token", times=None, status=503)
    ahead = world.clock.now() + 100.0

    result = client.wait(spec(world, deadline=ahead))

    assert result.end is WaitEnd.DEADLINE
    assert isinstance(result.error, ITwinServerError)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_wrong_credentials_end_a_wait_at_once(world: World, name: str) -> None:
    account = world.account(ClientCredentials(world.emulator.client_id, "wrong"))

    with driver(name, world, account) as client:
        result = client.wait(spec(world))

    assert result.end is WaitEnd.REFUSED
    assert isinstance(result.error, ITwinAuthenticationError)
    assert "Check login (client id) and password (client secret)" in str(result.error)
    assert world.operations() == ["token"]
    assert world.pauses == []


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_a_scope_that_the_client_lacks_is_named_in_the_error(world: World, name: str) -> None:
    account = world.account(ClientCredentials(world.emulator.client_id, world.emulator.client_secret, "openid"))

    with (
        driver(name, world, account) as client,
        pytest.raises(ITwinAuthenticationError, match="the request had 'openid'"),
    ):
        get_connection(client)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.usefixtures("connection")
def test_a_ready_token_is_never_renewed(world: World, name: str) -> None:
    token = world.emulator.tokens.make(world.emulator.client_id, ("itwin-platform",), "issuer")

    with driver(name, world, world.account(ReadyToken(token))) as client:
        get_connection(client)
        world.emulator.revoke_tokens()
        with pytest.raises(ITwinAuthenticationError, match="has expired or is not for this host"):
            get_connection(client)

    assert world.operations() == ["get-storage-connection"] * 2


@pytest.mark.usefixtures("connection")
def test_an_invalid_response_of_the_token_endpoint_is_retried(world: World, client: Driver) -> None:
    world.emulator.fail("token", kind="html")
    world.emulator.fail("token", kind="invalid-json")
    world.emulator.fail("token", kind="reset-before")

    get_connection(client)

    assert world.operations() == [*["token"] * 4, "get-storage-connection"]
