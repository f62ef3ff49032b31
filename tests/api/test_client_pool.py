"""Lending one client to all who need the same one, for as long as somebody does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from airflow_provider_itwin.api import client_pool
from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.client_pool import shared_client
from airflow_provider_itwin.api.http.auth import ClientCredentials, ReadyToken
from airflow_provider_itwin.api.http.config import (
    Account,
    Limits,
    Network,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.drivers import World
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

LOOK = endpoints.get_connection(ConnectionKind.STORAGE, "c1")


def is_open(client: AsyncITwinClient) -> bool:
    return client._session is not None and not client._session.closed


def left_over() -> int:
    return len(client_pool._leases.get(asyncio.get_running_loop(), {}))


async def test_all_who_need_the_same_client_get_it_and_the_last_closes_it() -> None:
    async with shared_client(Account(PRODUCTION, CREDENTIALS)) as first:
        async with shared_client(Account(PRODUCTION, CREDENTIALS)) as second:
            assert second is first
        assert is_open(first)
    assert not is_open(first)
    assert left_over() == 0


async def test_who_comes_after_the_last_gets_a_new_one() -> None:
    async with shared_client(Account(PRODUCTION, CREDENTIALS)) as first:
        pass
    async with shared_client(Account(PRODUCTION, CREDENTIALS)) as second:
        assert second is not first
        assert is_open(second)


async def test_clocks_do_not_make_another_account() -> None:
    async with (
        shared_client(Account(PRODUCTION, CREDENTIALS)) as first,
        shared_client(Account(PRODUCTION, CREDENTIALS, chance=lambda: 0.0)) as second,
    ):
        assert second is first


@pytest.mark.parametrize(
    "other",
    [
        Account(PRODUCTION, ClientCredentials("service-a1", "changed")),
        Account(PRODUCTION, ReadyToken("t")),
        Account(PRODUCTION, CREDENTIALS, Network(verify=False)),
        Account(PRODUCTION, CREDENTIALS, limits=Limits(per_minute=1)),
    ],
)
async def test_another_account_gets_another_client(other: Account) -> None:
    async with shared_client(Account(PRODUCTION, CREDENTIALS)) as first, shared_client(other) as second:
        assert second is not first
    assert not is_open(first)
    assert not is_open(second)


def test_another_event_loop_gets_another_client() -> None:
    clients = []

    async def borrow() -> None:
        async with shared_client(Account(PRODUCTION, CREDENTIALS)) as client:
            clients.append(client)
            assert is_open(client)

    async def borrow_beside() -> None:
        async with shared_client(Account(PRODUCTION, CREDENTIALS)) as client:
            clients.append(client)
            await asyncio.to_thread(asyncio.run, borrow())
            assert is_open(client)

    asyncio.run(borrow_beside())

    assert clients[0] is not clients[1]
    assert not any(map(is_open, clients))


async def test_a_borrower_who_fails_or_is_cancelled_gives_it_back() -> None:
    account = Account(PRODUCTION, CREDENTIALS)

    async def fail() -> None:
        async with shared_client(account):
            raise ZeroDivisionError

    async def hold() -> None:
        async with shared_client(account):
            await asyncio.sleep(60.0)

    async with shared_client(account) as client:
        with pytest.raises(ZeroDivisionError):
            await fail()
        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        assert is_open(client)
    assert not is_open(client)
    assert left_over() == 0


async def test_many_borrow_while_it_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    usual = AsyncITwinClient.__aenter__

    async def slowly(self: AsyncITwinClient) -> AsyncITwinClient:
        opened.append(self)
        await asyncio.sleep(0.01)
        return await usual(self)

    monkeypatch.setattr(AsyncITwinClient, "__aenter__", slowly)

    async def borrow() -> bool:
        async with shared_client(Account(PRODUCTION, CREDENTIALS)) as client:
            return is_open(client)

    assert all(await asyncio.gather(*(borrow() for _ in range(10))))
    assert len(opened) == 1


async def test_whoever_is_cancelled_while_it_is_being_opened_does_not_spoil_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = AsyncITwinClient.__aenter__

    async def slowly(self: AsyncITwinClient) -> AsyncITwinClient:
        await asyncio.sleep(0.02)
        return await usual(self)

    monkeypatch.setattr(AsyncITwinClient, "__aenter__", slowly)

    async def borrow() -> bool:
        async with shared_client(Account(PRODUCTION, CREDENTIALS)) as client:
            return is_open(client)

    first = asyncio.create_task(borrow())
    second = asyncio.create_task(borrow())
    await asyncio.sleep(0.005)
    first.cancel()

    assert await second
    assert left_over() == 0


async def test_one_that_cannot_be_opened_is_not_kept() -> None:
    account = Account(PRODUCTION, CREDENTIALS, Network(verify="/nowhere/authorities.pem"))

    for _ in range(2):
        with pytest.raises(ValueError, match="which is not a CA bundle"):
            async with shared_client(account):
                pass
    assert left_over() == 0


async def test_borrowers_come_and_go_and_share_one_token(world: World) -> None:
    world.emulator.add_connection(connection_id="c1")
    usual = world.account()

    async def borrow(delay: float) -> None:
        await asyncio.sleep(delay)
        async with shared_client(Account(usual.environment, usual.credentials)) as client:
            await client.call(LOOK)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(shared_client(Account(usual.environment, usual.credentials)))
        await asyncio.gather(*(borrow(number / 1000) for number in range(30)))

    assert world.operations().count("token") == 1
    assert left_over() == 0


async def test_nothing_is_left_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[aiohttp.ClientSession] = []
    usual = aiohttp.ClientSession.__init__

    def noted(self: aiohttp.ClientSession, *args: object, **kwargs: object) -> None:
        sessions.append(self)
        usual(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", noted)
    world.emulator.add_connection(connection_id="c1")
    usual_account = world.account()
    for _ in range(3):
        async with shared_client(Account(usual_account.environment, usual_account.credentials)) as client:
            await client.call(LOOK)

    assert len(sessions) == 3
    assert all(session.closed for session in sessions)
