"""What a finished run has to tell, in a form that fits into an XCom, an event and a log, however large the run was."""

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
from airflow_provider_itwin.api.models.durations import spoken_duration
from airflow_provider_itwin.api.models.enums import ExecutionResult, known_result
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
"""Bytes of a report as JSON, at most: an event that carries it stays below 16 KiB."""

_MOST_TASKS = 20
_MOST_OUTPUTS = 50
_MOST_RESULTS = 12
_LONGEST_TEXT = 300
_LONGEST_NAME = 200
_TASKS_BEFORE_TIMES = 5
"""How many failing files are worth more than the timeline, when there is no room for everything."""

_GRAVITY = {
    ExecutionResult.ERROR: 0,
    ExecutionResult.TIMED_OUT: 1,
    None: 2,
    ExecutionResult.UNDETERMINED: 3,
    ExecutionResult.CANCELED: 4,
    ExecutionResult.SKIPPED: 5,
    ExecutionResult.PARTIAL_SUCCESS: 6,
    ExecutionResult.SUCCESS: 7,
}


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A file that did not come through cleanly; every field but `result` can be None."""

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
        """Take what matters out of a task."""
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

    def __str__(self) -> str:
        who = self.file_name or f"file {self.file_id or 'of unknown id'}"
        where = [self.connector or "unknown connector"]
        if self.file_name and self.file_id:
            where.append(f"file id {self.file_id}")
        why = " ".join(
            _sentence(text) for text in dict.fromkeys((self.message, self.description, self.details)) if text
        )
        parts = [f"{who} ({', '.join(where)}): {self.result or 'no result'}"]
        if self.error_code or why:
            parts.append(", ".join(part for part in (self.error_code, why) if part).rstrip("."))
        if self.can_user_fix is not None:
            parts.append("you can fix this" if self.can_user_fix else "not for you to fix: ask Bentley's support")
        if self.kb_article_link:
            parts.append(f"read {self.kb_article_link}")
        return "; ".join(parts)


class ErrorText(TypedDict, total=False):
    """The run's own error."""

    key: str | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much there was, and how it went; the numbers by result can decide, those with a default inform."""

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
    What a run has to tell: at most 14 KiB as JSON, whatever its size.

    :param ref: the run
    :param started: ISO 8601 in UTC, None if the service does not tell; so `ended`
    :param duration: seconds from start to end, None if either is unknown
    :param error: ``key`` and ``description`` of the run's own error, None if it has none
    :param failing_tasks: the gravest of the files that did not come through cleanly
    :param more_failing_tasks: how many of those are left out
    :param output_files: ids of the files that an export has written, the first of them
    :param more_output_files: how many of those are left out
    :param connectors: the totals of each connector
    :param timeline: when what was worked on; None if the service tells no times, or there is no room
    """

    ref: RunRef
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
        """Make a report of a run."""
        jobs = run.jobs or []
        job_results = Counter(_result(job.result) for job in jobs)
        results: Counter[str] = Counter()
        outputs: list[str] = []
        failing: list[tuple[Job, Task]] = []
        for job, task in _tasks(jobs):
            results[_result(task.result)] += 1
            if task.export_output_file_id:
                outputs.append(task.export_output_file_id)
            if known_result(task.result) is not ExecutionResult.SUCCESS or _tells_error(task):
                failing.append((job, task))
        failing.sort(key=lambda pair: _GRAVITY[known_result(pair[1].result)])
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
        """Give the same report with the names of its files, as far as `names` knows them by id."""
        tasks = tuple(
            replace(task, file_name=_text(names.get(task.file_id or ""), _LONGEST_NAME) or task.file_name)
            for task in self.failing_tasks
        )
        return replace(self, failing_tasks=tasks)._bounded()

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON values, the form of the XCom ``run_report``, with a `summary` in one line."""
        return {
            **{name: getattr(self, name) for name in ("state", "result", "phase", "started", "ended", "duration")},
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
        Read what :meth:`as_dict` gave.

        :raises ValueError: if it is something else
        """
        return converted(values, cls)

    @property
    def summary(self) -> str:
        """Say in one line how the run went, such as ``Error: 5 files in 25 min (3 Error, 2 Success), 7 warnings``."""
        return f"{self.result or 'no result'}: {self._what()}"

    def _what(self) -> str:
        totals = self.totals
        text = _count(totals.tasks, "file")
        if self.duration is not None:
            text += f" in {spoken_duration(self.duration)}"
        if len(totals.tasks_by_result) > 1:
            text += f" ({', '.join(f'{number} {name}' for name, number in totals.tasks_by_result.items())})"
        found = ((totals.errors, "error"), (totals.warnings, "warning"), (totals.other_issues, "other issue"))
        return ", ".join([text, *(_count(number, word) for number, word in found if number)])

    def text(self, reason: str) -> str:
        """
        Tell the person on call what happened, in several lines.

        :param reason: the clause of the verdict, such as "its result is Error"
        """
        lines = [
            f"{self.summary}. Run {self.ref.run_id} of {self.ref.kind} connection {self.ref.connection_id}: {reason}."
        ]
        if self.error:
            said = ": ".join(part for part in (self.error.get("key"), self.error.get("description")) if part)
            lines.append(f"The run's own error: {said.rstrip('.')}.{_advice(self.error.get('key'))}")
        lines += [f"  {number}. {task}." for number, task in enumerate(self.failing_tasks, 1)]
        if self.more_failing_tasks:
            lines.append(f"  … and {_count(self.more_failing_tasks, 'more file')} like these.")
        return "\n".join(lines)

    def _bounded(self) -> Self:
        report = self
        while _size(report) > LARGEST_REPORT:
            timeline = report.timeline
            if timeline and timeline.tasks:
                report = replace(report, timeline=replace(timeline, tasks=()))
            elif timeline and len(report.failing_tasks) <= _TASKS_BEFORE_TIMES:
                report = replace(report, timeline=None)
            elif report.connectors and len(report.failing_tasks) <= _TASKS_BEFORE_TIMES:
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


def _tells_error(task: Task) -> bool:
    return task.error is not None and bool(task.error.error_code or task.error.message)


def _run_error(run: Run) -> ErrorText | None:
    if run.error is None or not (run.error.error_key or run.error.description):
        return None
    return {"key": _text(run.error.error_key, _LONGEST_NAME), "description": _text(run.error.description)}


def _advice(error_key: str | None) -> str:
    if error_key != "UserNotAuthenticated":
        return ""
    return (
        " The connection runs in the name of a user whose sign-in is missing or has expired (30 days): the owner signs in again,"
        " or the connection's authenticationType is changed to Service."
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
