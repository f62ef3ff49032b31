"""Simulated time for a whole process: it passes while the event loop sleeps, and stops while a request is in flight."""

from __future__ import annotations

import asyncio
import selectors

from itwin_emulator import Clock

_MAX_STANDSTILL = 30
"""Seconds of real time without any event before the simulation fails; a thread may be working meanwhile."""


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
        """Advance the time for a worker that sleeps; nothing else runs meanwhile."""
        self.passed += seconds


class _SimulatedSelector(selectors.DefaultSelector):
    """Advances the clock where the event loop would sleep, unless a request is in flight."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock
        self.in_flight = 0
        self._standstill = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, or advance the clock."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.in_flight:
            ready = super().select(1.0)
            self._standstill = 0 if ready else self._standstill + 1
            if self._standstill > _MAX_STANDSTILL:
                raise RuntimeError("The simulation does not advance")
            return ready
        ready = super().select(0)
        if not ready:
            self._clock.passed += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, with real sockets."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._simulated = _SimulatedSelector(clock)
        super().__init__(self._simulated)

    def time(self) -> float:
        """Seconds that have passed."""
        return self._clock.passed

    def send_begins(self) -> None:
        """Note that a request is in flight."""
        self._simulated.in_flight += 1

    def send_ends(self) -> None:
        """Note that the response has arrived."""
        self._simulated.in_flight -= 1
