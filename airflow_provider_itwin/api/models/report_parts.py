"""The parts of a report: a file that failed, the error of a run, the totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from airflow_provider_itwin.api.models.json_types import FailingTaskDict, RunErrorDict, TotalsDict
from airflow_provider_itwin.api.models.resources import Job, Task
from airflow_provider_itwin.api.redaction import excerpt, web_address

LONGEST_TEXT = 300
LONGEST_NAME = 200

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
            file_id=text_or_none(task.file_id, LONGEST_NAME),
            file_name=None,
            connector=text_or_none(job.connector_type, LONGEST_NAME),
            result=text_or_none(task.result, LONGEST_NAME),
            error_code=text_or_none(error.error_code, LONGEST_NAME) if error else None,
            message=text_or_none(error.message if error else None)
            or text_or_none(synchronization.message if synchronization else None),
            details=text_or_none(error.details) if error else None,
            description=text_or_none(error.description) if error else None,
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
        return " ".join(sentence(text) for text in texts if text)

    @property
    def advice(self) -> str:
        """Who can fix the file; empty if that is unknown."""
        return "" if self.can_user_fix is None else ADVICE[self.can_user_fix]

    def as_dict(self) -> FailingTaskDict:
        """Return the fields as JSON values."""
        return {
            "file_id": self.file_id,
            "file_name": self.file_name,
            "connector": self.connector,
            "result": self.result,
            "error_code": self.error_code,
            "message": self.message,
            "details": self.details,
            "description": self.description,
            "can_user_fix": self.can_user_fix,
            "kb_article_link": self.kb_article_link,
        }

    def __str__(self) -> str:
        link = f"See {self.kb_article_link}" if self.kb_article_link else None
        tail = " ".join(filter(None, (self.reason, self.advice, link)))
        file_id = f", file id {self.file_id}" if self.file_name and self.file_id else ""
        return f"{self.name} ({self.outcome}{file_id}){f': {tail}' if tail else ''}"


@dataclass(frozen=True, slots=True)
class ErrorText:
    """
    The error of the run itself, rather than of a file.

    :param key: key of the error
    :param description: description of the error
    """

    key: str | None = None
    description: str | None = None

    def as_dict(self) -> RunErrorDict:
        """Return the fields as JSON values."""
        return {"key": self.key, "description": self.description}


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

    def as_dict(self) -> TotalsDict:
        """Return the numbers as JSON values."""
        return {
            "jobs": self.jobs,
            "jobs_by_result": self.jobs_by_result,
            "tasks": self.tasks,
            "tasks_by_result": self.tasks_by_result,
            "errors": self.errors,
            "warnings": self.warnings,
            "other_issues": self.other_issues,
        }


def text_or_none(value: str | None, longest: int = LONGEST_TEXT) -> str | None:
    """Return a text of the service for a report, in at most `longest` characters; None for a blank one."""
    return excerpt(value.strip(), longest) if value and value.strip() else None


def sentence(text: str) -> str:
    """Return a text with a full stop at its end, unless it has a mark there."""
    return text if text.endswith((".", "!", "?", "…")) else text + "."
