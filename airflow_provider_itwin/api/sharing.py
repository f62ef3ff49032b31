"""Lends asynchronous clients: one for each account and event loop, opened at the first need and closed after the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from airflow_provider_itwin.api.account import Account
from airflow_provider_itwin.api.aclient import AsyncITwinClient


@dataclass(slots=True)
class _Lease:
    client: AsyncITwinClient
    borrowers: int = 0
    is_open: bool = False
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_leases: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], _Lease]] = WeakKeyDictionary()


@asynccontextmanager
async def lent_client(account: Account) -> AsyncIterator[AsyncITwinClient]:
    """
    Lend the client of `account` that all borrowers in this event loop share, with its session and its token.

    Two Airflow connections that resolve to the same account share one; one connection id that resolves to different
    accounts, as it can for two teams or after a secret was changed, does not.
    """
    leases = _leases.setdefault(asyncio.get_running_loop(), {})
    lease = leases.get(account.key)
    if lease is None:
        lease = leases[account.key] = _Lease(AsyncITwinClient(account))
    lease.borrowers += 1
    try:
        async with lease.opening:
            if not lease.is_open:
                await lease.client.__aenter__()
                lease.is_open = True
        yield lease.client
    finally:
        lease.borrowers -= 1
        if not lease.borrowers:
            leases.pop(account.key, None)
            await lease.client.__aexit__()
