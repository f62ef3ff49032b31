"""
One run: planned whole at its start, and shown as far as the clock has come.

Nothing happens in the background. Whoever asks gets what a pure function of the plan and the moment says.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Connection, SourceFile
from itwin_emulator.domain.run_plans import FailingFile, RunPlan

_BAD_ENDS = {"Error": "Error", "PartialSuccess": "Error", "Canceled": "Canceled", "TimedOut": "TimedOut"}
"""How the last file of a run ended that ended badly without anybody saying why."""
_CLOSE = 1e-6
"""Seconds by which moments may be off that were reckoned in two ways."""


@dataclass(frozen=True, slots=True)
class Work:
    """One file of a run: when it is worked on, and how that ends. Moments are real seconds after the run's start."""

    file: SourceFile
    begins: float
    ends: float
    result: str
    failure: FailingFile | None
    warnings: int
    errors: int
    other_issues: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a run that one connector works on: what the API calls a job."""

    connector_type: str
    works: Sequence[Work]

    @property
    def begins(self) -> float:
        """When the first file is begun."""
        return self.works[0].begins

    @property
    def ends(self) -> float:
        """When the last file is done."""
        return self.works[-1].ends

    @property
    def result(self) -> str:
        """What the results of the files amount to."""
        results = {work.result for work in self.works}
        if len(results) == 1:
            return results.pop()
        results.discard("Skipped")
        if len(results) == 1:
            return results.pop()
        return "PartialSuccess"


@dataclass(slots=True)
class Run:
    """A run of a connection."""

    id: str
    connection_id: str
    kind: str
    imodel_id: str
    started: float
    plan: RunPlan
    speed: float
    files: Sequence[SourceFile]
    ended_early: float | None = None
    """Seconds after the start at which somebody ended it, whatever the plan was."""
    _bundles: list[Bundle] | None = field(default=None, repr=False, compare=False)
    _moments: list[float] | None = field(default=None, repr=False, compare=False)
    """Seconds after the start at which it begins to look otherwise, in order."""

    @classmethod
    def begin(cls, connection: Connection, files: Sequence[SourceFile], plan: RunPlan, now: float, speed: float) -> Run:
        """Start a run of a connection."""
        return cls(ids.guid(), connection.id, connection.kind, connection.imodel_id, now, plan, speed, files)

    @property
    def duration(self) -> float:
        """Real seconds from the start to the end."""
        return self.plan.duration / self.speed if self.ended_early is None else self.ended_early

    @property
    def ended(self) -> float:
        """Moment of the end, past or future."""
        return self.started + self.duration

    def is_active(self, now: float) -> bool:
        """Tell whether the run is not over yet."""
        return now - self.started < self.duration

    def state(self, now: float) -> str:
        """Tell the state at a moment."""
        if not self.is_active(now):
            return "Completed"
        share = (now - self.started) / self.duration * sum(weight for _, weight in self.plan.states)
        for state, weight in self.plan.states:
            share -= weight
            if share < 0:
                return state
        return self.plan.states[-1][0]

    def result(self, now: float) -> str:
        """Tell the result at a moment: undetermined until the end."""
        return "Undetermined" if self.is_active(now) else self.plan.result

    def phase(self, now: float) -> str:
        """Tell what kind of files is being worked on."""
        if not self.is_active(now):
            return self.plan.phase
        begin, _ = self._window()
        return "Preprocessor" if now - self.started < begin else self.plan.phase

    def has_jobs(self, now: float) -> bool:
        """Tell whether the work has been divided up yet; before, the API shows no jobs at all."""
        begin, _ = self._window()
        return now - self.started >= begin or not self.is_active(now)

    def finish(self, now: float, result: str | None = None) -> None:
        """End the run at once, with another result than planned if one is named."""
        if not self.is_active(now):
            return
        if result is not None and result != self.plan.result:
            # Whose file it was that failed belongs to the old plan; a good end has no failures to show.
            keep = self.plan.failing if result in ("Error", "PartialSuccess") else ()
            error = self.plan.error if result not in ("Success", "Skipped") else None
            self.plan = replace(self.plan, result=result, failing=keep, error=error)
        self.ended_early = now - self.started
        self._bundles = self._moments = None

    def next_change(self, elapsed: float) -> float:
        """Tell how many seconds after its start the run looks the same at least, given how it looks after ``elapsed``."""
        if self._moments is None:
            self._moments = sorted(self._changes())
        # Whatever is that close to a change may look the one way or the other.
        place = bisect_right(self._moments, elapsed - _CLOSE)
        return self._moments[place] - _CLOSE if place < len(self._moments) else math.inf

    def _changes(self) -> set[float]:
        whole = self.plan.duration / self.speed
        total = sum(weight for _, weight in self.plan.states)
        moments = {self.duration, self._window()[0]}
        passed = 0.0
        for _, weight in self.plan.states:
            passed += weight
            moments.add(whole * passed / total)
        for bundle in self.bundles():
            for work in bundle.works:
                moments.update((work.begins, work.ends))
        return moments

    def bundles(self) -> list[Bundle]:
        """Divide the work up by connector: one file after the other, in the order of the connection's files."""
        if self._bundles is None:
            self._bundles = self._divide()
        return self._bundles

    def _window(self) -> tuple[float, float]:
        """Tell between which seconds files are worked on, if nobody ends the run before."""
        whole = self.plan.duration / self.speed
        total = sum(weight for _, weight in self.plan.states)
        passed = 0.0
        begin: float | None = None
        end = total
        for state, weight in self.plan.states:
            if state == "Executing":
                begin = passed if begin is None else begin
                end = passed + weight
            passed += weight
        return whole * (begin or 0.0) / total, whole * end / total

    def _divide(self) -> list[Bundle]:
        files = self.files
        if not files or (self.plan.error is not None and not self.plan.failing and self.plan.result == "Error"):
            return []
        failures = self._failures()
        by_connector: dict[str, list[int]] = {}
        for index, one in enumerate(files):
            by_connector.setdefault(one.connector_type, []).append(index)
        begin, end = self._window()
        step = (end - begin) / len(files)
        sound = len(files) - len(failures)
        bundles, position, counted = [], 0, 0
        for connector, indexes in by_connector.items():
            works = []
            for index in indexes:
                failure = failures.get(index)
                # What was done before somebody ended the run stays as it was; the rest is over at once.
                begins = min(begin + step * position, self.duration)
                ends = min(begin + step * (position + 1), self.duration)
                works.append(self._work(files[index], begins, ends, failure, counted, sound))
                position += 1
                counted += failure is None
            bundles.append(Bundle(connector, works))
        return bundles

    def _work(
        self, file: SourceFile, begins: float, ends: float, failure: FailingFile | None, number: int, of: int
    ) -> Work:
        """Make the work on one file; a sound one is the ``number``-th ``of`` so many that share the issues of the run."""
        if failure is not None:
            issues = (failure.warnings, failure.errors, failure.other_issues)
            return Work(file, begins, ends, failure.result, failure, *issues)
        plan = self.plan
        warnings, errors, other = (
            total // of + (number < total % of) for total in (plan.warnings, plan.errors, plan.other_issues)
        )
        result = "Skipped" if plan.result == "Skipped" else "Success"
        return Work(file, begins, ends, result, None, warnings, errors, other)

    def _failures(self) -> dict[int, FailingFile]:
        failing = list(self.plan.failing)
        if not failing and self.plan.result in _BAD_ENDS:
            failing = [FailingFile(len(self.files) - 1, result=_BAD_ENDS[self.plan.result])]
        names: dict[str, int] = {}
        for index, one in enumerate(self.files):
            for name in (one.name, one.file_id, one.id):
                names.setdefault(name, index)
        found: dict[int, FailingFile] = {}
        for failure in failing:
            index = failure.file if isinstance(failure.file, int) else names.get(failure.file, -1)
            if index < 0 or index >= len(self.files) or index in found:
                # A name that the run does not have (it works on invented files, say) still has to fail somewhere.
                index = next((free for free in range(len(self.files)) if free not in found), -1)
            if index >= 0:
                found[index] = failure
        return found


def shown_state(begins: float, ends: float, elapsed: float) -> str:
    """Tell the state of a job or task that lasts from ``begins`` to ``ends``."""
    if elapsed >= ends:
        return "Completed"
    return "Executing" if elapsed >= begins else "Queued"
