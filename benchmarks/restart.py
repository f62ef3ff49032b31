"""The cost of a triggerer restart, where all waits start at once, until each run has been polled once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.processes import Server, run_case
from benchmarks.waits import Case, Outcome


class Restart(msgspec.Struct):
    """
    The cost of starting all waits.

    :param lookups: number of connection lookups, including that of a warm-up wait
    :param polls: number of requests for runs
    :param tokens: number of requests for tokens
    :param cpu: CPU seconds of the whole process, without those of the idle process
    :param polled: seconds until the last run had been polled; None if some were not, or without polls
    :param lag: seconds that a ticker was late: p99, maximum
    """

    subject: str
    waits: int
    lookups: int
    polls: int
    tokens: int
    cpu: float
    polled: float | None
    lag: tuple[float, float]

    @property
    def cpu_of_one(self) -> float:
        """CPU seconds per wait."""
        return self.cpu / self.waits


def case(subject: str, waits: int, window: float) -> Case:
    """Return the case: all waits start at once, and no run is polled twice within the window."""
    return Case(subject, waits, 600.0, spread=0.0, settle=0.0, window=window, ending=0.0, grace=1.0)


def measure(subject: str, waits: int, window: float, directory: Path) -> Restart:
    """
    Measure one subject.

    :raises MeasurementError: if it returned no figures
    """
    with Server(directory) as server:
        outcome = run_case(case(subject, waits, window), server, directory)
        counts = server.counts(outcome.began, outcome.window_ended)
        moments = server.moments(outcome.began, outcome.window_ended)
    return _restart(subject, waits, outcome, counts.tokens, moments)


def _restart(subject: str, waits: int, outcome: Outcome, tokens: int, moments: list[float]) -> Restart:
    seconds = outcome.window_ended - outcome.window_began
    lags = sorted(outcome.window_lags) or [0.0]
    return Restart(
        subject=subject,
        waits=waits,
        lookups=outcome.lookups,
        polls=len(moments),
        tokens=tokens,
        cpu=outcome.window_cpu - seconds * outcome.idle_cpu,
        polled=max(moments) - outcome.began if len(moments) >= waits else None,
        lag=(lags[min(len(lags) - 1, int(len(lags) * 0.99))], lags[-1]),
    )
