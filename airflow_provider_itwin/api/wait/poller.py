"""
One poller for all waits of an account: it polls for all of them, and once where several wait for the same run.

A trigger only awaits a future. Airflow 3.3 runs each trigger in a portal that makes every await dearer, so a few workers poll in
tasks of their own, from a heap of due times. There are as few workers as keep up with what is due.

Three rules keep one run's trouble from becoming another's:

- A poll without an answer leaves the workers after a second or so and joins a small group of slow polls. When that group is
  full, the poll is abandoned. A run whose poll was slow is polled within that group until it answers quickly again.
- A deadline needs no worker. When no poll has an answer in time, the wait is judged by what was seen last.
- If the task that keeps time or a worker ends unexpectedly, those who depend on it get an error, and the next wait starts anew.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from math import inf
from typing import Any

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.wait.models import WaitResult, WaitSpec
from airflow_provider_itwin.api.wait.poll_queue import (
    PollInFlight,
    PollQueue,
    Waiter,
    Watch,
    Worker,
    target_of,
)
from airflow_provider_itwin.api.wait.waiter import PollOutcome, Wait

log = logging.getLogger(__name__)

FEW_WORKERS = 10
"""
Polls in flight at once while that many keep up.

A poll holds some thirty objects until it is done, and Python collects garbage whenever there are 700 more than before: with
twice as many polls at once, collecting garbage was measured to take an eighth of all their work.
"""

MOST_WORKERS = 30
"""Polls in flight at once, at most, when the service takes its time; slow polls come on top."""

MOST_WORKERS_BESIDE_SLOW = 90
"""The same while there are as many slow polls as may be: those that hang have to be found out before others can go on."""

MOST_SLOW = 20
"""Slow polls in flight at once, at most."""

SLOW_AFTER = 0.5
"""Seconds without an answer after which a poll is slow; more while the service as a whole takes its time."""

SLOW_SHARE = 5.0
"""
Seconds that a slow poll may take while others wait for its place; three times as many each further time.

