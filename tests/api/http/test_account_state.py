"""One account is one client to the service: token, budget and refusal are shared by all who use it in a process."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.client_pool import shared_client
from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinServerError
from airflow_provider_itwin.api.http import account_state
from airflow_provider_itwin.api.http.account_state import (
    REFUSAL_LIFETIME,
    AccountState,
    state_of,
)
from airflow_provider_itwin.api.http.auth import ClientCredentials, ReadyToken
from airflow_provider_itwin.api.http.config import (
    Account,
    Environment,
    Limits,
    Network,
)
from airflow_provider_itwin.api.http.messages import Token
from airflow_provider_itwin.api.http.rate_limit import RequestBudget
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import DRIVERS, World, call, driver
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

STORAGE = ConnectionKind.STORAGE
LOOK = endpoints.get_connection(STORAGE, "c1")
USUAL = Account(PRODUCTION, CREDENTIALS, limits=Limits(500, 5000))


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        (replace(USUAL, network=Network(timeout=5.0)), True),
        (replace(USUAL, network=Network(verify=False)), True),
        (replace(USUAL, network=Network(proxies=(("https", "http://p:1"),))), True),
        (replace(USUAL, chance=lambda: 0.0), True),
        (replace(USUAL, user_agent="x"), True),
        (replace(USUAL, credentials=ClientCredentials("service-a1", "s3cret+of/a1=")), True),
        (replace(USUAL, credentials=ClientCredentials("service-a1", "another")), False),
        (replace(USUAL, credentials=ClientCredentials("service-b2", "s3cret+of/a1=")), False),
        (replace(USUAL, credentials=ClientCredentials("service-a1", "s3cret+of/a1=", "another")), False),
        (replace(USUAL, credentials=ReadyToken("t")), False),
        (replace(USUAL, environment=Environment.of("qa-api.bentley.com")), False),
        (replace(USUAL, limits=Limits(1, 1)), False),
        (replace(USUAL, clock=lambda: 0.0), False),
    ],
)
def test_who_shares_a_token_and_a_budget(other: Account, shares: bool) -> None:
    state = state_of(USUAL)

    assert (state_of(other) is state) is shares
    assert (ITwinClient(other)._driver.state is ITwinClient(USUAL)._driver.state) is shares


def test_a_state_ends_with_its_last_client() -> None:
    client = ITwinClient(replace(USUAL, clock=lambda: 1.0))
    assert client.account.identity in account_state._states

    identity = client.account.identity
    del client
    gc.collect()

    assert identity not in account_state._states


def test_an_identity_holds_no_secret() -> None:
    assert "s3cret" not in repr(USUAL.identity)


async def test_connections_that_differ_in_network_settings_spend_one_token(world: World) -> None:
    world.emulator.add_connection(connection_id="c1")
    accounts = [world.account(network=Network(timeout=timeout)) for timeout in (5.0, 6.0, 7.0)]

    async with shared_client(accounts[0]) as one, shared_client(accounts[1]) as other:
        assert one is not other, "each has a session of its own"
        await asyncio.gather(*(client.call(LOOK) for client in (one, other) for _ in range(5)))
        with ITwinClient(accounts[2], world.sleep) as third:
            await asyncio.to_thread(third.call, LOOK)

    assert world.operations().count("token") == 1


async def test_connections_that_differ_in_network_settings_spend_one_budget(world: World) -> None:
    world.emulator.add_connection(connection_id="c1")
    limits = Limits(per_minute=10)
    one, other = (replace(world.account(network=Network(timeout=timeout)), limits=limits) for timeout in (5.0, 6.0))
    async with AsyncITwinClient(one, world.sleep_async) as first, AsyncITwinClient(other, world.sleep_async) as second:
        with ITwinClient(one, world.sleep) as third:
            for _ in range(10):
                await first.call(LOOK)
                await second.call(LOOK)
                await asyncio.to_thread(third.call, LOOK)

    looks = [entry for entry in world.emulator.request_log if entry.operation == "get-storage-connection"]
    assert len(looks) == 30
    assert sum(world.pauses) >= 120.0, "thirty requests at ten a minute"


def test_a_budget_is_kept_by_many_threads() -> None:
    budget = RequestBudget(per_minute=600)
    turns: list[float] = []

    def take() -> None:
        turns.extend(budget.take(0.0) for _ in range(500))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(turns[60:])) > 3900, "no turn is given twice"
    assert max(turns) == pytest.approx(4000 / 540 * 60, rel=0.05)


def test_a_thousand_waits_under_a_rotated_secret_ask_twice_a_minute(world: World) -> None:
    runs = [world.emulator.add_connection(connection_id=f"n{number}") for number in range(1000)]
    for connection_id in runs:
        world.emulator.plan_run(connection_id, duration=4 * 3600.0)
    names = [world.emulator.start_run(connection_id) for connection_id in runs]

    async def wait_for_all() -> list[Any]:
        async with AsyncITwinClient(world.account(), world.sleep_async) as client:
            waits = [
                asyncio.create_task(client.wait(WaitSpec(STORAGE, *one, began=world.clock.now())))
                for one in zip(runs, names, strict=True)
            ]
            while len(world.emulator.request_log) < 1001:  # noqa: ASYNC110 (the emulator has no event for it)
                await asyncio.sleep(0.01)
            world.emulator.store.clients[world.emulator.client_id].secret = "rotated"
            world.emulator.revoke_tokens()
            world.operations()
            began = world.clock.now()
            outcomes = await asyncio.gather(*waits)
            took.append(world.clock.now() - began)
            return outcomes

    took: list[float] = []
    outcomes = asyncio.run(wait_for_all())

    assert {outcome.end for outcome in outcomes} == {WaitEnd.REFUSED}
    assert all(isinstance(outcome.error, ITwinAuthenticationError) for outcome in outcomes)
    assert world.operations().count("token") <= 1 + took[0] / REFUSAL_LIFETIME


@pytest.mark.parametrize("name", DRIVERS)
def test_a_refusal_counts_for_all_and_for_a_while(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    wrong = ClientCredentials(world.emulator.client_id, "wrong")
    first, second = (world.account(wrong, Network(timeout)) for timeout in (5.0, 6.0))

    with driver(name, world, first) as one, driver(name, world, second) as other:
        for made in (one, other, one):
            with pytest.raises(ITwinAuthenticationError, match="refused the client"):
                call(made, LOOK)
        assert world.operations() == ["token"]

        world.clock.advance(REFUSAL_LIFETIME)
        world.emulator.store.clients[world.emulator.client_id].secret = "wrong"
        assert call(other, LOOK).id == "c1", "a refusal that has passed is forgotten"
        assert call(one, LOOK).id == "c1"
    assert world.operations().count("token") == 1


@pytest.mark.parametrize("name", DRIVERS)
def test_an_api_that_refuses_every_token_is_no_reason_to_fetch_many(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.fail("get-storage-connection", times=None, status=401)

    with driver(name, world) as made:
        for _ in range(20):
            with pytest.raises(ITwinAuthenticationError):
                call(made, LOOK)
        assert world.operations().count("token") == 2

        world.clock.advance(REFUSAL_LIFETIME)
        with pytest.raises(ITwinAuthenticationError):
            call(made, LOOK)
        assert world.operations().count("token") == 1


@pytest.mark.parametrize("name", DRIVERS)
def test_an_outage_of_the_issuer_is_not_remembered(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.fail("token", times=1, status=503)

    with driver(name, world) as made:
        with pytest.raises(ITwinServerError):
            call(made, LOOK, retry_budget=0.0)
        assert call(made, LOOK, retry_budget=0.0).id == "c1"


async def test_an_outage_of_the_issuer_is_shared_by_those_who_wait_for_it() -> None:
    state = AccountState(USUAL)
    fetched = 0
    go_on = asyncio.Event()

    async def fetch() -> Token:
        nonlocal fetched
        fetched += 1
        await go_on.wait()
        raise ITwinServerError("down")

    asking = [asyncio.create_task(state.obtain_async(None, fetch)) for _ in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(result, ITwinServerError) for result in results)
    assert len({id(result) for result in results}) == 20, "each has an error of its own, to which a traceback belongs"
    assert fetched == 1


async def test_one_who_is_cancelled_while_it_fetches_leaves_the_turn_to_the_next() -> None:
    state = AccountState(USUAL)
    token = Token("t", renew_at=float("inf"))
    started = asyncio.Event()

    async def never() -> Token:
        started.set()
        await asyncio.Event().wait()
        return token

    async def at_once() -> Token:
        return token

    first = asyncio.create_task(state.obtain_async(None, never))
    await started.wait()
    second = asyncio.create_task(state.obtain_async(None, at_once))
    await asyncio.sleep(0)
    first.cancel()

    assert await second is token


def test_threads_that_need_a_token_at_once_fetch_one() -> None:
    state = AccountState(USUAL)
    fetched: list[int] = []
    barrier = threading.Barrier(8)

    def fetch() -> Token:
        fetched.append(1)
        return Token("t", renew_at=float("inf"))

    def ask(results: list[Token]) -> None:
        barrier.wait(10.0)
        results.append(state.obtain(None, fetch))

    results: list[Token] = []
    threads = [threading.Thread(target=ask, args=(results,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)

    assert len(results) == 8
    assert len(fetched) == 1


@pytest.mark.parametrize("remembered", [ITwinAuthenticationError])
def test_a_remembered_refusal_says_what_the_first_one_said(remembered: Callable[..., Any]) -> None:
    state = AccountState(replace(USUAL, clock=lambda: 0.0))

    def fetch() -> Token:
        raise remembered("refused", status=401, code="invalid_client", hint="Check login.")

    for _ in range(2):
        with pytest.raises(ITwinAuthenticationError) as caught:
            state.obtain(None, fetch)
        assert (caught.value.status, caught.value.code, caught.value.hint) == (401, "invalid_client", "Check login.")
