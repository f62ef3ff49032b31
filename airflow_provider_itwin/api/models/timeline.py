"""Timeline of a run, and totals by connector, for the run report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from airflow_provider_itwin.api.models.json_types import (
    ConnectorTotalsDict,
    JobSpanDict,
    TaskSpanDict,
    TimelineDict,
)
from airflow_provider_itwin.api.models.resources import (
    Job,
    Run,
    Task,
)
from airflow_provider_itwin.api.redaction import excerpt

SLICES = 24
"""Number of equal time slices of a run with many files."""

_MOST_JOBS = 16
_MOST_FILES = 40
_MOST_CONNECTORS = 12
_MOST_RESULTS = 6
_LONGEST_NAME = 60
_LARGEST_COUNT = 1_000_000_000
_LARGEST_TIME = 1e9


@dataclass(frozen=True, slots=True)
class ConnectorTotals:
    """
    Totals of one connector.

    :param connector: its name; None if the service does not name it
    :param tasks: number of files
    :param tasks_by_result: number of files by result
    :param errors: errors in all files
    :param warnings: warnings in all files
    :param other_issues: other issues in all files
    """

    connector: str | None
    tasks: int
    tasks_by_result: dict[str, int]
    errors: int
    warnings: int
    other_issues: int

    def as_dict(self) -> ConnectorTotalsDict:
        """Return the totals as JSON values."""
        return {
            "connector": self.connector,
            "tasks": self.tasks,
            "tasks_by_result": self.tasks_by_result,
            "errors": self.errors,
            "warnings": self.warnings,
            "other_issues": self.other_issues,
        }

    @classmethod
    def all_of(cls, jobs: Iterable[Job]) -> tuple[Self, ...]:
        """Add up the tasks by connector: the twelve with the most files, and the rest as ``other``."""
        by_connector: dict[str | None, list[Task]] = {}
        for job in jobs:
            by_connector.setdefault(short(job.connector_type), []).extend(job.tasks or [])
        ranked = sorted(by_connector.items(), key=lambda item: -len(item[1]))
        rest = [task for _, tasks in ranked[_MOST_CONNECTORS:] for task in tasks]
        ranked = ranked[:_MOST_CONNECTORS] + ([("other", rest)] if rest else [])
        return tuple(cls._of(connector, tasks) for connector, tasks in ranked)

    @classmethod
    def _of(cls, connector: str | None, tasks: list[Task]) -> Self:
        results = Counter(short(task.result) or "None" for task in tasks)
        errors, warnings, others = issues_of(tasks)
        return cls(connector, len(tasks), most_common(results, _MOST_RESULTS), errors, warnings, others)


@dataclass(frozen=True, slots=True)
class JobSpan:
    """
    Start and end of a job.

    :param connector: name of the connector
    :param result: result of the job
    :param start: seconds after the start of the timeline, None if unknown
    :param end: seconds after the start of the timeline, None if unknown
    :param tasks: number of files
    """

    connector: str | None
    result: str | None
    start: float | None
    end: float | None
    tasks: int

    def as_dict(self) -> JobSpanDict:
        """Return the span as JSON values."""
        return {
            "connector": self.connector,
            "result": self.result,
            "start": self.start,
            "end": self.end,
            "tasks": self.tasks,
        }


@dataclass(frozen=True, slots=True)
class TaskSpan:
    """
    Start and end of a task.

    :param job: index of the job
    :param result: result of the task
    :param start: seconds after the start of the timeline
    :param end: seconds after the start of the timeline
    """

    job: int
    result: str | None
    start: float
    end: float

    def as_dict(self) -> TaskSpanDict:
        """Return the span as JSON values."""
        return {"job": self.job, "result": self.result, "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    Start and end of the jobs and tasks of a run, in seconds after the start of the run, or after the earliest known time.

    :param length: seconds from start to end
    :param jobs: the first jobs, in the order of the run
    :param more_jobs: number of jobs that are left out
    :param tasks: the span of each file if there are few files, else empty
    :param finished: if there are many files: the number that ended in each of :data:`SLICES` equal time slices, by result
    """

    length: float
    jobs: tuple[JobSpan, ...]
    more_jobs: int
    tasks: tuple[TaskSpan, ...] = ()
    finished: dict[str, tuple[int, ...]] | None = None

    def as_dict(self) -> TimelineDict:
        """Return the timeline as JSON values."""
        finished = self.finished
        return {
            "length": self.length,
            "jobs": [job.as_dict() for job in self.jobs],
            "more_jobs": self.more_jobs,
            "tasks": [task.as_dict() for task in self.tasks],
            "finished": None if finished is None else {result: list(slices) for result, slices in finished.items()},
        }

    @classmethod
    def of(cls, run: Run) -> Self | None:
        """Return the timeline of a run; None if the service reports no times."""
        jobs = run.jobs or []
        times = [_Times(job) for job in jobs]
        known = [moment for one in times for moment in one.known()]
        began = run.start_date_time or min(known, default=None)
        ended = max([*known, *filter(None, (run.end_date_time,))], default=None)
        if began is None or ended is None or ended <= began:
            return None
        length = _after(began, ended)
        spans = _spans(times, began)
        few = len(spans) <= _MOST_FILES
        return cls(
            length=length,
            jobs=tuple(one.span(began) for one in times[:_MOST_JOBS]),
            more_jobs=max(0, len(jobs) - _MOST_JOBS),
            tasks=tuple(span for span in spans if span.job < _MOST_JOBS) if few else (),
            finished=None if few else _finished(spans, length),
        )