So a run that takes a few seconds to answer is found soon among a thousand that never do.
"""

SLOW_FACTOR = 3.0
"""How many times the usual duration of a poll makes it slow, if that is more than `SLOW_AFTER`."""

CALM = 60.0
"""Seconds of keeping up after which few polls at once are enough again."""

FRESH = 1.0
"""Seconds for which a finding is fresh enough that a newcomer need not poll again."""

TICK = 0.1
"""Seconds between two times of handing out: polls that fall due at about the same time share what a wake-up costs."""

JUDGE_INTERVAL = 1.0
"""Seconds between two checks whether a wait without an answer is overdue."""


class Poller:
    """
    Polls runs for all who wait for them.

    Belongs to one event loop. Its workers are started when polls are due, as many as are needed, and stopped when none are
    left, or by :meth:`close`.

    :param account: for its clock
    :param poll: polls once for an order; errors of the service are returned, not raised. It tells the poll in flight when it
        waits for its turn, which does not count as slow
    :param sleep: how to wait until polls are due
    """

    def __init__(
        self,
        account: Account,
        poll: Callable[[WaitSpec, PollInFlight], Awaitable[PollOutcome]],
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
        self._usual = 2 * SLOW_AFTER / SLOW_FACTOR

    async def wait(self, spec: WaitSpec) -> WaitResult:
        """
        Wait as `spec` says; several that wait for the same run share its polls, and keep their own rules.

        :raises RuntimeError: if the poller itself breaks down
        """
        target = target_of(spec)
        watch = self._watches.get(target)
        if watch is None:
            watch = self._watches[target] = Watch()
        waiter = Waiter(
            Wait(self._account, spec), asyncio.get_running_loop().create_future(), contextvars.copy_context()
        )
        watch.waiters.append(waiter)
        if not watch.is_busy:
            self._schedule(watch, max(self._account.clock(), watch.polled_at + FRESH))
        if self._clock is None:
            self._clock = self._start(self._keep_time())
            self._clock.add_done_callback(self._clock_ended, context=contextvars.Context())
        try:
            return await waiter.outcome
        finally:
            watch.waiters.remove(waiter)
            if not watch.waiters:
                if self._watches.get(target) is watch:
                    del self._watches[target]
                if watch.worker is not None and watch.worker.is_slow:
                    watch.worker.abandon()

    async def close(self) -> None:
        """Stop polling; nobody may be waiting any more."""
        tasks = [worker.task for worker in self._workers | self._slow]
        tasks += [task for task in (self._clock, self._sleeper) if task is not None]
        self._forget_all()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_all(self) -> None:
        self._clock = self._sleeper = None
        self._workers.clear()
        self._slow.clear()
        self._heap.clear()
        self._queue.clear()
        self._watches.clear()

    @staticmethod
    def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In no task's context: what is logged for all must not appear in the log of the one who came first.
        return asyncio.create_task(work, context=contextvars.Context())

    def _clock_ended(self, clock: asyncio.Task[None]) -> None:
        """Pass the unexpected end of the clock on to all who wait; the next wait starts a new one."""
        if clock is not self._clock:
            return
        watches, workers = list(self._watches.values()), self._workers | self._slow
        self._forget_all()
        for worker in workers:
            worker.task.cancel()
        _fail(watches, clock)

    def _worker_ended(self, worker: Worker) -> None:
        """Pass the unexpected end of a worker on to those for whom it polled."""
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

    async def _keep_time(self) -> None:
        """Hand out what is due."""
        while True:
            self._wake.clear()
            now = self._account.clock()
            while self._heap and self._heap[0][0] <= now:
                due, _, watch = heapq.heappop(self._heap)
                # An entry is void when its watch was scheduled anew since, or has nobody left.
                if watch.due == due and watch.waiters and not watch.is_busy:
                    self._queue.put(watch)
            is_behind = self._put_to_work(now)
            if (self._queue or self._slow) and now - self._judged_at >= JUDGE_INTERVAL:
                self._judged_at = now
                self._judge_overdue()
            await self._rest(TICK if is_behind else max(TICK, self._heap[0][0] - now) if self._heap else None)

    async def _rest(self, seconds: float | None) -> None:
        """Wait until something is due, or until something is due earlier than was known."""
        timer = sleeper = None
        if self._slow or self._queue.slow:
            # Polls in flight take real time, whatever clock the account has.
            timer = asyncio.get_running_loop().call_later(JUDGE_INTERVAL, self._wake.set)
        if seconds is not None:
            sleeper = self._sleeper = asyncio.create_task(self._pass(seconds))
            sleeper.add_done_callback(self._slept)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
            if sleeper is not None and not sleeper.done():
                sleeper.remove_done_callback(self._slept)
                sleeper.cancel()
        if sleeper is not None and sleeper.done():
            sleeper.result()

    async def _pass(self, seconds: float) -> None:
        await self._sleep(seconds)

    def _slept(self, _: object) -> None:
        self._wake.set()

    def _judge_overdue(self) -> None:
        """Judge waits that are overdue while their polls have no answer, or no worker."""
        in_flight = [worker.watch for worker in self._workers | self._slow if worker.watch is not None]
        for watch in itertools.chain(in_flight, self._queue):
            for waiter in watch.waiters:
                waiter.judge_unanswered()

    # Workers

    def _put_to_work(self, now: float) -> bool:
        """
        Start workers for what is due: a few, and more and more of them while polls are late.

        :return: whether something that is due has no worker of its own
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
        """Poll what is due until nothing is."""
        while (watch := self._queue.take(slow=worker.is_slow)) is not None:
            if watch.waiters:
                await self._poll_once(worker, watch)
        # At once, not when the task is found to be done: what falls due in between needs a worker, too.
        self._workers.discard(worker)
        self._slow.discard(worker)

    async def _poll_once(self, worker: Worker, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        poll = PollInFlight(loop.time())
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
                f"A poll was given up after {loop.time() - poll.since:.1f} s without an answer, because too many others had "
                "no answer either"
            )
        except Exception as error:  # noqa: BLE001 (whoever waits gets the error, whatever it is)
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
        return max(SLOW_AFTER, SLOW_FACTOR * self._usual)

    def _note_duration(self, watch: Watch, seconds: float, poll_outcome: PollOutcome) -> None:
        """Follow how long polls usually take; a few slow ones among quick ones move that little."""
        if seconds < self._slow_after:
            watch.slow_polls = 0
        if not isinstance(poll_outcome, ITwinConnectionError):
            watch.has_answered = True
            self._usual += (0.5 if seconds < self._usual else 0.05) * (min(seconds, 10.0) - self._usual)

    def _check_slow(self, worker: Worker, poll: PollInFlight) -> None:
        """Move a poll without an answer to the slow ones; abandon it if there is no room, or others have waited for longer."""
        if worker.poll is not poll or worker.watch is None:
            return
        loop, watch = asyncio.get_running_loop(), worker.watch
        left = self._slow_after - (loop.time() - poll.since)
        if poll.waits_for_turn or left > 0:
            poll.is_late = False
            self._check_later(left, worker, poll)
        elif not poll.is_late:
            # When the event loop itself was held up, the answer may be there already.
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
            pause = waiter.take_in(poll_outcome, watch.polled_at)
            if pause is not None:
                pauses.append(pause)
        if pauses:
            self._schedule(watch, watch.polled_at + min(pauses))


def _fail(watches: Iterable[Watch], ended: asyncio.Task[None]) -> None:
    """End waits with an error, because a task that they depend on has ended."""
    if all(waiter.outcome.done() for watch in watches for waiter in watch.waiters):
        return
    cause = asyncio.CancelledError() if ended.cancelled() else ended.exception()
    log.error("Polling stopped unexpectedly; the waits that depend on it fail", exc_info=cause)
    for watch in watches:
        error = RuntimeError(f"Polling stopped unexpectedly ({type(cause).__name__}); a retry waits again")
        error.__cause__ = cause
        watch.fail(error)
