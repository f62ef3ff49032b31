"""
One poller for all waits of an account; waits for the same run share its polls.

A trigger only awaits a future. Airflow 3.3 runs each trigger in a portal, in which every await costs more. So a few workers poll
in their own tasks, from a heap of due times. Their number is kept as low as possible.

Three rules isolate runs from each other's errors:

- A poll without a response moves from the workers to a small group of slow polls after about a second. If that group is full,
  the poll is abandoned. A run whose poll was slow is polled in that group until it responds quickly again.
- A deadline needs no worker. If no poll has a response in time, the wait is judged by the last good response.
- If the clock task or a worker ends unexpectedly, the waits that depend on it fail, and the next wait starts new tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from math import inf
from typing import Any, cast

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.wait.any_wait import ResultT, WaitLimits
from airflow_provider_itwin.api.wait.poll_queue import (
    PollInFlight,
    PollQueue,
    Waiter,
    Watch,
    Worker,
)
from airflow_provider_itwin.api.wait.waiter import PollOutcome, Wait

log = logging.getLogger(__name__)

FEW_WORKERS = 10
"""
Concurrent polls while that many keep up.

A poll in flight keeps about thirty objects alive, and Python collects garbage after every 700 new objects. With twice as many
concurrent polls, garbage collection took an eighth of the CPU time in measurements.
"""

MOST_WORKERS = 30
"""Concurrent polls at most, when the service responds slowly; slow polls are not counted."""

MOST_WORKERS_BESIDE_SLOW = 90
"""The same while the group of slow polls is full: polls that hang must be detected before others can proceed."""

MOST_SLOW = 20
"""Concurrent slow polls, at most."""

SLOW_AFTER = 0.5
"""Seconds without a response after which a poll is slow; more while the whole service responds slowly."""

SLOW_SHARE = 5.0
"""
Seconds that a slow poll may take while others wait for its place; tripled each further time.