class _Times:
    """The times of a job and its tasks, each parsed once: there can be thousands."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tasks = [(task, task.start_date_time, task.end_date_time) for task in job.tasks or []]
        starts = [start for _, start, _ in self.tasks if start]
        ends = [end for _, _, end in self.tasks if end]
        self.start = job.start_date_time or min(starts, default=None)
        self.end = job.end_date_time or max(ends, default=None)

    def known(self) -> Iterator[datetime]:
        if self.start:
            yield self.start
        if self.end:
            yield self.end

    def span(self, began: datetime) -> JobSpan:
        start = None if self.start is None else _after(began, self.start)
        end = None if self.end is None else _after(began, self.end)
        return JobSpan(short(self.job.connector_type), short(self.job.result), start, end, len(self.tasks))


def _spans(times: list[_Times], began: datetime) -> list[TaskSpan]:
    return [
        TaskSpan(place, short(task.result), _after(began, start), _after(began, end))
        for place, one in enumerate(times)
        for task, start, end in one.tasks
        if start and end
    ]


def _finished(spans: list[TaskSpan], length: float) -> dict[str, tuple[int, ...]]:
    kept = most_common(Counter(span.result or "None" for span in spans), _MOST_RESULTS)
    counts = {result: [0] * SLICES for result in kept}
    for span in spans:
        result = span.result or "None"
        counts[result if result in kept else "other"][min(SLICES - 1, int(span.end / length * SLICES))] += 1
    return {result: tuple(slices) for result, slices in counts.items()}


def issues_of(tasks: Iterable[Task]) -> tuple[int, int, int]:
    """Return the total numbers of errors, warnings and other issues."""
    errors = warnings = others = 0
    for task in tasks:
        found = task.details.synchronization_report if task.details else None
        if found is not None:
            errors += _bounded(found.total_errors_count)
            warnings += _bounded(found.total_warnings_count)
            others += _bounded(found.total_other_issues_count)
    return errors, warnings, others


def most_common(results: Counter[str], most: int) -> dict[str, int]:
    """Return the most frequent results and their numbers; the rest is counted as ``other``."""
    largest = dict(results.most_common(most))
    if (rest := results.total() - sum(largest.values())) > 0:
        largest["other"] = largest.get("other", 0) + rest
    return largest


@lru_cache(maxsize=64)
def short(value: str | None) -> str | None:
    """Return a name, sanitized and shortened."""
    return excerpt(value.strip(), _LONGEST_NAME) if value and value.strip() else None


def _bounded(number: int | None) -> int:
    return max(0, min(number or 0, _LARGEST_COUNT))


def _after(began: datetime, moment: datetime) -> float:
    return round(max(0.0, min((moment - began).total_seconds(), _LARGEST_TIME)), 3)
