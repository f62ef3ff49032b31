"""The data of the poller: who waits for which run, which polls are due, and which are in flight."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.wait.any_wait import AnyResult, WaitLimits
from airflow_provider_itwin.api.wait.waiter import PollOutcome, Wait

log = logging.getLogger(__name__)

LATE_FACTOR = 2.0
"""How many times the planned interval makes a poll late, so that it is logged in the task's log."""

_LATE_MARGIN = 5.0
"""Seconds that the interval must be longer in addition."""

POLLED_LESS_OFTEN = (
    "Polled less often than planned: %s, after %.0f s instead of %.0f s. The account has more runs to poll than its "
    "rate limits or response times allow; see requests_per_minute and requests_per_hour of [itwin]."
)
"""Logged once in the task's log when polls are late; docs/troubleshooting.md quotes it."""


class PollInFlight:
    """
    A poll that has no response yet.

    :param since: time, by the event loop's clock, since which the service has had time to respond
    :param asks_why: whether to find out what a 404 means
    """

    __slots__ = ("asks_why", "is_abandoned", "is_late", "is_slow", "since", "timer", "waits_for_turn")

    def __init__(self, since: float, asks_why: bool) -> None:
        self.since = since
        self.asks_why = asks_why
        self.waits_for_turn = False
        self.is_late = False
        self.is_slow = False
        self.is_abandoned = False
        self.timer: asyncio.TimerHandle | None = None

    async def wait_for_turn(self, turn: Awaitable[None]) -> None:
        """Await `turn`, without counting this time as response time of the service."""
        self.waits_for_turn = True
        try:
            await turn
        finally:
            self.waits_for_turn = False
            self.since = asyncio.get_running_loop().time()


class Worker:
    """
    A task that polls.

    :param is_slow: whether it handles slow polls
    """

    __slots__ = ("is_slow", "poll", "task", "watch")

    task: asyncio.Task[None]

    def __init__(self, is_slow: bool) -> None:
        self.is_slow = is_slow
        self.watch: Watch | None = None
        self.poll: PollInFlight | None = None

    def abandon(self) -> None:
        """Abandon the poll in flight."""
        if self.poll is not None:
            self.poll.is_abandoned = True
            self.task.cancel()


@dataclass(slots=True, eq=False)
class Waiter:
    """One wait; `context` routes its log lines to the log of its own task."""

    wait: Wait
    result: asyncio.Future[AnyResult]
    context: contextvars.Context
    polled_at: float = -inf
    planned: float | None = None
    is_late: bool = False

    def record(self, poll_outcome: PollOutcome, now: float) -> float | None:
        """
        Process the outcome of a poll, and set the result if the wait ends.

        :return: seconds until the next poll; None if the wait has ended
        """
        if self.result.done():
            return None
        try:
            result = self.context.run(self.wait.record, poll_outcome)
            if not isinstance(poll_outcome, ITwinError):
                self._note_interval(now)
        except Exception as error:  # noqa: BLE001 (any error is passed to the caller of the wait)
            self.result.set_exception(error)
            return None
        if result.end is not None:
            self.result.set_result(result)
            return None
        self.polled_at = now
        self.planned = self.wait.pause if self.wait.error is None else None
        return self.wait.pause

    def result_without_response(self) -> None:
        """Set the result if the wait is overdue."""
        if not self.result.done() and (result := self.context.run(self.wait.result_without_response)) is not None:
            self.result.set_result(result)

    def _note_interval(self, now: float) -> None:
        """Log when polls become much later than planned, and when they are on time again."""
        if self.planned is None:
            return
        interval, target = now - self.polled_at, self.wait.spec.target
        if interval > LATE_FACTOR * self.planned + _LATE_MARGIN:
            if not self.is_late:
                self.is_late = True
                self.context.run(log.warning, POLLED_LESS_OFTEN, target, interval, self.planned)
        elif self.is_late:
            self.is_late = False
            self.context.run(log.info, "Polled on time again: %s", target)


@dataclass(slots=True, eq=False)
class Watch:
    """
    All waits for the same run, and when it is polled next.

    :param is_busy: whether its poll is queued or in flight
    :param has_response: whether a poll of it has had a response in this process
    :param slow_polls: how many polls in a row were slow
    """

    waiters: list[Waiter] = field(default_factory=list)
    due: float = 0.0
    polled_at: float = -inf
    is_busy: bool = False
    has_response: bool = False
    slow_polls: int = 0
    worker: Worker | None = None

    @property
    def spec(self) -> WaitLimits[Any]:
        """The wait spec to poll with: the one with the earliest deadline, so that no deadline is judged late."""
        if len(self.waiters) == 1:
            return self.waiters[0].wait.spec
        return min((waiter.wait.spec for waiter in self.waiters), key=_deadline)

    @property
    def asks_why(self) -> bool:
        """Whether a wait wants to know why its run is not found."""
        return any(waiter.wait.asks_why for waiter in self.waiters)

    def fail(self, error: BaseException) -> None:
        """End all waits with an error."""
        for waiter in self.waiters:
            if not waiter.result.done():
                waiter.result.set_exception(error)


def _deadline(spec: WaitLimits[Any]) -> float:
    return inf if spec.deadline is None else spec.deadline


class PollQueue:
    """
    Polls that are due, in the order in which workers take them.

    Runs that have had a response come first, then those that were never polled in this process. Runs whose last poll was slow
    have their own queue: there, too, runs that have had a response come first, then those with the fewest slow polls.
    """

    def __init__(self) -> None:
        self._known: deque[Watch] = deque()
        self._new: deque[Watch] = deque()
        self._slow: list[tuple[bool, int, int, Watch]] = []
        self._sequence = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._known or self._new or self._slow)

    def __iter__(self) -> Iterator[Watch]:
        return itertools.chain(self._known, self._new, (entry[-1] for entry in self._slow))

    @property
    def regular(self) -> int:
        """How many regular polls are due."""
        return len(self._known) + len(self._new)

    @property
    def slow(self) -> int:
        """How many polls of slow runs are due."""
        return len(self._slow)

    @property
    def oldest_due(self) -> float:
        """The time since which a regular poll has been due."""
        return min((queue[0].due for queue in (self._known, self._new) if queue), default=inf)

    def put(self, watch: Watch) -> None:
        """Add a poll that is due."""
        watch.is_busy = True
        if watch.slow_polls:
            entry = (not watch.has_response, watch.slow_polls, next(self._sequence), watch)
            heapq.heappush(self._slow, entry)
        else:
            (self._known if watch.has_response else self._new).append(watch)

    def take(self, *, slow: bool) -> Watch | None:
        """Remove and return the next poll; None if none is due."""
        if slow:
            return heapq.heappop(self._slow)[-1] if self._slow else None
        queue = self._known or self._new
        return queue.popleft() if queue else None

    def clear(self) -> None:
        """Remove all polls."""
        self._known.clear()
        self._new.clear()
        self._slow.clear()
