"""
One poller for all waits of an account: it asks for everybody, and asks once where several wait for the same run.

A trigger only awaits a future. Airflow 3.3 runs each trigger in a portal that taxes every await, so the asking is done by a
few workers in tasks of their own, from a heap of due times. There are as few of them as keep up with what is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from airflow_provider_itwin.api.account import Account
from airflow_provider_itwin.api.orders import WaitOrder, WaitOutcome
from airflow_provider_itwin.api.waiting import Finding, Wait

log = logging.getLogger(__name__)

FEW_WORKERS = 10
"""
Looks that are under way at once while that many keep up.

A look holds some thirty objects until it is done, and Python collects garbage whenever there are 700 more than before: with
twice as many looks at once, collecting garbage was measured to take an eighth of all their work.
"""

MOST_WORKERS = 30
"""Looks that are under way at once, at most, when the service takes its time."""

CALM = 60.0
"""Seconds of keeping up after which few looks at once are enough again."""

FRESH = 1.0
"""Seconds for which a finding is fresh enough that a newcomer need not ask again."""

TICK = 0.1
"""Seconds between two times of handing out: looks that fall due at about the same time share what a wake-up costs."""

_Target: TypeAlias = tuple[object, ...]


@dataclass(slots=True, eq=False)
class _Waiter:
    """One who waits; `context` makes what is logged for it appear in its own task's log."""

    wait: Wait
    outcome: asyncio.Future[WaitOutcome]
    context: contextvars.Context


@dataclass(slots=True, eq=False)
class _Watch:
    """All who wait for the same run, and when it is looked at next."""

    waiters: list[_Waiter] = field(default_factory=list)
    due: float = 0.0
    looked_at: float = -inf
    is_being_looked_at: bool = False

    @property
    def order(self) -> WaitOrder:
        """What to look for: as the one wants it whose time limit comes first, so that nobody's is judged late."""
        if len(self.waiters) == 1:
            return self.waiters[0].wait.order
        return min((waiter.wait.order for waiter in self.waiters), key=_limit)


def _limit(order: WaitOrder) -> float:
    return inf if order.deadline is None else order.deadline


class Poller:
    """
    Looks at runs for all who wait for them.

    Belongs to one event loop. Its workers are started when looks are due, as many as are needed, and stopped when none are left,
    or by :meth:`close`.

    :param account: for its clock
    :param look: looks once for the run of an order; what is in the way is found, not raised
    :param sleep: how to pass time; a parameter so that tests need none
    """

    def __init__(
        self,
        account: Account,
        look: Callable[[WaitOrder], Awaitable[Finding]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._look = look
        self._sleep = sleep
        self._watches: dict[_Target, _Watch] = {}
        self._heap: list[tuple[float, int, _Watch]] = []
        self._sequence = itertools.count()
        self._due: deque[_Watch] = deque()
        self._earlier = asyncio.Event()
        self._clock: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._most = FEW_WORKERS
        self._behind_at = -inf

    async def wait(self, order: WaitOrder) -> WaitOutcome:
        """Wait as `order` says; several that wait for the same run share its looks, and keep their own rules."""
        target = (order.kind, order.connection_id, order.run_id, order.started_after)
        watch = self._watches.get(target)
        if watch is None:
            watch = self._watches[target] = _Watch()
        waiter = _Waiter(
            Wait(self._account, order), asyncio.get_running_loop().create_future(), contextvars.copy_context()
        )
        watch.waiters.append(waiter)
        if not watch.is_being_looked_at:
            self._schedule(watch, max(self._account.clock(), watch.looked_at + FRESH))
        if self._clock is None:
            self._clock = asyncio.create_task(self._keep_time())
        try:
            return await waiter.outcome
        finally:
            watch.waiters.remove(waiter)
            if not watch.waiters and self._watches.get(target) is watch:
                del self._watches[target]

    async def close(self) -> None:
        """Stop asking; nobody may be waiting any more."""
        tasks = [task for task in (self._clock, *self._workers) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clock = None
        self._workers.clear()

    def _schedule(self, watch: _Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._heap, (due, next(self._sequence), watch))
        if self._heap[0][2] is watch:
            self._earlier.set()

    async def _keep_time(self) -> None:
        """Hand out what is due."""
        while True:
            now = self._account.clock()
            while self._heap and self._heap[0][0] <= now:
                due, _, watch = heapq.heappop(self._heap)
                # An entry is void when its watch was scheduled anew since, or has nobody left.
                if watch.due == due and watch.waiters and not watch.is_being_looked_at:
                    watch.is_being_looked_at = True
                    self._due.append(watch)
            all_have_workers = self._put_to_work(now)
            self._earlier.clear()
            if not all_have_workers:
                await self._rest(TICK)
            else:
                await self._rest(max(TICK, self._heap[0][0] - now) if self._heap else None)

    async def _rest(self, seconds: float | None) -> None:
        """Wait until something is due, or until something is due earlier than was known."""
        if seconds is not None and self._sleep is not asyncio.sleep:
            await self._sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._earlier.wait()

    def _put_to_work(self, now: float) -> bool:
        """
        Start workers for what is due: a few, and more and more of them while looks are late.

        :return: whether there is a worker of its own for everything
        """
        if self._due and now - self._due[0].due > 2 * TICK:
            self._most = min(MOST_WORKERS, self._most + 2)
            self._behind_at = now
        elif now - self._behind_at > CALM:
            self._most = FEW_WORKERS
        wanted, allowed = len(self._due), max(0, self._most - len(self._workers))
        for _ in range(min(wanted, allowed)):
            self._workers.add(asyncio.create_task(self._work()))
        return wanted <= allowed

    async def _work(self) -> None:
        """Look at what is due until nothing is."""
        try:
            while self._due:
                await self._look_at(self._due.popleft())
        finally:
            # At once, not when the task is found to be done: what falls due in between needs a worker, too.
            if (me := asyncio.current_task()) is not None:
                self._workers.discard(me)

    async def _look_at(self, watch: _Watch) -> None:
        try:
            if watch.waiters:
                finding = await self._look(watch.order)
                watch.is_being_looked_at = False
                self._tell(watch, finding)
        except Exception as error:  # noqa: BLE001 (whoever waits must be told, whatever it is)
            for waiter in watch.waiters:
                if not waiter.outcome.done():
                    waiter.outcome.set_exception(error)
        finally:
            watch.is_being_looked_at = False

    def _tell(self, watch: _Watch, finding: Finding) -> None:
        watch.looked_at = self._account.clock()
        pauses = []
        for waiter in watch.waiters:
            if waiter.outcome.done():
                continue
            outcome = waiter.context.run(waiter.wait.take_in, finding)
            if outcome.end is not None:
                waiter.outcome.set_result(outcome)
            else:
                pauses.append(waiter.wait.pause)
        if pauses:
            self._schedule(watch, watch.looked_at + min(pauses))
