"""The report of a finished run: small enough for an XCom, an event and a log, whatever the size of the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn, Self, TypedDict

import msgspec

from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.durations import format_duration
from airflow_provider_itwin.api.models.enums import USER_NOT_AUTHENTICATED, ExecutionResult, known_result
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
from airflow_provider_itwin.api.redaction import excerpt, web_address

LARGEST_REPORT = 14 * 1024
"""Bytes of a report as JSON, at most, so that an event with it stays below 16 KiB."""

_MOST_TASKS = 20
_MOST_OUTPUTS = 50
_MOST_RESULTS = 12
_LONGEST_TEXT = 300
_LONGEST_NAME = 200
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


_PLAIN_MEMBERS = (
    "connection_name",
    "imodel_id",
    "state",
    "result",
    "phase",
    "started",
    "ended",
    "duration",
)

ADVICE = {True: "You can fix this.", False: "You cannot fix this: contact Bentley support."}
"""What `can_user_fix` of a failing file means for a user."""


@dataclass(frozen=True, slots=True)
class FailingTask:
    """
    A file that failed, or has an error although its result is a success. Every field is None if the service does not report it.

    :param file_id: id of the file
    :param file_name: name of the file, if it was looked up
    :param connector: name of the connector
    :param result: result of the file
    :param error_code: code of the error
    :param message: message of the error, or of the connector's report
    :param details: details of the error
    :param description: description of the error
    :param can_user_fix: whether a user can fix the file
    :param kb_article_link: link to an article of the knowledge base
    """

    file_id: str | None = None
    file_name: str | None = None
    connector: str | None = None
    result: str | None = None
    error_code: str | None = None
    message: str | None = None
    details: str | None = None
    description: str | None = None
    can_user_fix: bool | None = None
    kb_article_link: str | None = None

    @classmethod
    def of(cls, job: Job, task: Task) -> Self:
        """Return the failing file of a task."""
        error = task.error
        synchronization = task.details.synchronization_report if task.details else None
        return cls(
            file_id=_text(task.file_id, _LONGEST_NAME),
            file_name=None,
            connector=_text(job.connector_type, _LONGEST_NAME),
            result=_text(task.result, _LONGEST_NAME),
            error_code=_text(error.error_code, _LONGEST_NAME) if error else None,
            message=_text(error.message if error else None)
            or _text(synchronization.message if synchronization else None),
            details=_text(error.details) if error else None,
            description=_text(error.description) if error else None,
            can_user_fix=error.can_user_fix if error else None,
            kb_article_link=web_address(error.kb_article_link) if error else None,
        )

    @property
    def name(self) -> str:
        """The name of the file, else its id."""
        return self.file_name or f"file {self.file_id or 'with unknown id'}"

    @property
    def outcome(self) -> str:
        """Result, connector and error code in one line."""
        return ", ".join(filter(None, (self.result or "no result", self.connector, self.error_code)))

    @property
    def reason(self) -> str:
        """Message, description and details as sentences, each once; empty if there are none."""
        texts = dict.fromkeys((self.message, self.description, self.details))
        return " ".join(_sentence(text) for text in texts if text)

    @property
    def advice(self) -> str:
        """Who can fix the file; empty if that is unknown."""
        return "" if self.can_user_fix is None else ADVICE[self.can_user_fix]

    def __str__(self) -> str:
        link = f"See {self.kb_article_link}" if self.kb_article_link else None
        tail = " ".join(filter(None, (self.reason, self.advice, link)))
        file_id = f", file id {self.file_id}" if self.file_name and self.file_id else ""
        return f"{self.name} ({self.outcome}{file_id}){f': {tail}' if tail else ''}"


class ErrorText(TypedDict, total=False):
    """The error of the run itself, rather than of a file."""

    key: str | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """
    Numbers of jobs, files and issues.

    :param jobs: number of jobs
    :param jobs_by_result: number of jobs by result
    :param tasks: number of files
    :param tasks_by_result: number of files by result
    :param errors: errors in all files
    :param warnings: warnings in all files
    :param other_issues: other issues in all files
    """

    jobs: int = 0
    jobs_by_result: dict[str, int]
    tasks: int = 0
    tasks_by_result: dict[str, int]
    errors: int = 0
    warnings: int = 0
    other_issues: int = 0


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
    :param error: ``key`` and ``description`` of the error of the run itself, None if it has none
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
        for job, task in _tasks(jobs):
            results[_result(task.result)] += 1
            if task.export_output_file_id:
                outputs.append(task.export_output_file_id)
            if known_result(task.result) is not ExecutionResult.SUCCESS or _has_error(task):
                failing.append((job, task))
        failing.sort(key=lambda pair: _SEVERITY[known_result(pair[1].result)])
        started, ended = run.start_date_time, run.end_date_time
        errors, warnings, other_issues = issues_of(task for _, task in _tasks(jobs))
        return cls(
            ref=ref,
            state=_text(run.state, 40),
            result=_text(run.result, 40),
            phase=_text(run.phase, 40),
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
            output_files=tuple(excerpt(file_id, _LONGEST_NAME) for file_id in outputs[:_MOST_OUTPUTS]),
            more_output_files=max(0, len(outputs) - _MOST_OUTPUTS),
            connectors=ConnectorTotals.all_of(jobs),
            timeline=Timeline.of(run),
        )._bounded()

    def with_file_names(self, names: Mapping[str, str]) -> RunReport:
        """Return the report with file names; `names` maps ids to names."""
        tasks = tuple(
            replace(task, file_name=_text(names.get(task.file_id or ""), _LONGEST_NAME) or task.file_name)
            for task in self.failing_tasks
        )
        return replace(self, failing_tasks=tasks)._bounded()

    def with_connection(self, name: str | None, imodel_id: str | None) -> RunReport:
        """Return the report with the name of the connection and the id of its iModel, None for unknown ones."""
        return replace(
            self,
            connection_name=_text(name, _LONGEST_NAME) or self.connection_name,
            imodel_id=imodel_id or self.imodel_id,
        )._bounded()

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, as in the XCom ``run_report``, with a `summary` in one line."""
        return {
            **{name: getattr(self, name) for name in _PLAIN_MEMBERS},
            "ref": self.ref.as_dict(),
            "summary": self.summary,
            "totals": asdict(self.totals),
            "error": self.error,
            "failing_tasks": [asdict(task) for task in self.failing_tasks],
            "more_failing_tasks": self.more_failing_tasks,
            "output_files": list(self.output_files),
            "more_output_files": self.more_output_files,
            "connectors": _json_values(self.connectors),
            "timeline": _json_values(self.timeline),
        }

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
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
        key = self.error.get("key")
        error = ": ".join(filter(None, (key, self.error.get("description"))))
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
    return {"key": _text(run.error.error_key, _LONGEST_NAME), "description": _text(run.error.description)}


_SIGN_IN_ADVICE = (
    " The connection runs in the name of a user whose sign-in is missing or older than 30 days. Ask its owner to sign in again,"
    " or change its authenticationType to Service."
)


def _text(value: str | None, longest: int = _LONGEST_TEXT) -> str | None:
    return excerpt(value.strip(), longest) if value and value.strip() else None


@lru_cache(maxsize=64)
def _result(value: str | None) -> str:
    return _text(value, 40) or "None"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else text + "."


def _json_values(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _size(report: RunReport) -> int:
    return len(json.dumps(report.as_dict()))
