"""A triggerer that is restarted: all its waits begin at once. What that takes until each run has been polled once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.processes import Server, run_case
from benchmarks.waits import Case, Outcome


class Restart(msgspec.Struct):
    """
    What the begin of so many waits takes.

    :param lookups: how often Airflow was asked for the connection, with one wait before the others included
    :param polls: requests for runs
    :param tokens: requests for tokens
    :param cpu: seconds of CPU of the whole process, without what it takes when nobody waits
    :param polled: seconds until the last run had been polled; None if some never were, or nobody polls
    :param lag: seconds that a ticker came late: p99, most
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
        """Seconds of CPU for each wait."""
        return self.cpu / self.waits


def case(subject: str, waits: int, window: float) -> Case:
    """Return the case: all begin at once, and none is polled a second time within the window."""
    return Case(subject, waits, 600.0, spread=0.0, settle=0.0, window=window, ending=0.0, grace=1.0)


def measure(subject: str, waits: int, window: float, directory: Path) -> Restart:
    """
    Measure one subject.

    :raises MeasurementError: if that gave no figures
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
