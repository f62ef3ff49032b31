"""One night: connections that share iModels, all to be synchronized at once, and what must be true in the morning."""

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

    from .cluster import Attempts

START = "run-storage-connection"
MINUTE = 60.0
CLOCKS_DIFFER = 0.01
"""Seconds that the moments which Airflow and the emulator write down may be rounded by."""


@dataclass(frozen=True)
class Size:
    """
    How much there is to do in a night, and how much is lost.

    :param imodels: number of iModels
    :param connections: number of connections, spread over the iModels
    :param losses: how many processes of each kind are lost
    :param failing: how many connections have a first run that ends badly
    :param occupied: how many iModels are being synchronized already by a run of somebody else's
    :param per_minute: requests that the account allows
    :param share: requests a minute that each process takes for its share
    :param seconds: time that the night may take
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

    :param size: how much there is to do
    :param seeded_random: what decides what is not said
    """

    size: Size
    seeded_random: Random
    emulator: Emulator = field(default_factory=lambda: Emulator(speed=1.0, scenario=None))
    connections: list[str] = field(init=False)
    failing: set[str] = field(init=False)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    """Runs that somebody else has started, by connection."""
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
        """Let somebody else start runs, so that some of the connections are being synchronized when they are to be."""
        for connection in self._occupied:
            self.foreign[connection] = {self.emulator.start_run(connection)}

    @property
    def runs_wanted(self) -> int:
        """Number of runs that are to be started, one for each connection and one for each that ended badly."""
        return len(self.connections) + len(self.failing)

    def count_started(self) -> int:
        """Count the runs that were started."""
        entries = self.emulator.journal.latest(len(self.emulator.journal) - self._read)
        self._read += len(entries)
        self._started += sum(entry.operation == START and entry.status == 202 for entry in entries)
        return self._started

    def faults(self, attempts: Iterable[Attempts]) -> list[str]:
        """Say of each connection what was not as it should be; nothing is lost, and nothing happens twice."""
        known = {one.connection_id: one for one in attempts}
        faults = []
        for connection in self.connections:
            runs = [run for run in self.emulator.runs(connection) if run["id"] not in self.foreign.get(connection, ())]
            results = [run["result"] for run in runs]
            wanted = ["Error", "Success"] if connection in self.failing else ["Success"]
            if results != wanted:
                faults.append(f"{connection} was to have runs {wanted}, and had {results}; {known.get(connection)}")
            task = known.get(connection)
            if task is None or task.state != "success":
                faults.append(f"the task for {connection} has not succeeded: {task}")
            elif task.began is None or not runs or _moment(runs[-1]["startDateTime"]) < task.began - CLOCKS_DIFFER:
                faults.append(f"{connection} was not synchronized after its task had begun: {runs[-1:]}, {task}")
        if refusals := self.count_refusals():
            faults.append(f"{refusals} requests were too many")
        return faults

    def count_refusals(self) -> int:
        """Count the requests that were answered with 429."""
        return sum(entry.status == 429 for entry in self.emulator.journal)

    def busiest_minute(self) -> int:
        """Count the requests to the API in the busiest 60 seconds, tokens not among them."""
        window: deque[float] = deque()
        most = 0
        for entry in self.emulator.journal:
            if entry.operation in (None, "token", "discovery", "jwks"):
                continue
            window.append(entry.at)
            while window[0] <= entry.at - MINUTE:
                window.popleft()
            most = max(most, len(window))
        return most


@dataclass
class Account:
    """What happened in a night, to be printed."""

    seed: int
    night: Night
    happened: list[tuple[float, str]]
    attempts: list[Attempts]
    words: Counter[str]
    seconds: float

    def lines(self) -> list[str]:
        """Give the lines of a table."""
        tries = sum(one.tries for one in self.attempts)
        journal = self.night.emulator.journal
        answers = Counter(entry.status for entry in journal if entry.operation == START)
        rows: list[tuple[str, object]] = [
            ("seed", self.seed),
            ("connections", f"{len(self.night.connections)} of {self.night.size.imodels} iModels"),
            ("lost", ", ".join(f"{name} at {at:.0f} s" for at, name in self.happened) or "nothing"),
            ("starts", f"{answers[202]} runs started, {answers[303]} times another was active"),
            ("runs of others before", sum(map(len, self.night.foreign.values()))),
            *self.words.items(),
            ("runs that failed, as planned", len(self.night.failing)),
            ("tries beyond the first", tries - len(self.attempts)),
            ("duration", f"{self.seconds:.0f} s"),
            ("requests", len(journal)),
            (
                "requests in the busiest minute",
                f"{self.night.busiest_minute()} of {self.night.size.per_minute} allowed",
            ),
            ("requests refused for that", self.night.count_refusals()),
        ]
        width = max(len(name) for name, _ in rows)
        return [f"{name:{width}}  {value}" for name, value in rows]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
