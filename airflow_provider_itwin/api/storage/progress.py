"""Progress of a transfer, in the log at sensible intervals."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

from airflow_provider_itwin.api.models.durations import format_duration

INTERVAL = 15.0
"""Seconds between two lines of progress, at least."""


def format_bytes(count: float) -> str:
    """Format a number of bytes: ``512 B``, ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


class Progress:
    """
    Counts transferred bytes and logs them; thread-safe.

    A line is logged at most every 15 s, so a short transfer logs none.

    :param verb: what is done, such as ``Uploaded``
    :param total: number of bytes in total
    :param log: the logger of the task
    :param clock: a monotonic clock, in seconds
    """

    def __init__(self, verb: str, total: int, log: logging.Logger, clock: Callable[[], float] = monotonic) -> None:
        self.total = total
        self.done = 0
        self._verb = verb
        self._log = log
        self._clock = clock
        self._began = self._logged = clock()
        self._lock = threading.Lock()

    def part(self) -> PartialProgress:
        """Return a counter for one file, whose bytes can be taken back when its transfer starts over."""
        return PartialProgress(self)

    def add(self, count: int) -> None:
        """Count bytes; a negative number takes some back."""
        with self._lock:
            self.done += count
            now = self._clock()
            if now - self._logged < INTERVAL:
                return
            self._logged = now
            text = self._text(now)
        self._log.info("%s", text)

    def rate(self) -> float:
        """Return the bytes a second since the begin."""
        return self.done / max(self._clock() - self._began, 1e-3)

    def _text(self, now: float) -> str:
        rate = self.done / max(now - self._began, 1e-3)
        text = f"{self._verb} {format_bytes(self.done)} of {format_bytes(self.total)}"
        if rate < 1:
            return text
        return f"{text}, {format_bytes(rate)}/s, about {format_duration((self.total - self.done) / rate)} left"


class PartialProgress:
    """The progress of one file; thread-safe."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole
        self._counted = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes."""
        with self._lock:
            self._counted += count
        self._whole.add(count)

    def discard(self) -> None:
        """Take back all bytes of this file."""
        with self._lock:
            counted, self._counted = self._counted, 0
        self._whole.add(-counted)
