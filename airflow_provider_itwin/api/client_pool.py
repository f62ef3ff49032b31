"""Lends asynchronous clients: one for each account and event loop, opened at the first need and closed after the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.http.config import Account


@dataclass(slots=True)
class _Lease:
    client: AsyncITwinClient
    borrowers: int = 0
    is_open: bool = False
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_leases: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], _Lease]] = WeakKeyDictionary()


async def borrow(account: Account) -> AsyncITwinClient:
    """
    Borrow the client of `account` that all borrowers in this event loop share, with its session and its token.

    Two Airflow connections that resolve to the same account share one; one connection id that resolves to different
    accounts, as it can for two teams or after a secret was changed, does not. Each borrower has to :func:`give_back` once.
    """
    leases = _leases.setdefault(asyncio.get_running_loop(), {})
    lease = leases.get(account.key)
    if lease is None:
        lease = leases[account.key] = _Lease(AsyncITwinClient(account))
    lease.borrowers += 1
    if not lease.is_open:
        try:
            async with lease.opening:
                if not lease.is_open:
                    await lease.client.__aenter__()
                    lease.is_open = True
        except BaseException:
            await give_back(lease.client)
            raise
    return lease.client


async def give_back(client: AsyncITwinClient) -> None:
    """Give a borrowed client back; the last one closes it."""
    leases = _leases[asyncio.get_running_loop()]
    lease = leases[client.account.key]
    lease.borrowers -= 1
    if not lease.borrowers:
        del leases[client.account.key]
        await client.__aexit__()


@asynccontextmanager
async def lent_client(account: Account) -> AsyncIterator[AsyncITwinClient]:
    """Borrow the shared client of `account` for a ``with`` block; see :func:`borrow`."""
    client = await borrow(account)
    try:
        yield client
    finally:
        await give_back(client)
