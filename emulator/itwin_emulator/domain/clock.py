"""
The emulated service's clock.

Timestamps, the ``Date`` header, token lifetimes and rate limits are in real seconds: a client compares them with its own
clock. Only the *work* is scaled: a run planned for 600 emulated seconds takes ten real ones at speed 60.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache

TICKS_PER_SECOND = 10_000_000
"""The service prints dates with seven digits after the point."""


class Clock:
    """Wall clock of the service: how late it is there, and how fast work goes."""

    def __init__(self, speed: float = 1.0, skew: float = 0.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be greater than zero, not {speed!r}")
        self.speed = float(speed)
        self.skew = float(skew)

    def now(self) -> float:
        """Seconds since the epoch, without the skew: what the emulator reckons with inside."""
        return time.time()

    def shown(self) -> float:
        """Seconds since the epoch as the service would tell them, with the skew."""
        return self.now() + self.skew


class ManualClock(Clock):
    """A clock that stands still until it is told to go on, so that a test need not sleep."""

    def __init__(self, start: float = 1_780_000_000.0, speed: float = 1.0, skew: float = 0.0) -> None:
        super().__init__(speed, skew)
        self._now = float(start)
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the epoch, without the skew."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Let so many real seconds pass."""
        if seconds < 0:
            raise ValueError("a clock cannot be turned back")
        with self._lock:
            self._now += seconds


def timestamp(moment: float) -> str:
    """Print a moment as the service does, e.g. ``2026-05-28T19:06:40.0000000Z``."""
    seconds, ticks = divmod(round(moment * TICKS_PER_SECOND), TICKS_PER_SECOND)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{ticks:07d}Z"


def http_date(moment: float) -> str:
    """Print a moment as an HTTP ``Date`` header."""
    return _http_date(int(moment))


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    at = time.gmtime(seconds)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.tm_wday]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    month = months[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02d} {month} {at.tm_year} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
