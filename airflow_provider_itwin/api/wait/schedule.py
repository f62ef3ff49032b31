"""Schedules: when to poll a run or a feed of finished runs again, and when to ask for a run again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.models.durations import format_duration

log = logging.getLogger(__name__)

SHORTEST = 10.0
"""Seconds between two polls, at least."""

LONGEST = 120.0
"""Seconds between two polls, at most."""

SHARE = 0.05
"""Pause before the next poll, as a share of the elapsed time."""

JITTER = 0.1
"""Largest share by which a pause is shortened at random."""

REFUSAL_PAUSE = 600.0
"""Seconds until a feed is polled again after an error that only a person can fix."""

FIRST_QUEUE_PAUSE = 5.0
LONGEST_QUEUE_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    When to poll a run again.

    Without a fixed interval, the next poll comes after 5 % of the elapsed time, at least 10 s and at most 2 min. The pause is
    shortened by up to a tenth at random, so that waits that began together are not polled together. A run of one hour costs about
    eighty polls, and its end is detected at most 5 % of its duration late.

    :param interval: seconds between two polls; None: the adaptive schedule
    :raises ITwinInputError: for an interval that is not a positive number
    """

    interval: float | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and not 0 < self.interval < float("inf"):
            raise ITwinInputError(f"poll_interval must be a positive number of seconds or None, not {self.interval!r}")

    def next_pause(self, elapsed: float, chance: float) -> float:
        """
        Return the seconds until the next poll.

        :param elapsed: seconds since the wait began
        :param chance: a random number from 0 up to 1
        """
        if self.interval is not None:
            return self.interval
        # The jitter only shortens a pause: two minutes is a documented maximum.
        return min(LONGEST, max(SHORTEST, SHARE * elapsed)) * (1 + JITTER * min(0.0, 2 * chance - 1))


class FeedSchedule:
    """
    When to poll a feed of finished runs again.

    The schedule is passed the outcome of each poll. It logs an error when it first occurs and when its kind changes, and logs
    once when polling works again.

    :param target: what is polled, for log lines
    :param poll_interval: seconds between two polls; None: 5 % of the time since the last change, at least 10 s and at most 2 min
    :param clock: a monotonic clock in seconds
    :param chance: returns random numbers from 0 up to 1
    :raises ITwinInputError: for an interval that is not a positive number
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
        self._changed_at = clock()
        self._error_kind: tuple[object, ...] | None = None
        self._failing_since = 0.0
        self._failures = 0

    def after_poll(self, *, has_changed: bool) -> float:
        """
        Return the seconds until the next poll, after one that succeeded.

        :param has_changed: whether the poll returned something new
        """
        now = self._clock()
        if self._error_kind is not None:
            log.info("Polling %s works again after %s", self._target, format_duration(now - self._failing_since))
            self._error_kind = None
        if has_changed:
            self._changed_at = now
        return self._schedule.next_pause(now - self._changed_at, self._chance())

    def after_error(self, error: Exception) -> float:
        """Return the seconds until the next poll, after one that failed: few if the error is transient, else many."""
        now = self._clock()
        is_transient = isinstance(error, ITwinError) and error.transient
        if self._error_kind is None:
            self._failing_since, self._failures = now, 0
        self._failures += 1
        if is_transient:
            pause = backoff(self._failures, self._chance(), getattr(error, "retry_after", None))
        else:
            pause = REFUSAL_PAUSE * (1 + self._chance() / 10)
        # The text is not compared: each response has its own correlation id.
        kind = (type(error), getattr(error, "status", None), getattr(error, "code", None))
        is_new = kind != self._error_kind if not is_transient or self._error_kind is None else False
        self._error_kind = kind
        if is_transient:
            log.log(
                logging.WARNING if is_new else logging.DEBUG,
                "Polling %s failed, retrying; runs that finish meanwhile will be reported. %s",
                self._target,
                error,
            )
        else:
            log.log(
                logging.ERROR if is_new else logging.DEBUG,
                "Cannot poll %s: action required; retrying every %s. %s",
                self._target,
                format_duration(REFUSAL_PAUSE),
                error,
            )
        return pause


def queue_pause(turn: int, chance: float) -> float:
    """
    Return the seconds between two requests for a run while another run is active: doubled each time, at most 5 minutes.

    The pause is counted from request to request, so a task that queued behind a long run asks as soon as that run has ended.

    :param turn: how many requests were answered with an active run so far, from 1
    :param chance: a random number from 0 up to 1, so that several tasks in a queue do not ask together
    """
    return min(LONGEST_QUEUE_PAUSE, FIRST_QUEUE_PAUSE * 2.0 ** min(turn - 1, 10)) * (0.5 + chance / 2)
