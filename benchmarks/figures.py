"""The figures of the table: percentiles, medians, and the summary of one repeat."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from airflow_provider_itwin.api.wait.schedule import PollSchedule
from benchmarks.processes import Counts
from benchmarks.waits import Case, Outcome

KEEPS_UP = 0.9
"""Share of the due polls that a subject must make to count as keeping up."""


class Figures(msgspec.Struct):
    """
    The summary of one repeat of a case.

    :param cpu: CPU seconds per poll, without those of the idle process; None without polls
    :param collecting: part of `cpu` that was spent on garbage collection
    :param memory: peak bytes per wait, above the idle process
    :param lag: seconds that a ticker was late from the first start to the last end: median, p99, maximum
    :param window_lag: the same in the window, when no wait starts or ends
    :param late: seconds from the end of a run to that of the wait, beyond the longest pause: p99, maximum
    :param server: share of time that the server was busy
    :param due: polls that were due in the window; None if the schedule does not define it
    """

    subject: str
    waits: int
    interval: float | None
    cpu: float | None
    collecting: float | None
    memory: float
    connections: int
    tokens: int
    polls: int
    due: float | None
    lag: tuple[float, float, float]
    window_lag: tuple[float, float, float]
    late: tuple[float, float]
    missed: int
    wrong: int
    failures: list[str]
    server: float

    @property
    def keeps_up(self) -> bool:
        """Whether it made the polls that were due."""
        return self.due is None or self.polls >= KEEPS_UP * self.due


def figures_of(case: Case, outcome: Outcome, whole: Counts, window: Counts) -> Figures:
    """
    Summarize one repeat.

    :param whole: counts of the server from the first start to the last end
    :param window: counts of the server in the window
    """
    idle = outcome.idle_cpu * (outcome.window_ended - outcome.window_began)
    schedule = PollSchedule(case.interval)
    beyond = [late - schedule.next_pause(lasted, 1.0) for lasted, late in outcome.lateness]
    asks = case.subject != "idle"
    return Figures(
        subject=case.subject,
        waits=case.waits,
        interval=case.interval,
        cpu=(outcome.window_cpu - idle) / window.polls if window.polls else None,
        collecting=outcome.window_collecting / window.polls if window.polls else None,
        memory=(outcome.peak_memory - outcome.idle_memory) / case.waits,
        connections=whole.connections,
        tokens=whole.tokens,
        polls=window.polls,
        due=case.waits * case.window / case.interval if case.interval and asks else None,
        lag=_spread(outcome.lags),
        window_lag=_spread(outcome.window_lags),
        late=(max(0.0, percentile(beyond, 0.99)), max(0.0, *beyond, 0.0)),
        missed=outcome.missed,
        wrong=outcome.wrong + whole.misunderstood,
        failures=outcome.failures,
        server=whole.cpu / max(1.0, outcome.ended - outcome.began),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of the values, or 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 0.5), percentile(values, 0.99), max(values, default=0.0)


def median(repeats: Sequence[Figures], what: Callable[[Figures], float | None]) -> float | None:
    """Return the median over repeats, or None without figures."""
    found = [value for value in map(what, repeats) if value is not None]
    return statistics.median(found) if found else None


def ratio(repeats: Sequence[Figures], others: Sequence[Figures]) -> float | None:
    """Return the median ratio of CPU per poll. Each ratio is within one repeat, under the same conditions of the machine."""
    found = [
        one.cpu / other.cpu for one, other in zip(repeats, others, strict=False) if one.cpu is not None and other.cpu
    ]
    return statistics.median(found) if found else None
