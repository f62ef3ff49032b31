"""Rate limits: how many requests an account may send, and the log of requests that have to wait for that."""

from __future__ import annotations

import contextvars
import logging
import threading

from airflow_provider_itwin.api.models.durations import spoken_duration

log = logging.getLogger(__name__)

LONG_WAIT = 5.0
"""Seconds that a single request waits for its turn when that is worth a line in the log."""

LASTING = 10.0
"""Seconds without one request that could go out at once, when that is worth a line in the log."""

CALM = 60.0
"""Seconds without throttling after which it is over, so that a budget that is just used up makes no line a second."""

THROTTLED = (
    "Requests to %s are throttled: each waits for its turn, the last one %.1f s, so runs are polled less often than planned. "
    "The limit is requests_per_minute or requests_per_hour of [itwin], or what the service asks for (Retry-After)."
)
NOT_THROTTLED = "Requests to %s are no longer throttled, after %s"


class ThrottlingLog:
    """
    Logs the beginning and the end of throttling.

    Throttling is the account's affair and no task's: it is logged in no task's context.

    :param service: the host that is asked
    """

    __slots__ = ("_began", "_last", "_service", "_since")

    def __init__(self, service: str) -> None:
        self._service = service
        self._since: float | None = None
        self._began: float | None = None
        self._last = 0.0

    def note(self, seconds: float, now: float) -> None:
        """
        Note that a request takes its turn.

        :param seconds: how long it waits for it
        :param now: the moment at which it begins to wait
        """
        if seconds <= 0:
            self._since = None
            if self._began is not None and now - self._last >= CALM:
                contextvars.Context().run(log.info, NOT_THROTTLED, self._service, spoken_duration(now - self._began))
                self._began = None
            return
        if self._since is None:
            self._since = now
        if seconds >= LONG_WAIT or now - self._since >= LASTING:
            self._last = now + seconds
            if self._began is None:
                self._began = now
                contextvars.Context().run(log.warning, THROTTLED, self._service, seconds)


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
