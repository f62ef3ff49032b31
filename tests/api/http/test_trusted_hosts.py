"""The token is sent to the host of the account only, whatever a location, a lastRun or a next link says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_itwin.api.errors import ITwinError, ITwinProtocolError
from airflow_provider_itwin.api.http.config import Environment
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints, start
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import DRIVERS, Driver, World, call, driver
from tests.api.recorder import Recorder
from tests.api.responses import accepted, connection, response
from tests.api.scripted_service import CREDENTIALS, ScriptedService

STORAGE = ConnectionKind.STORAGE


@pytest.fixture
def elsewhere() -> Iterator[Recorder]:
    """Another server, which must receive no request."""
    with Recorder().serving() as recorder:
        yield recorder
    assert recorder.received == []


@pytest.mark.parametrize("skew", [0.0, 3600.0])
def test_links_to_another_host_are_not_followed(world: World, client: Driver, elsewhere: Recorder, skew: float) -> None:
    emulator = world.emulator
    world.clock.skew = skew
    emulator.add_connection(connection_id="c1", imodel_id="m", files=150)
    emulator.quirks.links_host = elsewhere.url
    active = emulator.start_run("c1")
    location = f"{elsewhere.url}/synchronization/imodels/storageconnections/c1/runs/{active}"
    account = client.account
    pages = Pages(
        lambda top, skip: endpoints.get_source_files(STORAGE, "c1", top, skip),
        lambda page: (page.source_files, page.links),
    )

    emulator.fail("run-storage-connection", status=303, headers={"Location": location})
    named = client.run_flow(start.ensure_run(account, STORAGE, "c1"))
    emulator.finish_run("c1")
    emulator.fail(
        "run-storage-connection", status=202, headers={"Location": location.replace("c1", "c2")}, processed=True
    )
    started = client.run_flow(start.ensure_run(account, STORAGE, "c1"))
    result = client.wait(WaitSpec(STORAGE, "c1", started.ref.run_id, began=world.clock.now()))
    newest = client.wait(WaitSpec(STORAGE, "c1", started_after="2020-01-01", began=world.clock.now()))
    while not pages.is_done:
        client.run_flow(pages.next_page(account))

    assert named.ref == RunRef(STORAGE, "c1", active)
    assert [active, started.ref.run_id] == [run["id"] for run in emulator.runs("c1")]
    assert result.end is newest.end is WaitEnd.FINISHED
    assert {entry.authorized_host for entry in emulator.request_log} == {f"127.0.0.1:{emulator.port}", None}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_to_another_host_are_not_followed(
    world: World, client: Driver, elsewhere: Recorder, status: int
) -> None:
    world.emulator.fail(
        "get-storage-connection", times=None, kind="redirect", status=status, location=f"{elsewhere.url}/x"
    )

    with pytest.raises(ITwinProtocolError) as caught:
        call(client, endpoints.get_connection(STORAGE, "c1"))

    assert "Redirects are not followed. Check host in the Airflow connection" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_start_is_not_redirected(world: World, client: Driver, elsewhere: Recorder, status: int) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.fail(
        "run-storage-connection", times=None, kind="redirect", status=status, location=f"{elsewhere.url}/x"
    )

    with pytest.raises(ITwinProtocolError):
        client.run_flow(start.ensure_run(client.account, STORAGE, "c1"))

    assert world.emulator.runs("c1") == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_secret_is_not_redirected(world: World, client: Driver, elsewhere: Recorder, status: int) -> None:
    world.emulator.fail("token", times=None, kind="redirect", status=status, location=f"{elsewhere.url}/connect/token")

    with pytest.raises(ITwinError) as caught:
        call(client, endpoints.get_connection(STORAGE, "c1"), retry_budget=0.0)

    assert isinstance(caught.value, ITwinProtocolError)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_secret_is_sent_to_the_issuer_and_the_token_to_the_api(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    with Recorder().serving() as issuer:
        token = world.emulator.tokens.make(world.emulator.client_id, ("itwin-platform",), "issuer")
        issuer.answer = lambda got: (200, {}, f'{{"access_token":"{token}"}}'.encode())
        environment = Environment(world.emulator.url, issuer.url)
        with driver(name, world, world.account(environment=environment)) as made:
            call(made, endpoints.get_connection(STORAGE, "c1"))

    assert [got.target for got in issuer.received] == ["/connect/token"]
    assert "authorization" not in issuer.received[0].headers
    assert [entry.operation for entry in world.emulator.request_log] == ["get-storage-connection"]


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/x",
        "http://api.bentley.com/x",
        "//evil.example/x",
        "https://api.bentley.com.evil.example/x",
        "https://user@api.bentley.com/x",
        "https://[",
        "/x",
        "x",
        "https://api.bentley.com/x",
        "HTTPS://API.BENTLEY.COM/x",
        "?x",
        "",
    ],
)
def test_no_redirect_is_followed_and_each_is_retried(location: str) -> None:
    script = ScriptedService(response(302, location=location), connection("r1"))

    assert script.play(perform_call(script.account(), endpoints.get_connection(STORAGE, "c1"))).id == "c1"
    assert len(set(script.lines)) == 1


def test_an_account_of_another_host_sends_all_requests_there() -> None:
    environment = Environment.of("https://gateway.example:8443/itwin", "https://login.example")
    production = "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/new"
    script = ScriptedService(connection("old"), accepted(None), connection(production))

    started = script.play(start.ensure_run(script.account(environment, CREDENTIALS), STORAGE, "c1"))

    assert started.ref.run_id == "new"
    root = "https://gateway.example:8443/itwin/synchronization/imodels/storageconnections/c1"
    assert script.lines == [f"GET {root}", f"POST {root}/run", f"GET {root}"]
