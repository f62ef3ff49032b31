"""An event loop with a fake clock: time advances only when no task is ready."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _LeapingSelector(selectors.DefaultSelector):
    """A selector that advances the clock instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Advance the clock and return the ready events."""
        if timeout is None:
            raise RuntimeError("The simulation is stuck: all tasks wait, and no timer is set")
        self.passed += max(0.0, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """The event loop."""

    def __init__(self) -> None:
        self._leaps = _LeapingSelector()
        super().__init__(self._leaps)

    def time(self) -> float:
        """Return the simulated seconds."""
        return self._leaps.passed


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with a simulated clock."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Return the time of the running event loop."""
    return asyncio.get_running_loop().time()
