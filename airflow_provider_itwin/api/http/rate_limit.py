"""Rate limits of an account, and the log of throttling."""

from __future__ import annotations

import contextvars
import logging
import threading

from airflow_provider_itwin.api.models.durations import format_duration

log = logging.getLogger(__name__)

LONG_WAIT = 5.0
"""A single request that waits this many seconds for its turn is logged."""

LASTING = 10.0
"""Throttling is logged after this many seconds in which no request was sent at once."""

CALM = 60.0
"""Throttling is logged as over after this many seconds without it, so that a limit that is just reached is logged once."""

THROTTLED = (
    "Requests to %s are throttled; the last one waits %.1f s for its turn, so runs are polled less often than planned. "
    "The limit is requests_per_minute or requests_per_hour in [itwin], or a Retry-After of the service."
)
NOT_THROTTLED = "Requests to %s are no longer throttled, after %s"


class ThrottlingLog:
    """
    Logs when throttling begins and ends.

    Throttling concerns the account rather than a single task, so it is logged outside the context of any task.

    :param service: base URL of the API
    """

    __slots__ = ("_began", "_last", "_service", "_since")

    def __init__(self, service: str) -> None:
        self._service = service
        self._since: float | None = None
        self._began: float | None = None
        self._last = 0.0

    def note(self, seconds: float, now: float) -> None:
        """
        Record how long a request waits for its turn.

        :param seconds: duration of the wait
        :param now: begin of the wait
        """
        if seconds <= 0:
            self._since = None
            if self._began is not None and now - self._last >= CALM:
                contextvars.Context().run(log.info, NOT_THROTTLED, self._service, format_duration(now - self._began))
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
    """Allows at most `limit` events in any window of `window` seconds: some at once, the others evenly spaced."""

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
"""Part of a limit that can be used at once after a pause."""


class RequestBudget:
    """
    The rate limit of an account: first come, first served; thread-safe.

    No minute and no hour has more requests than allowed. When requests queue up, all of them wait, so poll intervals stretch
    evenly. A ``Retry-After`` of the service applies to every request.

    :param per_minute: requests in any minute; 0: no limit
    :param per_hour: requests in any hour; 0: no limit
    """

    __slots__ = ("_held_until", "_lock", "_meters")

    def __init__(self, per_minute: float = 0, per_hour: float = 0) -> None:
        self._meters = [
            _Meter(limit, window) for limit, window in ((per_minute, 60.0), (per_hour, 3600.0)) if limit > 0
        ]
        self._held_until = -float("inf")
        # Clients in several threads share it.
        self._lock = threading.Lock()

    def next_turn(self, now: float) -> float:
        """Return the time of the next turn without taking it."""
        turn = max(now, self._held_until)
        for meter in self._meters:
            turn = max(turn, meter.earliest())
        return turn

    def take(self, now: float) -> float:
        """Take the next turn and return the seconds until it."""
        with self._lock:
            turn = self.next_turn(now)
            for meter in self._meters:
                meter.count(turn)
        return turn - now

    def hold_back(self, until: float) -> None:
        """Delay all requests until `until`."""
        self._held_until = max(self._held_until, until)
