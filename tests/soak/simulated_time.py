"""A time of its own for a whole process: it passes when everybody waits for a moment, and not while an answer is under way."""

from __future__ import annotations

import asyncio
import selectors

from itwin_emulator import Clock

_LONGEST_STANDSTILL = 30
"""Seconds of real time for which all may wait for nothing at all: a thread may be at work."""


class SimulatedClock(Clock):
    """The clock of the service, of the tasks and of the event loop."""

    def __init__(self, start: float) -> None:
        super().__init__(speed=1.0)
        self._start = start
        self.passed = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self.passed

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self.passed

    def sleep(self, seconds: float) -> None:
        """Let time pass on a worker, which nobody else can do anything in meanwhile."""
        self.passed += seconds


class _LeapingSelector(selectors.DefaultSelector):
    """Where the event loop would sleep until a moment, lets that moment come, unless an answer is still under way."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock
        self.under_way = 0
        self._standstill = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what is ready, or let time pass."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.under_way:
            ready = super().select(1.0)
            self._standstill = 0 if ready else self._standstill + 1
            if self._standstill > _LONGEST_STANDSTILL:
                raise RuntimeError("The simulation has come to a standstill")
            return ready
        ready = super().select(0)
        if not ready:
            self._clock.passed += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, with real sockets."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._leaps = _LeapingSelector(clock)
        super().__init__(self._leaps)

    def time(self) -> float:
        """Seconds that have passed."""
        return self._clock.passed

    def send_begins(self) -> None:
        """Hear that an answer is under way."""
        self._leaps.under_way += 1

    def send_ends(self) -> None:
        """Hear that it has come."""
        self._leaps.under_way -= 1
