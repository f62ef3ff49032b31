"""When to ask again, and how often at most."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from airflow_provider_itwin.api.errors import ITwinInputError

SHORTEST = 10.0
LONGEST = 120.0
SHARE = 0.05
JITTER = 0.1

MOST_WATCHED = 16_384
"""Runs of which what each poll needs anew is kept at hand."""

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
LONGEST_OBEDIENCE = 300.0
"""Seconds for which a ``Retry-After`` is obeyed; a longer one is tried again before it has passed."""


def backoff(tries: int, chance: float, retry_after: float | None = None) -> float:
    """
    Give the seconds until the next try after trouble: twice as many each time, up to a minute, or what the service asks for.

    :param tries: how often it was tried so far, from 1
    :param chance: a random number from 0 up to 1, that keeps those in the same trouble from coming back together
    :param retry_after: seconds that the service asked for
    """
    growing = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries - 1, 10)) * (0.5 + chance / 2)
    return max(growing, min(retry_after or 0.0, LONGEST_OBEDIENCE) * (1 + chance / 10))


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


class _Meter:
    """Lets at most `limit` events into any window of `window` seconds: some at once, the others evenly spread."""

    __slots__ = ("_ahead", "_interval", "_next")

    def __init__(self, limit: float, window: float) -> None:
        at_once = int(limit * BURST)
        self._interval = window / (limit - at_once) * (1 + 1e-9)
        self._ahead = at_once * self._interval
        self._next = -float("inf")

    def earliest(self) -> float:
        return self._next - self._ahead

    def count(self, moment: float) -> None:
        self._next = max(self._next, moment) + self._interval


BURST = 0.1
"""Part of a limit that may be used at once after idleness."""


class RequestBudget:
    """
    How often an account may ask: first come, first served.

    In no minute and in no hour more requests go out than allowed. When there are many who want to ask, all wait alike, so that
    their intervals stretch evenly. What the service says about waiting (``Retry-After``) holds for everybody.

    :param per_minute: requests in any minute; 0 for no limit
    :param per_hour: requests in any hour; 0 for no limit
    """

    __slots__ = ("_held_until", "_lock", "_meters")

    def __init__(self, per_minute: float = 0, per_hour: float = 0) -> None:
        self._meters = [
            _Meter(limit, window) for limit, window in ((per_minute, 60.0), (per_hour, 3600.0)) if limit > 0
        ]
        self._held_until = -float("inf")
        # The clients of several threads share it.
        self._lock = threading.Lock()

    def next_turn(self, now: float) -> float:
        """Give the moment of the next turn without taking it."""
        turn = max(now, self._held_until)
        for meter in self._meters:
            turn = max(turn, meter.earliest())
        return turn

    def take(self, now: float) -> float:
        """Take the next turn, and give the seconds to wait for it."""
        with self._lock:
            turn = self.next_turn(now)
            for meter in self._meters:
                meter.count(turn)
        return turn - now

    def hold_back(self, until: float) -> None:
        """Let nobody ask before `until`."""
        self._held_until = max(self._held_until, until)