So a run that responds within a few seconds is soon found among a thousand that never respond.
"""

SLOW_FACTOR = 3.0
"""How many times the typical duration makes a poll slow, if that is more than `SLOW_AFTER`."""

CALM = 60.0
"""Seconds without late polls after which concurrency returns to `FEW_WORKERS`."""

REUSE_POLL_FOR = 1.0
"""Seconds after a poll during which a new wait for the same run does not poll again."""

TICK = 0.1
"""Seconds between two wake-ups of the clock task, at least: polls that are due at about the same time share one."""

JUDGE_INTERVAL = 1.0
"""Seconds between two checks for waits that are overdue without a response."""


class Poller:
    """
    Polls runs for all waits of an account.

    A poller belongs to one event loop. It starts workers when polls are due, and stops them when none are left.

    :param account: its clock is used
    :param poll: polls once for a wait; errors of the service are returned, not raised. While it waits for the rate limiter, it
        uses :meth:`PollInFlight.wait_for_turn`, so that this time does not count as slow
    :param sleep: waits until polls are due
    """

    def __init__(
        self,
        account: Account,
        poll: Callable[[Any, PollInFlight], Awaitable[PollOutcome]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._poll = poll
        self._sleep = sleep
        self._watches: dict[tuple[object, ...], Watch] = {}
        self._heap: list[tuple[float, int, Watch]] = []
        self._sequence = itertools.count()
        self._queue = PollQueue()
        self._wake = asyncio.Event()
        self._clock: asyncio.Task[None] | None = None
        self._sleeper: asyncio.Task[None] | None = None
        self._workers: set[Worker] = set()
        self._slow: set[Worker] = set()
        self._most = FEW_WORKERS
        self._behind_at = -inf
        self._judged_at = -inf
        self._typical = 2 * SLOW_AFTER / SLOW_FACTOR

    async def wait(self, spec: WaitLimits[ResultT]) -> ResultT:
        """
        Wait for a run or a job; waits for the same one share its polls, each with its own spec.

        :raises RuntimeError: if a task of the poller ends unexpectedly
        """
        target = spec.poll_target
        watch = self._watches.get(target)
        if watch is None:
            watch = self._watches[target] = Watch()
        waiter = Waiter(
            Wait(self._account, spec), asyncio.get_running_loop().create_future(), contextvars.copy_context()
        )
        watch.waiters.append(waiter)
        if not watch.is_busy:
            self._schedule(watch, max(self._account.clock(), watch.polled_at + REUSE_POLL_FOR))
        if self._clock is None:
            self._clock = self._start(self._run_clock())
            self._clock.add_done_callback(self._clock_ended, context=contextvars.Context())
        try:
            return cast("ResultT", await waiter.result)
        finally:
            watch.waiters.remove(waiter)
            if not watch.waiters:
                if self._watches.get(target) is watch:
                    del self._watches[target]
                if watch.worker is not None and watch.worker.is_slow:
                    watch.worker.abandon()

    async def close(self) -> None:
        """Stop polling; no wait may be pending."""
        tasks = [worker.task for worker in self._workers | self._slow]
        tasks += [task for task in (self._clock, self._sleeper) if task is not None]
        self._clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _clear(self) -> None:
        self._clock = self._sleeper = None
        self._workers.clear()
        self._slow.clear()
        self._heap.clear()
        self._queue.clear()
        self._watches.clear()

    @staticmethod
    def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # An empty context: log lines about all waits must not appear in the log of the first task.
        return asyncio.create_task(work, context=contextvars.Context())

    def _clock_ended(self, clock: asyncio.Task[None]) -> None:
        """Fail all waits after an unexpected end of the clock task; the next wait starts a new one."""
        if clock is not self._clock:
            return
        watches, workers = list(self._watches.values()), self._workers | self._slow
        self._clear()
        for worker in workers:
            worker.task.cancel()
        _fail(watches, clock)

    def _worker_ended(self, worker: Worker) -> None:
        """Fail the waits for which a worker polled, after its unexpected end."""
        if worker not in self._workers and worker not in self._slow:
            return
        self._workers.discard(worker)
        self._slow.discard(worker)
        if worker.watch is not None:
            worker.watch.worker = None
            worker.watch.is_busy = False
            _fail([worker.watch], worker.task)

    # Time

    def _schedule(self, watch: Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._heap, (due, next(self._sequence), watch))
        if self._heap[0][2] is watch:
            self._wake.set()

    async def _run_clock(self) -> None:
        """Queue the polls that are due, and start workers for them."""
        while True:
            self._wake.clear()
            now = self._account.clock()
            while self._heap and self._heap[0][0] <= now:
                due, _, watch = heapq.heappop(self._heap)
                # An entry is void when its watch was rescheduled since, or has no waits left.
                if watch.due == due and watch.waiters and not watch.is_busy:
                    self._queue.put(watch)
            is_behind = self._start_workers(now)
            if (self._queue or self._slow) and now - self._judged_at >= JUDGE_INTERVAL:
                self._judged_at = now
                self._judge_overdue()
            await self._sleep_until_due(
                TICK if is_behind else max(TICK, self._heap[0][0] - now) if self._heap else None
            )

    async def _sleep_until_due(self, seconds: float | None) -> None:
        """Sleep for `seconds`, or until a poll is scheduled that is due earlier."""
        timer = sleeper = None
        if self._slow or self._queue.slow:
            # Polls in flight take real time, even if the clock of the account is simulated.
            timer = asyncio.get_running_loop().call_later(JUDGE_INTERVAL, self._wake.set)
        if seconds is not None:
            sleeper = self._sleeper = asyncio.create_task(self._sleep_for(seconds))
            sleeper.add_done_callback(self._sleep_ended)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
            if sleeper is not None and not sleeper.done():
                sleeper.remove_done_callback(self._sleep_ended)
                sleeper.cancel()
        if sleeper is not None and sleeper.done():
            sleeper.result()

    async def _sleep_for(self, seconds: float) -> None:
        await self._sleep(seconds)

    def _sleep_ended(self, _: object) -> None:
        self._wake.set()

    def _judge_overdue(self) -> None:
        """Judge waits that are overdue while their polls have no response or no worker."""
        in_flight = [worker.watch for worker in self._workers | self._slow if worker.watch is not None]
        for watch in itertools.chain(in_flight, self._queue):
            for waiter in watch.waiters:
                waiter.result_without_response()

    # Workers

    def _start_workers(self, now: float) -> bool:
        """
        Start workers for the polls that are due: few at first, then more while polls are late.

        :return: whether polls are due that have no worker yet
        """
        queue = self._queue
        if queue.regular and now - queue.oldest_due > 2 * TICK:
            most, step = (MOST_WORKERS, 2) if len(self._slow) < MOST_SLOW else (MOST_WORKERS_BESIDE_SLOW, 20)
            self._most = min(most, self._most + step)
            self._behind_at = now
        elif now - self._behind_at > CALM:
            self._most = FEW_WORKERS
        allowed = max(0, self._most - len(self._workers))
        for _ in range(min(queue.regular, allowed)):
            self._add_worker(self._workers, is_slow=False)
        for _ in range(min(queue.slow, MOST_SLOW - len(self._slow))):
            self._add_worker(self._slow, is_slow=True)
        return queue.regular > allowed

    def _add_worker(self, group: set[Worker], *, is_slow: bool) -> None:
        worker = Worker(is_slow)
        worker.task = self._start(self._work(worker))
        worker.task.add_done_callback(lambda _: self._worker_ended(worker), context=contextvars.Context())
        group.add(worker)

    async def _work(self, worker: Worker) -> None:
        """Poll until no poll is due."""
        while (watch := self._queue.take(slow=worker.is_slow)) is not None:
            if watch.waiters:
                await self._poll_once(worker, watch)
        # Removed here, not when the task is done: a poll that becomes due in between needs a worker too.
        self._workers.discard(worker)
        self._slow.discard(worker)

    async def _poll_once(self, worker: Worker, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        poll = PollInFlight(loop.time(), watch.asks_why)
        worker.watch, watch.worker, worker.poll = watch, worker, poll
        poll.timer = loop.call_later(self._slow_after, self._check_slow, worker, poll)
        poll_outcome: PollOutcome | Exception
        try:
            poll_outcome = await self._poll(watch.spec, poll)
        except asyncio.CancelledError:
            if not poll.is_abandoned:
                raise
            worker.task.uncancel()
            poll_outcome = ITwinConnectionError(
                f"A poll was abandoned after {loop.time() - poll.since:.1f} s without a response, because too many other "
                "polls had no response either"
            )
        except Exception as error:  # noqa: BLE001 (any error is passed to the caller of the wait)
            poll_outcome = error
        finally:
            poll.timer.cancel()
        worker.watch = worker.poll = watch.worker = None
        watch.is_busy = False
        if isinstance(poll_outcome, Exception) and not isinstance(poll_outcome, ITwinError):
            watch.fail(poll_outcome)
            return
        self._note_duration(watch, loop.time() - poll.since, poll_outcome)
        self._report(watch, poll_outcome)

    @property
    def _slow_after(self) -> float:
        return max(SLOW_AFTER, SLOW_FACTOR * self._typical)

    def _note_duration(self, watch: Watch, seconds: float, poll_outcome: PollOutcome) -> None:
        """Update the typical duration of a poll; few slow polls among quick ones change it little."""
        if seconds < self._slow_after:
            watch.slow_polls = 0
        if not isinstance(poll_outcome, ITwinConnectionError):
            watch.has_response = True
            self._typical += (0.5 if seconds < self._typical else 0.05) * (min(seconds, 10.0) - self._typical)

    def _check_slow(self, worker: Worker, poll: PollInFlight) -> None:
        """Move a poll without a response to the slow polls; abandon it if that group is full, or others wait for its place."""
        if worker.poll is not poll or worker.watch is None:
            return
        loop, watch = asyncio.get_running_loop(), worker.watch
        left = self._slow_after - (loop.time() - poll.since)
        if poll.waits_for_turn or left > 0:
            poll.is_late = False
            self._check_later(left, worker, poll)
        elif not poll.is_late:
            # If the event loop itself was blocked, the response may have arrived already.
            poll.is_late = True
            self._check_later(TICK, worker, poll)
        else:
            if not poll.is_slow:
                poll.is_slow = True
                watch.slow_polls += 1
            if not worker.is_slow and len(self._slow) < MOST_SLOW:
                self._workers.discard(worker)
                self._slow.add(worker)
                worker.is_slow = True
                self._wake.set()
            share = SLOW_SHARE * 3.0 ** max(0, watch.slow_polls - 2)
            is_over = loop.time() - poll.since >= share and self._queue.slow > 0
            if not watch.waiters or not worker.is_slow or is_over:
                worker.abandon()
            else:
                self._check_later(JUDGE_INTERVAL, worker, poll)

    def _check_later(self, seconds: float, worker: Worker, poll: PollInFlight) -> None:
        poll.timer = asyncio.get_running_loop().call_later(max(seconds, TICK), self._check_slow, worker, poll)

    def _report(self, watch: Watch, poll_outcome: PollOutcome) -> None:
        watch.polled_at = self._account.clock()
        pauses = []
        for waiter in watch.waiters:
            pause = waiter.record(poll_outcome, watch.polled_at)
            if pause is not None:
                pauses.append(pause)
        if pauses:
            self._schedule(watch, watch.polled_at + min(pauses))


def _fail(watches: Iterable[Watch], ended: asyncio.Task[None]) -> None:
    """Fail waits because a task that they depend on has ended."""
    if all(waiter.result.done() for watch in watches for waiter in watch.waiters):
        return
    cause = asyncio.CancelledError() if ended.cancelled() else ended.exception()
    log.error("Polling stopped unexpectedly; the waits that depend on it fail", exc_info=cause)
    for watch in watches:
        error = RuntimeError(f"Polling stopped unexpectedly ({type(cause).__name__}); the task can be retried")
        error.__cause__ = cause
        watch.fail(error)
