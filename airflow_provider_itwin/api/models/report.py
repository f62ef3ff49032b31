"""The report of a finished run: small enough for an XCom, an event and a log, whatever the size of the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import NoReturn, Self

from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.durations import format_duration
from airflow_provider_itwin.api.models.enums import USER_NOT_AUTHENTICATED, ExecutionResult, known_result
from airflow_provider_itwin.api.models.json_types import (
    RunReportDict,
)
from airflow_provider_itwin.api.models.report_parts import (
    LONGEST_NAME,
    ErrorText,
    FailingTask,
    Totals,
    text_or_none,
)
from airflow_provider_itwin.api.models.resources import (
    Job,
    Run,
    RunRef,
    Task,
)
from airflow_provider_itwin.api.models.timeline import (
    ConnectorTotals,
    Timeline,
    issues_of,
    most_common,
)
from airflow_provider_itwin.api.models.validation import no_xcom
from airflow_provider_itwin.api.redaction import excerpt

LARGEST_REPORT = 14 * 1024
"""Bytes of a report as JSON, at most, so that an event with it stays below 16 KiB."""

_MOST_TASKS = 20
_MOST_OUTPUTS = 50
_MOST_RESULTS = 12
_TASKS_BEFORE_TIMELINE = 5
"""Failing files that are kept in favor of the timeline when a report is too large."""

_SEVERITY = {
    ExecutionResult.ERROR: 0,
    ExecutionResult.TIMED_OUT: 1,
    None: 2,
    ExecutionResult.UNDETERMINED: 3,
    ExecutionResult.CANCELED: 4,
    ExecutionResult.SKIPPED: 5,
    ExecutionResult.PARTIAL_SUCCESS: 6,
    ExecutionResult.SUCCESS: 7,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """
    The report of a run: at most 14 KiB as JSON, whatever the size of the run.

    :param ref: the run
    :param connection_name: name of the connection, None if it is unknown
    :param imodel_id: id of the iModel of the connection, None if it is unknown
    :param state: state of the run
    :param result: result of the run
    :param phase: phase of the run
    :param started: start in ISO 8601, UTC; None if the service does not report it
    :param ended: end in ISO 8601, UTC; None if the service does not report it
    :param duration: seconds from start to end, None if either is unknown
    :param totals: numbers of jobs, files and issues
    :param error: the error of the run itself, None if it has none
    :param failing_tasks: the most severe failing files
    :param more_failing_tasks: number of failing files that are left out
    :param output_files: ids of the first files that an export has written
    :param more_output_files: number of written files that are left out
    :param connectors: totals of each connector
    :param timeline: start and end of jobs and files; None if the service reports no times, or the report would be too large
    """

    ref: RunRef
    connection_name: str | None = None
    imodel_id: str | None = None
    state: str | None = None
    result: str | None
    phase: str | None = None
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    totals: Totals
    error: ErrorText | None = None
    failing_tasks: tuple[FailingTask, ...] = ()
    more_failing_tasks: int = 0
    output_files: tuple[str, ...] = ()
    more_output_files: int = 0
    connectors: tuple[ConnectorTotals, ...] = ()
    timeline: Timeline | None = None

    @classmethod
    def of(cls, ref: RunRef, run: Run) -> Self:
        """Return the report of a run."""
        jobs = run.jobs or []
        job_results = Counter(_result(job.result) for job in jobs)
        results: Counter[str] = Counter()
        outputs: list[str] = []
        failing: list[tuple[Job, Task]] = []
        passing = {ExecutionResult.SUCCESS}
        if known_result(run.result) is ExecutionResult.SUCCESS:
            # Files that have not changed.
            passing.add(ExecutionResult.SKIPPED)
        for job, task in _tasks(jobs):
            results[_result(task.result)] += 1
            if task.export_output_file_id:
                outputs.append(task.export_output_file_id)
            if known_result(task.result) not in passing or _has_error(task):
                failing.append((job, task))
        failing.sort(key=lambda pair: _SEVERITY[known_result(pair[1].result)])
        started, ended = run.start_date_time, run.end_date_time
        errors, warnings, other_issues = issues_of(task for _, task in _tasks(jobs))
        return cls(
            ref=ref,
            state=text_or_none(run.state, 40),
            result=text_or_none(run.result, 40),
            phase=text_or_none(run.phase, 40),
            started=_iso(started),
            ended=_iso(ended),
            duration=(ended - started).total_seconds() if started and ended else None,
            totals=Totals(
                jobs=len(jobs),
                jobs_by_result=most_common(job_results, _MOST_RESULTS),
                tasks=results.total(),
                tasks_by_result=most_common(results, _MOST_RESULTS),
                errors=errors,
                warnings=warnings,
                other_issues=other_issues,
            ),
            error=_run_error(run),
            failing_tasks=tuple(FailingTask.of(job, task) for job, task in failing[:_MOST_TASKS]),
            more_failing_tasks=max(0, len(failing) - _MOST_TASKS),
            output_files=tuple(excerpt(file_id, LONGEST_NAME) for file_id in outputs[:_MOST_OUTPUTS]),
            more_output_files=max(0, len(outputs) - _MOST_OUTPUTS),
            connectors=ConnectorTotals.all_of(jobs),
            timeline=Timeline.of(run),
        )._bounded()

    def with_file_names(self, names: Mapping[str, str]) -> RunReport:
        """Return the report with file names; `names` maps ids to names."""
        tasks = tuple(
            replace(task, file_name=text_or_none(names.get(task.file_id or ""), LONGEST_NAME) or task.file_name)
            for task in self.failing_tasks
        )
        return replace(self, failing_tasks=tasks)._bounded()

    def with_connection(self, name: str | None, imodel_id: str | None) -> RunReport:
        """Return the report with the name of the connection and the id of its iModel, None for unknown ones."""
        return replace(
            self,
            connection_name=text_or_none(name, LONGEST_NAME) or self.connection_name,
            imodel_id=imodel_id or self.imodel_id,
        )._bounded()

    def as_dict(self) -> RunReportDict:
        """Return the report as JSON values, as in the XCom ``run_report``, with a `summary` in one line."""
        return {
            "connection_name": self.connection_name,
            "imodel_id": self.imodel_id,
            "state": self.state,
            "result": self.result,
            "phase": self.phase,
            "started": self.started,
            "ended": self.ended,
            "duration": self.duration,
            "ref": self.ref.as_dict(),
            "summary": self.summary,
            "totals": self.totals.as_dict(),
            "error": self.error.as_dict() if self.error else None,
            "failing_tasks": [task.as_dict() for task in self.failing_tasks],
            "more_failing_tasks": self.more_failing_tasks,
            "output_files": list(self.output_files),
            "more_output_files": self.more_output_files,
            "connectors": [totals.as_dict() for totals in self.connectors],
            "timeline": self.timeline.as_dict() if self.timeline else None,
        }

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """
        Parse the result of :meth:`as_dict`.

        :raises ValueError: if it is invalid
        """
        return converted(values, cls)

    @property
    def summary(self) -> str:
        """The result in one line, such as ``Error: 5 files in 25 min (3 Error, 2 Success), 7 warnings``."""
        totals = self.totals
        text = f"{self.result or 'no result'}: {_count(totals.tasks, 'file')}"
        if self.duration is not None:
            text += f" in {format_duration(self.duration)}"
        if len(totals.tasks_by_result) > 1:
            text += f" ({', '.join(f'{number} {name}' for name, number in totals.tasks_by_result.items())})"
        found = ((totals.errors, "error"), (totals.warnings, "warning"), (totals.other_issues, "other issue"))
        return ", ".join([text, *(_count(number, word) for number, word in found if number)])

    @property
    def title(self) -> str:
        """The run in words, such as ``Run 4461… of storage connection Parking deck (demo-connection)``."""
        ref = self.ref
        place = f"{self.connection_name} ({ref.connection_id})" if self.connection_name else ref.connection_id
        return f"Run {ref.run_id} of {ref.kind} connection {place}"

    @property
    def error_text(self) -> str | None:
        """The error of the run itself as a sentence, with what to do about it; None if it has none."""
        if not self.error:
            return None
        key = self.error.key
        error = ": ".join(filter(None, (key, self.error.description)))
        return f"Error of the run: {error.rstrip('.')}.{_SIGN_IN_ADVICE if key == USER_NOT_AUTHENTICATED else ''}"

    def text(self, reason: str) -> str:
        """
        Format the report for a log, in several lines.

        :param reason: why the run passes or fails, such as "its result is Error"
        """
        lines = [f"{self.summary}. {self.title}: {reason}."]
        if self.error_text:
            lines.append(self.error_text)
        lines += [f"  {number}. {task}" for number, task in enumerate(self.failing_tasks, 1)]
        if self.more_failing_tasks:
            lines.append(f"  … and {_count(self.more_failing_tasks, 'more failing file')}.")
        return "\n".join(lines)

    def _bounded(self) -> Self:
        report = self
        while _size(report) > LARGEST_REPORT:
            timeline = report.timeline
            if timeline and timeline.tasks:
                report = replace(report, timeline=replace(timeline, tasks=()))
            elif timeline and len(report.failing_tasks) <= _TASKS_BEFORE_TIMELINE:
                report = replace(report, timeline=None)
            elif report.connectors and len(report.failing_tasks) <= _TASKS_BEFORE_TIMELINE:
                report = replace(report, connectors=())
            elif report.failing_tasks:
                report = replace(
                    report,
                    failing_tasks=report.failing_tasks[:-1],
                    more_failing_tasks=report.more_failing_tasks + 1,
                )
            elif report.output_files:
                dropped = len(report.output_files) // 2 + 1
                report = replace(
                    report,
                    output_files=report.output_files[:-dropped],
                    more_output_files=report.more_output_files + dropped,
                )
            elif report.error:
                report = replace(report, error=None)
            else:
                return replace(report, totals=replace(report.totals, jobs_by_result={}, tasks_by_result={}))
        return report


def _tasks(jobs: list[Job]) -> Iterator[tuple[Job, Task]]:
    for job in jobs:
        for task in job.tasks or []:
            yield job, task


def _has_error(task: Task) -> bool:
    return task.error is not None and bool(task.error.error_code or task.error.message)


def _run_error(run: Run) -> ErrorText | None:
    if run.error is None or not (run.error.error_key or run.error.description):
        return None
    return ErrorText(text_or_none(run.error.error_key, LONGEST_NAME), text_or_none(run.error.description))


_SIGN_IN_ADVICE = (
    " The connection runs in the name of a user whose sign-in is missing or older than 30 days. Ask its owner to sign in again,"
    " or change its authenticationType to Service."
)


@lru_cache(maxsize=64)
def _result(value: str | None) -> str:
    return text_or_none(value, 40) or "None"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _size(report: RunReport) -> int:
    return len(json.dumps(report.as_dict()))
