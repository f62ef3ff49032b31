"""A pool of asynchronous clients: one for each account and event loop, opened at its first use and closed after its last."""

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
    users: int = 0
    is_open: bool = False
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_leases: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], _Lease]] = WeakKeyDictionary()


async def acquire(account: Account) -> AsyncITwinClient:
    """
    Return the client of `account` that all users in this event loop share; each must :func:`release` it once.

    Two Airflow connections that resolve to the same account share a client. One connection id that resolves to different
    accounts, as for two teams or after a secret was changed, does not.
    """
    leases = _leases.setdefault(asyncio.get_running_loop(), {})
    lease = leases.get(account.key)
    if lease is None:
        lease = leases[account.key] = _Lease(AsyncITwinClient(account))
    lease.users += 1
    if not lease.is_open:
        try:
            async with lease.opening:
                if not lease.is_open:
                    await lease.client.__aenter__()
                    lease.is_open = True
        except BaseException:
            await release(lease.client)
            raise
    return lease.client


async def release(client: AsyncITwinClient) -> None:
    """Release a client; the last release closes it."""
    leases = _leases[asyncio.get_running_loop()]
    lease = leases[client.account.key]
    lease.users -= 1
    if not lease.users:
        del leases[client.account.key]
        await client.__aexit__()


@asynccontextmanager
async def shared_client(account: Account) -> AsyncIterator[AsyncITwinClient]:
    """Acquire the shared client of `account` for a ``with`` block; see :func:`acquire`."""
    client = await acquire(account)
    try:
        yield client
    finally:
        await release(client)
