"""An event loop whose time passes only when nobody has anything to do: hours take as long as their work does."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _LeapingSelector(selectors.DefaultSelector):
    """Where the event loop would sleep, tells it that the time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass, and give what is ready."""
        if timeout is None:
            raise RuntimeError("The simulation has come to a standstill: all wait, and for no moment")
        self.passed += max(0.0, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """The event loop."""

    def __init__(self) -> None:
        self._leaps = _LeapingSelector()
        super().__init__(self._leaps)

    def time(self) -> float:
        """Seconds that have passed here."""
        return self._leaps.passed


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a time of its own."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Give the moment in the event loop that runs."""
    return asyncio.get_running_loop().time()
