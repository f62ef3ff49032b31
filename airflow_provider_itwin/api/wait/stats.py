"""
What waiting has cost this process so far: looks, throttling, outages.

Counted in passing and told once in a while, so that it costs a look next to nothing, and nobody here need know to whom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INTERVAL = 30.0
"""Seconds between two times of telling, while a wait goes on."""


@dataclass(frozen=True, slots=True)
class PollCosts:
    """
    What has come together since the last time of telling.

    :param polls: looks at runs, each counted for every one who waits for its run
    :param throttled: those of them that were answered with 429
    :param outages: stretches of trouble with the service that have ended, one way or the other
    :param outage_seconds: how long these have lasted, all together
    """

    polls: int
    throttled: int
    outages: int
    outage_seconds: float


class PollStats:
    """Adds up what waiting costs; `due` is the moment by the wall clock from which on it wants to be told."""

    __slots__ = ("_listener", "due", "outage_seconds", "outages", "polls", "throttled")

    def __init__(self) -> None:
        self.due = float("inf")
        self._listener: Callable[[PollCosts], None] | None = None
        self._clear()

    def _clear(self) -> None:
        self.polls = self.throttled = self.outages = 0
        self.outage_seconds = 0.0

    def tell(self, listener: Callable[[PollCosts], None] | None) -> None:
        """Say who wants to hear of costs from now on; None for nobody. It must not raise."""
        self._listener = listener
        self.due = float("inf") if listener is None else 0.0
        self._clear()

    def note_outage(self, seconds: float) -> None:
        """Note a stretch of trouble that has ended."""
        self.outages += 1
        self.outage_seconds += max(0.0, seconds)

    def flush(self, now: float) -> None:
        """Tell what has come together, if there is anything and anybody to tell."""
        if self._listener is None:
            return
        self.due = now + INTERVAL
        if self.polls:
            costs = PollCosts(self.polls, self.throttled, self.outages, self.outage_seconds)
            self._clear()
            self._listener(costs)


stats = PollStats()
"""The tally of this process."""
