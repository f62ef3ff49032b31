"""
Runs. The whole course of a run is fixed at its start.

Nothing happens in the background: state, result and progress are functions of the plan and the current time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from itwin_emulator.domain import ids
from itwin_emulator.domain.run_plans import FailingFile, RunPlan
from itwin_emulator.domain.source_files import SourceFile

_RESULT_OF_LAST_FILE = {"Error": "Error", "PartialSuccess": "Error", "Canceled": "Canceled", "TimedOut": "TimedOut"}
"""Result of the last file of an unsuccessful run whose plan names no failing file."""
_TOLERANCE = 1e-6
"""Seconds by which two computations of the same time may differ."""


@dataclass(frozen=True, slots=True)
class FileTask:
    """The processing of one file, called a task by the API. Times are real seconds after the start of the run."""

    file: SourceFile
    begins: float
    ends: float
    result: str
    failure: FailingFile | None
    warnings: int
    errors: int
    other_issues: int


@dataclass(frozen=True, slots=True)
class Job:
    """The files of a run that one connector processes."""

    connector_type: str
    tasks: Sequence[FileTask]

    @property
    def begins(self) -> float:
        """Start of the first task."""
        return self.tasks[0].begins

    @property
    def ends(self) -> float:
        """End of the last task."""
        return self.tasks[-1].ends

    @property
    def result(self) -> str:
        """The combined result of the tasks."""
        results = {task.result for task in self.tasks}
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
    """Seconds after the start at which it was ended explicitly, independent of the plan."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Digests of its files that are in Storage, by file id, as of its start."""
    unchanged: frozenset[str] = frozenset()
    """Ids of the files that it skips, because their content has not changed."""
    export_type: str = "IFC"
    """Format of the output of an export run."""
    _jobs: list[Job] | None = field(default=None, repr=False, compare=False)
    _change_times: list[float] | None = field(default=None, repr=False, compare=False)
    """Sorted times, in seconds after the start, at which its representation changes."""

    @property
    def duration(self) -> float:
        """Real seconds from the start to the end."""
        return self.plan.duration / self.speed if self.ended_early is None else self.ended_early

    @property
    def ended(self) -> float:
        """Time of the end, past or future."""
        return self.started + self.duration

    def is_active(self, now: float) -> bool:
        """Return whether the run has not ended yet."""
        return now - self.started < self.duration

    def state(self, now: float) -> str:
        """Return the state at a time."""
        if not self.is_active(now):
            return "Completed"
        share = (now - self.started) / self.duration * sum(weight for _, weight in self.plan.states)
        for state, weight in self.plan.states:
            share -= weight
            if share < 0:
                return state
        return self.plan.states[-1][0]

    def result(self, now: float) -> str:
        """Return the result at a time: ``Undetermined`` until the end."""
        return "Undetermined" if self.is_active(now) else self.plan.result

    def phase(self, now: float) -> str:
        """Return the phase at a time: ``Preprocessor`` until the first file is processed."""
        if not self.is_active(now):
            return self.plan.phase
        begin, _ = self._processing_window()
        return "Preprocessor" if now - self.started < begin else self.plan.phase

    def has_jobs(self, now: float) -> bool:
        """Return whether the work is split into jobs yet; before, a run has no jobs."""
        begin, _ = self._processing_window()
        return now - self.started >= begin or not self.is_active(now)

    def finish(self, now: float, result: str | None = None) -> None:
        """
        End the run now.

        :param result: None: the planned result
        """
        if not self.is_active(now):
            return
        if result is not None and result != self.plan.result:
            # The failing files belong to the old plan; a successful run has none.
            failing = self.plan.failing if result in ("Error", "PartialSuccess") else ()
            error = self.plan.error if result not in ("Success", "Skipped") else None
            self.plan = replace(self.plan, result=result, failing=failing, error=error)
        self.ended_early = now - self.started
        self._jobs = self._change_times = None

    def next_change(self, elapsed: float) -> float:
        """Return the time, in seconds after the start, until which the representation at ``elapsed`` stays the same."""
        if self._change_times is None:
            self._change_times = sorted(self._compute_change_times())
        # Within the tolerance of a change, either representation is possible.
        index = bisect_right(self._change_times, elapsed - _TOLERANCE)
        return self._change_times[index] - _TOLERANCE if index < len(self._change_times) else math.inf

    def jobs(self) -> list[Job]:
        """Return the jobs, one per connector: files are processed one after the other, in the order of the connection."""
        if self._jobs is None:
            self._jobs = self._split_into_jobs()
        return self._jobs

    def tasks(self) -> list[tuple[int, int, FileTask]]:
        """Return the tasks of all jobs with the positions of job and task."""
        return [(number, index, task) for number, job in enumerate(self.jobs()) for index, task in enumerate(job.tasks)]

    def push_times(self, count: int) -> list[float]:
        """Return the times at which the run pushes this number of changesets: within the processing of its files."""
        begin, end = self._processing_window()
        return [
            self.started + min(begin + (end - begin) * (number + 1) / count, self.duration) for number in range(count)
        ]

    def _compute_change_times(self) -> set[float]:
        planned = self.plan.duration / self.speed
        total = sum(weight for _, weight in self.plan.states)
        times = {self.duration, self._processing_window()[0]}
        passed = 0.0
        for _, weight in self.plan.states:
            passed += weight
            times.add(planned * passed / total)
        for job in self.jobs():
            for task in job.tasks:
                times.update((task.begins, task.ends))
        return times

    def _processing_window(self) -> tuple[float, float]:
        """Return the begin and end of file processing in seconds after the start, unless the run is ended early."""
        planned = self.plan.duration / self.speed
        total = sum(weight for _, weight in self.plan.states)
        passed = 0.0
        begin: float | None = None
        end = total
        for state, weight in self.plan.states:
            if state == "Executing":
                begin = passed if begin is None else begin
                end = passed + weight
            passed += weight
        return planned * (begin or 0.0) / total, planned * end / total

    def _split_into_jobs(self) -> list[Job]:
        files = self.files
        if not files or (self.plan.error is not None and not self.plan.failing and self.plan.result == "Error"):
            return []
        failures = self._failures()
        skipped = {i for i, one in enumerate(files) if i not in failures and one.file_id in self.unchanged}
        by_connector: dict[str, list[int]] = {}
        for index, one in enumerate(files):
            by_connector.setdefault(one.connector_type, []).append(index)
        begin, end = self._processing_window()
        step = (end - begin) / len(files)
        successful = len(files) - len(failures) - len(skipped)
        jobs, position, counted = [], 0, 0
        for connector, indexes in by_connector.items():
            tasks = []
            for index in indexes:
                failure = failures.get(index)
                # When a run is ended early, finished tasks keep their times and all others end at once.
                begins = min(begin + step * position, self.duration)
                ends = min(begin + step * (position + 1), self.duration)
                if index in skipped:
                    tasks.append(FileTask(files[index], begins, ends, "Skipped", None, 0, 0, 0))
                else:
                    tasks.append(self._task(files[index], begins, ends, failure, counted, successful))
                    counted += failure is None
                position += 1
            jobs.append(Job(connector, tasks))
        return jobs

    def _task(
        self, file: SourceFile, begins: float, ends: float, failure: FailingFile | None, number: int, of: int
    ) -> FileTask:
        """Return the task of one file. Successful files share the issues of the run: this is the ``number``-th ``of`` all."""
        if failure is not None:
            issues = (failure.warnings, failure.errors, failure.other_issues)
            return FileTask(file, begins, ends, failure.result, failure, *issues)
        plan = self.plan
        warnings, errors, other = (
            total // of + (number < total % of) for total in (plan.warnings, plan.errors, plan.other_issues)
        )
        result = "Skipped" if plan.result == "Skipped" else "Success"
        return FileTask(file, begins, ends, result, None, warnings, errors, other)

    def _failures(self) -> dict[int, FailingFile]:
        failing = list(self.plan.failing)
        if not failing and self.plan.result in _RESULT_OF_LAST_FILE:
            failing = [FailingFile(len(self.files) - 1, result=_RESULT_OF_LAST_FILE[self.plan.result])]
        names: dict[str, int] = {}
        for index, one in enumerate(self.files):
            for name in (one.name, one.file_id, one.id):
                names.setdefault(name, index)
        found: dict[int, FailingFile] = {}
        for failure in failing:
            index = failure.file if isinstance(failure.file, int) else names.get(failure.file, -1)
            if index < 0 or index >= len(self.files) or index in found:
                # The run has no such file (for example, it processes invented files): another file fails instead.
                index = next((free for free in range(len(self.files)) if free not in found), -1)
            if index >= 0:
                found[index] = failure
        return found


def task_id(run_id: str, job: int, task: int) -> str:
    """Return the id of a task; ``job`` and ``task`` are positions."""
    return ids.derived_id(run_id, f"{job}/{task}")


def task_state(begins: float, ends: float, elapsed: float) -> str:
    """Return the state of a job or task that lasts from ``begins`` to ``ends``."""
    if elapsed >= ends:
        return "Completed"
    return "Executing" if elapsed >= begins else "Queued"
