"""Schedules: when to poll a run, a feed of finished runs, or a queue again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.models.durations import spoken_duration

log = logging.getLogger(__name__)

AFTER_REFUSAL = 600.0
"""Seconds until the next look after a refusal that only a person can heal."""


class FeedSchedule:
    """
    Is told what came of each look, and gives the seconds until the next one.

    Trouble is told in the log once when it begins, once when it changes its kind, and once when it is over.

    :param target: what is watched, in words
    :param poll_interval: seconds between two looks; None: 5 % of the time since the last news, from 10 s to 2 min
    :param clock: seconds that only ever go forward
    :param chance: random numbers from 0 up to 1
    :raises ValueError: for an interval that makes no sense
    """

    def __init__(
        self,
        target: str,
        poll_interval: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._schedule = PollSchedule(poll_interval)
        self._clock = clock
        self._chance = chance
        self._last_news = clock()
        self._error: tuple[object, ...] | None = None
        self._troubled_since = 0.0
        self._troubles = 0

    def after_poll(self, *, has_changed: bool) -> float:
        """
        Go on after a good look.

        :param has_changed: whether anything was different from the look before
        """
        now = self._clock()
        if self._error is not None:
            log.info("Watching %s goes on, after %s", self._target, spoken_duration(now - self._troubled_since))
            self._error = None
        if has_changed:
            self._last_news = now
        return self._schedule.next_pause(now - self._last_news, self._chance())

    def after_error(self, error: Exception) -> float:
        """Go on after a look that failed: soon if the trouble can pass by itself, slowly if it cannot."""
        now = self._clock()
        passes = isinstance(error, ITwinError) and error.transient
        if self._error is None:
            self._troubled_since, self._troubles = now, 0
        self._troubles += 1
        if passes:
            pause = backoff(self._troubles, self._chance(), getattr(error, "retry_after", None))
        else:
            pause = AFTER_REFUSAL * (1 + self._chance() / 10)
        # Not the text, in which each answer has a correlation id of its own.
        kind = (type(error), getattr(error, "status", None), getattr(error, "code", None))
        is_new = kind != self._error if not passes or self._error is None else False
        self._error = kind
        if passes:
            log.log(
                logging.WARNING if is_new else logging.DEBUG,
                "Watching %s is disturbed, and goes on as soon as that is over; what ends meanwhile is told then. %s",
                self._target,
                error,
            )
        else:
            log.log(
                logging.ERROR if is_new else logging.DEBUG,
                "Watching %s is not possible until somebody has put this right; it is tried again every %s. %s",
                self._target,
                spoken_duration(AFTER_REFUSAL),
                error,
            )
        return pause


SHORTEST = 10.0
LONGEST = 120.0
SHARE = 0.05
JITTER = 0.1


FIRST_QUEUE_PAUSE = 5.0
LONGEST_QUEUE_PAUSE = 300.0


def queue_pause(turn: int, chance: float) -> float:
    """
    Return the seconds between two requests for a run while another run is active: twice as many each time, up to 5 minutes.

    They are counted from request to request, so a task that queued behind a long run asks as soon as that run has ended.

    :param turn: how many requests were answered with an active run so far, from 1
    :param chance: a random number from 0 up to 1, so that several tasks in a queue do not ask together
    """
    return min(LONGEST_QUEUE_PAUSE, FIRST_QUEUE_PAUSE * 2.0 ** min(turn - 1, 10)) * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    When to look at a run again.

    Without a fixed interval the next look comes after 5 % of the time that the wait has lasted, but not within 10 seconds
    nor later than after two minutes, less up to a tenth so that waits that began together do not look together. An hour's
    run then costs some eighty looks, and its end is seen at most 5 % of its length late.

    :param interval: seconds between two looks, None for the adaptive schedule
    """

    interval: float | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and not 0 < self.interval < float("inf"):
            raise ITwinInputError(f"poll_interval must be a positive number of seconds or None, not {self.interval!r}")

    def next_pause(self, elapsed: float, chance: float) -> float:
        """
        Give the seconds until the next look.

        :param elapsed: seconds that the wait has lasted
        :param chance: a random number from 0 up to 1
        """
        if self.interval is not None:
            return self.interval
        # The jitter only ever shortens a pause: two minutes is a promise.
        return min(LONGEST, max(SHORTEST, SHARE * elapsed)) * (1 + JITTER * min(0.0, 2 * chance - 1))
