"""
The clock of the emulated service.

Timestamps, the ``Date`` header, token lifetimes and rate limits use real seconds, because a client compares them with its own
clock. Only *work* is scaled: at speed 60, a run planned for 600 emulated seconds takes ten real ones.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache

TICKS_PER_SECOND = 10_000_000
"""The service prints dates with seven fractional digits."""


class Clock:
    """
    Wall clock of the service, and the speed of its work.

    :param speed: emulated seconds of work per real second
    :param skew: seconds by which the service's clock is ahead of this machine's
    """

    def __init__(self, speed: float = 1.0, skew: float = 0.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be greater than zero, not {speed!r}")
        self.speed = float(speed)
        self.skew = float(skew)

    def now(self) -> float:
        """Return the seconds since the epoch without the skew; used for all calculations inside the emulator."""
        return time.time()

    def service_time(self) -> float:
        """Return the seconds since the epoch as clients see them, with the skew."""
        return self.now() + self.skew


class ManualClock(Clock):
    """
    A clock that moves only when :meth:`advance` is called, so that tests do not sleep.

    :param start: initial time in seconds since the epoch
    """

    def __init__(self, start: float = 1_780_000_000.0, speed: float = 1.0, skew: float = 0.0) -> None:
        super().__init__(speed, skew)
        self._now = float(start)
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the seconds since the epoch without the skew."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by real seconds."""
        if seconds < 0:
            raise ValueError("the clock cannot go backwards")
        with self._lock:
            self._now += seconds


def timestamp(moment: float) -> str:
    """Format a time as the service does, e.g. ``2026-05-28T19:06:40.0000000Z``."""
    seconds, ticks = divmod(round(moment * TICKS_PER_SECOND), TICKS_PER_SECOND)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{ticks:07d}Z"


def http_date(moment: float) -> str:
    """Format a time as an HTTP ``Date`` header."""
    return _http_date(int(moment))


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    at = time.gmtime(seconds)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.tm_wday]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    month = months[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02d} {month} {at.tm_year} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
