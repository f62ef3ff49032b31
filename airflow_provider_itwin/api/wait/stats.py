"""
Counters of this process: polls, throttling, outages.

The counters are plain attributes, reported every :data:`INTERVAL` seconds, so that counting costs a poll next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INTERVAL = 30.0
"""Seconds between two reports during a wait."""


@dataclass(frozen=True, slots=True)
class PollCounts:
    """
    Counts since the last report.

    :param polls: polls of runs, each counted once per wait for the run
    :param throttled: polls that were answered with 429
    :param outages: outages that ended, with or without success
    :param outage_seconds: total duration of these outages
    """

    polls: int
    throttled: int
    outages: int
    outage_seconds: float


class PollStats:
    """
    Counts polls, throttling and outages; `due` is the wall clock time of the next report.

    Nothing is reported until :meth:`report_to` was called.
    """

    __slots__ = ("_listener", "due", "outage_seconds", "outages", "polls", "throttled")

    def __init__(self) -> None:
        self.due = float("inf")
        self._listener: Callable[[PollCounts], None] | None = None
        self._clear()

    def _clear(self) -> None:
        self.polls = self.throttled = self.outages = 0
        self.outage_seconds = 0.0

    def report_to(self, listener: Callable[[PollCounts], None] | None) -> None:
        """
        Set who receives the reports; calling this again with the same listener changes nothing.

        :param listener: called with the counts; must not raise. None: nobody
        """
        if listener is self._listener:
            return
        self._listener = listener
        self.due = float("inf") if listener is None else 0.0
        self._clear()

    def note_outage(self, seconds: float) -> None:
        """Count an outage that has ended."""
        self.outages += 1
        self.outage_seconds += max(0.0, seconds)

    def flush(self, now: float) -> None:
        """Report the counts if there are any, and set the time of the next report."""
        if self._listener is None:
            return
        self.due = now + INTERVAL
        if self.polls:
            counts = PollCounts(self.polls, self.throttled, self.outages, self.outage_seconds)
            self._clear()
            self._listener(counts)


stats = PollStats()
"""The counters of this process."""
