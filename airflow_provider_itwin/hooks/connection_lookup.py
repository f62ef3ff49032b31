"""
Shared lookups of Airflow connections in an event loop.

A restarted triggerer begins thousands of waits at once. Each lookup is a request to Airflow's API server, and to a secrets
backend if there is one, which may have rate limits and costs.

A lookup belongs to one event loop, and so to one triggerer, which serves one team or none: connections of different teams do not
mix.
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
"""Seconds for which the result of a lookup is reused."""

REREAD_INTERVAL = 5.0
"""Seconds for which the result of a lookup after a refusal is reused by others whom the service refused."""


INTERVAL_AFTER_FAILURE = 1.0
"""Seconds between a failed lookup and the next one."""


class _Lookup:
    """
    A lookup in progress or done.

    :param task: the task that reads the connection
    :param is_reread: whether the service had refused the client
    """

    __slots__ = ("began", "ended", "is_reread", "task")

    def __init__(self, task: asyncio.Task[Account], *, is_reread: bool) -> None:
        self.task = task
        self.began = self.ended = clock()
        self.is_reread = is_reread

    @property
    def has_failed(self) -> bool:
        """Whether the lookup is done and failed."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    def serves(self, refused: tuple[object, ...] | None, now: float) -> bool:
        """
        Return whether the lookup can be used.

        :param refused: key of the account that the service refused, None for none
        """
        if self.task.done() and (now - self.ended >= LIFETIME or self.has_failed):
            return False
        if refused is None or (self.is_reread and now - self.began < REREAD_INTERVAL):
            return True
        # A lookup in progress may have begun before the connection was changed.
        return self.task.done() and self.task.result().key != refused


_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, _Lookup]] = WeakKeyDictionary()


async def look_up(
    connection: object, read: Callable[[], Coroutine[Any, Any, Account]], refused: tuple[object, ...] | None = None
) -> Account:
    """
    Return the account of an Airflow connection.

    A failed lookup raises in every caller that waits for it. The next call looks the connection up again, one second later at the
    earliest.

    :param connection: identifies the connection
    :param read: reads the connection
    :param refused: key of the account that the service refused: the connection is read again, unless another account was read
        since; once for all refusals within a few seconds
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
    # A cancelled caller must not cancel the lookup of the others.
    return await asyncio.shield(lookup.task)


async def _read(read: Callable[[], Coroutine[Any, Any, Account]], pause: float) -> Account:
    if pause > 0:
        await sleep_async(pause)
    return await read()


def _keep_for_a_while(
    lookups: dict[object, _Lookup], connection: object, lookup: _Lookup, task: asyncio.Task[Account]
) -> None:
    """Keep the result of a lookup; of a failed one, only the time."""
    lookup.ended = clock()
    seconds = INTERVAL_AFTER_FAILURE if lookup.has_failed else LIFETIME
    task.get_loop().call_later(seconds, _forget, lookups, connection, lookup)


def _forget(lookups: dict[object, _Lookup], connection: object, lookup: _Lookup) -> None:
    if lookups.get(connection) is lookup:
        del lookups[connection]
