"""All figures of one run of the benchmark."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from benchmarks.decoding import Decoding
from benchmarks.emulated import Rate
from benchmarks.figures import Figures
from benchmarks.hanging import Hanging
from benchmarks.imports import Imports
from benchmarks.jobs import JobFigures
from benchmarks.large_answers import LargeAnswer
from benchmarks.machine import describe
from benchmarks.restart import Restart
from benchmarks.schedule import ScheduleFigures
from benchmarks.simulation import Night
from benchmarks.transfers import NightOfFiles, Transfer


class Throughput(msgspec.Struct):
    """
    Waits that need more requests than their budget, by the server's clock.

    :param per_minute: the budget
    :param seconds: observed time
    :param busiest: maximum number of requests in any 60 seconds
    """

    waits: int
    per_minute: float
    seconds: float
    requests: int
    busiest: int


class Results(msgspec.Struct):
    """
    All figures.

    :param waits: each repeat of each row of the table
    :param big: polls of runs with 5,000 files
    :param errors: measurements without figures
    """

    quick: bool = False
    when: str = msgspec.field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    took: float = 0.0
    machine: dict[str, str] = msgspec.field(default_factory=describe)
    waits: list[Figures] = []
    restarts: list[Restart] = []
    hanging: list[Hanging] = []
    big: list[Figures] = []
    schedule_figures: list[ScheduleFigures] = []
    decoding: Decoding | None = None
    large: list[LargeAnswer] = []
    imports: list[Imports] = []
    rates: list[Rate] = []
    throughput: Throughput | None = None
    night: Night | None = None
    tight_night: Night | None = None
    transfers: list[Transfer] = []
    nights_of_files: list[NightOfFiles] = []
    jobs: list[JobFigures] = []
    errors: list[str] = []

    def of(self, subject: str, waits: int) -> list[Figures]:
        """Return the repeats of one subject in one row."""
        return [one for one in self.waits if (one.subject, one.waits) == (subject, waits)]

    def sizes(self) -> list[int]:
        """Return the measured numbers of waits."""
        return sorted({one.waits for one in self.waits})

    def subjects(self, waits: int) -> list[str]:
        """Return the subjects of a row, in order."""
        return list(dict.fromkeys(one.subject for one in self.waits if one.waits == waits))
