"""
One lookup of an Airflow connection for all who need it in an event loop at about the same time.

A triggerer that is restarted begins thousands of waits at once. Each lookup is a request to Airflow's API server, and with a
secrets backend another one to that, which has limits of its own and costs money; and each has its secrets masked anew.

A lookup belongs to one event loop, and so to one triggerer, which serves one team or none: connections of different teams do
not mix.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from airflow_provider_itwin.api.http.config import Account

clock = time.monotonic
sleep_async = asyncio.sleep

LIFETIME = 30.0
"""Seconds for which a lookup serves those who come after it."""

REREAD_INTERVAL = 5.0
"""Seconds for which a lookup that was made because the service refused the client serves others whom it refused."""


INTERVAL_AFTER_FAILURE = 1.0
"""Seconds between a lookup that failed and the next one, however many wait for it."""


class _Lookup:
    """
    A lookup that is under way or done.

    :param is_reread: whether it was made because the service refused the client
    """

    __slots__ = ("began", "ended", "is_reread", "task")

    def __init__(self, task: asyncio.Task[Account], *, is_reread: bool) -> None:
        self.task = task
        self.began = self.ended = clock()
        self.is_reread = is_reread

    @property
    def has_failed(self) -> bool:
        """Whether it is done and gave no account."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    def serves(self, refused: tuple[object, ...] | None, now: float) -> bool:
        """Return whether somebody can use it whose account with the key `refused` was refused by the service."""
        if self.task.done() and (now - self.ended >= LIFETIME or self.has_failed):
            return False
        if refused is None or (self.is_reread and now - self.began < REREAD_INTERVAL):
            return True
        # One that is still under way may have begun before the connection was changed.
        return self.task.done() and self.task.result().key != refused


_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, _Lookup]] = WeakKeyDictionary()


async def look_up(
    connection: object, read: Callable[[], Coroutine[Any, Any, Account]], refused: tuple[object, ...] | None = None
) -> Account:
    """
    Return the account of an Airflow connection.

    A failure is shared by all who wait for the same lookup, and is not kept: the next call looks the connection up again, a
    second later at the earliest.

    :param connection: what identifies the connection
    :param read: looks it up
    :param refused: key of the account that the service has refused: the connection is looked up again, unless it leads elsewhere
        by now, and once for all who are refused within a few seconds
    """
    lookups = _lookups.setdefault(asyncio.get_running_loop(), {})
    last = lookup = lookups.get(connection)
    if lookup is None or not lookup.serves(refused, clock()):
        pause = 0.0
        if last is not None and last.has_failed:
            pause = max(0.0, last.ended + INTERVAL_AFTER_FAILURE - clock())
        lookup = lookups[connection] = _Lookup(asyncio.create_task(_read(read, pause)), is_reread=refused is not None)
        lookup.task.add_done_callback(partial(_keep_for_a_while, lookups, connection, lookup))
    if lookup.task.done():
        return lookup.task.result()
    # Those who leave do not take it from the others.
    return await asyncio.shield(lookup.task)


async def _read(read: Callable[[], Coroutine[Any, Any, Account]], pause: float) -> Account:
    if pause > 0:
        await sleep_async(pause)
    return await read()


def _keep_for_a_while(
    lookups: dict[object, _Lookup], connection: object, lookup: _Lookup, task: asyncio.Task[Account]
) -> None:
    """Keep a lookup that has succeeded for those who come, and of one that failed the moment only."""
    lookup.ended = clock()
    seconds = INTERVAL_AFTER_FAILURE if lookup.has_failed else LIFETIME
    task.get_loop().call_later(seconds, _forget, lookups, connection, lookup)


def _forget(lookups: dict[object, _Lookup], connection: object, lookup: _Lookup) -> None:
    if lookups.get(connection) is lookup:
        del lookups[connection]
