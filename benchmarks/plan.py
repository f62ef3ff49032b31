"""The measured cases and their order: the rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks.waits import Case

PEERS = ("databricks", "dbt-cloud")
"""Published providers with their own triggers."""

LONGEST_FIRST_PAUSE = 11.0
"""Seconds between two polls of the default schedule for waits of this age, including jitter."""


@dataclass(frozen=True)
class Row:
    """
    One row: a number of waits and its subjects.

    :param subjects: number of repeats by name; the subjects alternate within a repeat
    """

    waits: int
    interval: float | None
    subjects: dict[str, int] = field(default_factory=dict)
    spread: float = 5.0
    settle: float = 2.0
    window: float = 10.0
    ending: float = 2.0

    def case(self, subject: str) -> Case:
        """Return the case of one subject."""
        longest = (self.interval or LONGEST_FIRST_PAUSE) if subject != "idle" else 0.0
        return Case(
            subject, self.waits, self.interval, self.spread, self.settle, self.window, self.ending, longest + 10.0
        )

    def turns(self) -> Iterator[tuple[int, str]]:
        """Return repeats and subjects in the order of measurement."""
        for repeat in range(max(self.subjects.values())):
            for subject, repeats in self.subjects.items():
                if repeat < repeats:
                    yield repeat, subject


def rows(quick: bool) -> list[Row]:
    """
    Return the rows of the table.

    Starts are spread over one interval, as in a real night, so that polls are spread too. Intervals grow with the number of
    waits. This keeps the rate at 100 to 250 polls per second, which the slowest subject can still reach. 10,000 waits use the
    default schedule in its first and busiest minutes: a thousand polls per second, which no other provider can reach.

    The row for the close comparison has a window of 90 seconds. A full garbage collection traverses everything that Airflow has
    loaded, takes as long as hundreds of polls, and happens about every 45 seconds for both subjects.
    """
    if quick:
        return [
            _at_interval(100, 1.0, {"ours": 1, "floor": 1, "databricks": 1, "dbt-cloud": 1}, window=3.0),
            _at_interval(1000, 3.0, {"ours": 1, "floor": 1}, window=4.0),
        ]
    return [
        _at_interval(100, 1.0, {"ours": 1, "floor": 1, "databricks": 1, "dbt-cloud": 1}),
        _at_interval(1000, 5.0, {"ours": 3, "floor": 3}, window=90.0),
        _at_interval(1000, 5.0, {"naive": 1, "databricks": 3, "dbt-cloud": 3}, window=20.0),
        _at_interval(3000, 12.0, {"ours": 1, "floor": 1, "databricks": 1, "dbt-cloud": 1}),
        Row(
            10_000, None, {"ours": 3, "floor": 1, "without portal": 1, "idle": 1}, spread=30.0, settle=5.0, ending=30.0
        ),
    ]


def _at_interval(waits: int, interval: float, subjects: dict[str, int], window: float = 10.0) -> Row:
    return Row(waits, interval, subjects, spread=interval, window=window)


def big_polls(quick: bool) -> Row:
    """Return the row for runs with 5,000 files."""
    row = Row(4, 0.5, {"ours": 1, "floor": 1}, spread=0.5, settle=1.0, window=10.0, ending=0.5)
    return replace(row, subjects={"ours": 1}, window=3.0) if quick else row


def budget(quick: bool) -> Case:
    """Return the case of 1,000 waits that need more requests than their budget. It ends before the runs do."""
    return Case("ours", 1000, 10.0, 1.0, 0.0, 10.0 if quick else 150.0, 0.0, 0.0, per_minute=500.0)
