"""One night: connections that share iModels are all synchronized concurrently; how to check the outcome."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from itwin_emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from .cluster import TaskRecord

START = "run-storage-connection"
MINUTE = 60.0
CLOCK_TOLERANCE = 0.01
"""Seconds by which timestamps of Airflow and of the emulator may differ through rounding."""


@dataclass(frozen=True)
class Size:
    """
    Size of a night: the work, and the losses.

    :param imodels: number of iModels
    :param connections: number of connections, spread over the iModels
    :param losses: number of lost processes of each kind
    :param failing: number of connections whose first run fails
    :param occupied: number of iModels that a foreign run is already synchronizing
    :param per_minute: request limit of the account, per minute
    :param share: request budget of each process, per minute
    :param seconds: timeout of the night
    """

    imodels: int
    connections: int
    losses: dict[str, int]
    failing: int
    occupied: int
    per_minute: int
    share: int
    seconds: float


@dataclass
class Night:
    """
    The iTwin Platform of a night.

    :param size: size of the night
    :param seeded_random: decides everything that the size leaves open
    """

    size: Size
    seeded_random: Random
    emulator: Emulator = field(default_factory=lambda: Emulator(speed=1.0, scenario=None))
    connections: list[str] = field(init=False)
    failing: set[str] = field(init=False)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    """Runs that the DAG did not start, by connection."""
    _read: int = 0
    _started: int = 0

    def __post_init__(self) -> None:
        self.emulator.limit_rate(self.size.per_minute)
        self.connections = []
        by_imodel: dict[str, list[str]] = {}
        for number in range(self.size.connections):
            imodel = f"imodel-{number % self.size.imodels:02}"
            connection = f"{imodel}-part-{number // self.size.imodels}"
            self.emulator.add_connection(connection_id=connection, imodel_id=imodel, files=["Part.dgn"])
            self.emulator.plan_run(connection, duration=self.seeded_random.uniform(8, 16))
            self.connections.append(connection)
            by_imodel.setdefault(imodel, []).append(connection)
        self.failing = set(self.seeded_random.sample(self.connections, self.size.failing))
        for connection in sorted(self.failing):
            self.emulator.plan_run(connection, "Error", duration=self.seeded_random.uniform(4, 8), times=1)
        self._occupied = [
            self.seeded_random.choice(sorted(set(by_imodel[imodel]) - self.failing))
            for imodel in self.seeded_random.sample(sorted(by_imodel), self.size.occupied)
            if set(by_imodel[imodel]) - self.failing
        ]

    def occupy(self) -> None:
        """Start foreign runs, so that some connections have an active run before their task starts."""
        for connection in self._occupied:
            self.foreign[connection] = {self.emulator.start_run(connection)}

    @property
    def expected_runs(self) -> int:
        """Expected number of runs: one for each connection, and one more for each failed run."""
        return len(self.connections) + len(self.failing)

    def count_started(self) -> int:
        """Count the runs that were started."""
        entries = self.emulator.request_log.latest(len(self.emulator.request_log) - self._read)
        self._read += len(entries)
        self._started += sum(entry.operation == START and entry.status == 202 for entry in entries)
        return self._started

    def problems(self, records: Iterable[TaskRecord]) -> list[str]:
        """List what is wrong: a missing or additional run, a failed task, or a refused request."""
        known = {record.connection_id: record for record in records}
        problems = []
        for connection in self.connections:
            runs = [run for run in self.emulator.runs(connection) if run["id"] not in self.foreign.get(connection, ())]
            results = [run["result"] for run in runs]
            expected = ["Error", "Success"] if connection in self.failing else ["Success"]
            if results != expected:
                problems.append(f"{connection} must have runs {expected} and has {results}; {known.get(connection)}")
            task = known.get(connection)
            if task is None or task.state != "success":
                problems.append(f"the task for {connection} has not succeeded: {task}")
            elif task.began is None or not runs or _timestamp(runs[-1]["startDateTime"]) < task.began - CLOCK_TOLERANCE:
                problems.append(f"{connection} was not synchronized after its task had started: {runs[-1:]}, {task}")
        if refusals := self.count_refusals():
            problems.append(f"{refusals} requests exceeded the rate limit")
        return problems

    def count_refusals(self) -> int:
        """Count the requests that were answered with 429."""
        return sum(entry.status == 429 for entry in self.emulator.request_log)

    def busiest_minute(self) -> int:
        """Count the API requests in the busiest 60 seconds, without token requests."""
        window: deque[float] = deque()
        most = 0
        for entry in self.emulator.request_log:
            if entry.operation in (None, "token", "discovery", "jwks"):
                continue
            window.append(entry.at)
            while window[0] <= entry.at - MINUTE:
                window.popleft()
            most = max(most, len(window))
        return most


@dataclass
class NightSummary:
    """Summary of a night, for printing."""

    seed: int
    night: Night
    happened: list[tuple[float, str]]
    records: list[TaskRecord]
    log_counts: Counter[str]
    seconds: float

    def lines(self) -> list[str]:
        """Return the lines of a table."""
        attempts = sum(record.attempts for record in self.records)
        request_log = self.night.emulator.request_log
        answers = Counter(entry.status for entry in request_log if entry.operation == START)
        rows: list[tuple[str, object]] = [
            ("seed", self.seed),
            ("connections", f"{len(self.night.connections)} of {self.night.size.imodels} iModels"),
            ("lost", ", ".join(f"{name} at {at:.0f} s" for at, name in self.happened) or "nothing"),
            ("starts", f"{answers[202]} runs started, {answers[303]} times another was active"),
            ("foreign runs before", sum(map(len, self.night.foreign.values()))),
            *self.log_counts.items(),
            ("runs that failed, as planned", len(self.night.failing)),
            ("retries", attempts - len(self.records)),
            ("duration", f"{self.seconds:.0f} s"),
            ("requests", len(request_log)),
            (
                "requests in the busiest minute",
                f"{self.night.busiest_minute()} of {self.night.size.per_minute} allowed",
            ),
            ("requests refused with 429", self.night.count_refusals()),
        ]
        width = max(len(name) for name, _ in rows)
        return [f"{name:{width}}  {value}" for name, value in rows]


class Stopwatch:
    """Seconds since its creation."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
