"""What the poller keeps: who waits for which run, which polls are due, and which are in flight."""

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

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.wait.models import WaitResult, WaitSpec
from airflow_provider_itwin.api.wait.waiter import PollOutcome, Wait

log = logging.getLogger(__name__)

STRETCHED = 2.0
"""How many times its planned interval makes an interval worth a line in the task's log."""

_STRETCHED_BY = 5.0
"""Seconds that an interval has to be longer, besides."""


POLLED_LESS_OFTEN = (
    "Polled less often than planned: %s, after %.0f s instead of %.0f s. The account has more to poll than its requests or "
    "answers allow; see requests_per_minute and requests_per_hour of [itwin]."
)
"""Logged once in a task's own log when its polls come late; docs/troubleshooting.md has the same words."""


def target_of(spec: WaitSpec) -> tuple[object, ...]:
    """Return what is polled for an order: a run, or the newest run of a connection, however late it has to begin."""
    return (spec.kind, spec.connection_id, spec.run_id)


class PollInFlight:
    """
    A poll that has no answer yet.

    :param since: moment of the event loop's clock from which on the service has had time to answer
    """

    __slots__ = ("is_abandoned", "is_late", "is_slow", "since", "timer", "waits_for_turn")

    def __init__(self, since: float) -> None:
        self.since = since
        self.waits_for_turn = False
        self.is_late = False
        self.is_slow = False
        self.is_abandoned = False
        self.timer: asyncio.TimerHandle | None = None

    async def wait_for_turn(self, turn: Awaitable[None]) -> None:
        """Await `turn`; the time that this takes is not the service's."""
        self.waits_for_turn = True
        try:
            await turn
        finally:
            self.waits_for_turn = False
            self.since = asyncio.get_running_loop().time()


class Worker:
    """
    A task that polls.

    :param is_slow: whether it is one of those that may hang
    """

    __slots__ = ("is_slow", "poll", "task", "watch")

    task: asyncio.Task[None]

    def __init__(self, is_slow: bool) -> None:
        self.is_slow = is_slow
        self.watch: Watch | None = None
        self.poll: PollInFlight | None = None

    def abandon(self) -> None:
        """Go on without the answer to the poll in flight."""
        if self.poll is not None:
            self.poll.is_abandoned = True
            self.task.cancel()


@dataclass(slots=True, eq=False)
class Waiter:
    """One who waits; `context` makes what is logged for it appear in its own task's log."""

    wait: Wait
    outcome: asyncio.Future[WaitResult]
    context: contextvars.Context
    seen_at: float = -inf
    planned: float | None = None
    is_stretched: bool = False

    def take_in(self, poll_outcome: PollOutcome, now: float) -> float | None:
        """
        Take in what a poll has found; set the outcome if that ends the wait.

        :return: seconds until the next poll; None if the wait has ended
        """
        if self.outcome.done():
            return None
        try:
            outcome = self.context.run(self.wait.take_in, poll_outcome)
            if not isinstance(poll_outcome, ITwinError):
                self._note_interval(now)
        except Exception as error:  # noqa: BLE001 (whoever waits gets the error, whatever it is)
            self.outcome.set_exception(error)
            return None
        if outcome.end is not None:
            self.outcome.set_result(outcome)
            return None
        self.seen_at = now
        self.planned = self.wait.pause if self.wait.error is None else None
        return self.wait.pause

    def judge_unanswered(self) -> None:
        """Set the outcome if the wait is overdue."""
        if not self.outcome.done() and (outcome := self.context.run(self.wait.judge_unanswered)) is not None:
            self.outcome.set_result(outcome)

    def _note_interval(self, now: float) -> None:
        """Log once when polls come much later than planned, and once when they come as planned again."""
        if self.planned is None:
            return
        interval, target = now - self.seen_at, self.wait.spec.target
        if interval > STRETCHED * self.planned + _STRETCHED_BY:
            if not self.is_stretched:
                self.is_stretched = True
                self.context.run(log.warning, POLLED_LESS_OFTEN, target, interval, self.planned)
        elif self.is_stretched:
            self.is_stretched = False
            self.context.run(log.info, "Polled as planned again: %s", target)


@dataclass(slots=True, eq=False)
class Watch:
    """
    All who wait for the same run, and when it is polled next.

    :param is_busy: whether its poll is queued or in flight
    :param has_answered: whether a poll of it has ever had an answer here
    :param slow_polls: how many polls in a row were slow
    """

    waiters: list[Waiter] = field(default_factory=list)
    due: float = 0.0
    polled_at: float = -inf
    is_busy: bool = False
    has_answered: bool = False
    slow_polls: int = 0
    worker: Worker | None = None

    @property
    def spec(self) -> WaitSpec:
        """What to poll for: the order whose deadline comes first, so that no deadline is judged late."""
        if len(self.waiters) == 1:
            return self.waiters[0].wait.spec
        return min((waiter.wait.spec for waiter in self.waiters), key=_deadline)

    def fail(self, error: BaseException) -> None:
        """End all waits with an error."""
        for waiter in self.waiters:
            if not waiter.outcome.done():
                waiter.outcome.set_exception(error)


def _deadline(spec: WaitSpec) -> float:
    return inf if spec.deadline is None else spec.deadline


class PollQueue:
    """
    Polls that are due, in the order in which workers take them.

    Runs that have answered come first, then those that were never polled here. Runs whose last poll was slow are in a queue of
    their own; there, too, those that have ever answered come first, then those with the fewest slow polls.
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
        """How many polls are due, without those that may be slow."""
        return len(self._known) + len(self._new)

    @property
    def slow(self) -> int:
        """How many polls are due that may be slow."""
        return len(self._slow)

    @property
    def oldest_due(self) -> float:
        """The moment since which a regular poll has been due."""
        return min((queue[0].due for queue in (self._known, self._new) if queue), default=inf)

    def put(self, watch: Watch) -> None:
        """Add a poll that is due."""
        watch.is_busy = True
        if watch.slow_polls:
            entry = (not watch.has_answered, watch.slow_polls, next(self._sequence), watch)
            heapq.heappush(self._slow, entry)
        else:
            (self._known if watch.has_answered else self._new).append(watch)

    def take(self, *, slow: bool) -> Watch | None:
        """Remove the poll that comes next; None if nothing is due."""
        if slow:
            return heapq.heappop(self._slow)[-1] if self._slow else None
        queue = self._known or self._new
        return queue.popleft() if queue else None

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._new.clear()
        self._slow.clear()
