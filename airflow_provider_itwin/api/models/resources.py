"""Resources of the Synchronization and Export APIs: runs, their jobs and tasks, connections, source files."""

from __future__ import annotations

from datetime import datetime

import msgspec

from airflow_provider_itwin.api.models.decoding import decoded
from airflow_provider_itwin.api.models.enums import (
    ConnectionKind,
    ExecutionResult,
    ExecutionState,
    known_result,
    known_state,
)
from airflow_provider_itwin.api.models.json_types import JsonValue
from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.resource import Link, Page, PageLinks, Resource
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import (
    checked_id,
    known_id,
)
from airflow_provider_itwin.api.redaction import excerpt

__all__ = [
    "Connection",
    "ConnectionKind",
    "ConnectionPage",
    "ExecutionResult",
    "ExecutionState",
    "Job",
    "Link",
    "PageLinks",
    "Run",
    "RunError",
    "RunPage",
    "RunRef",
    "RunSummary",
    "RunSummaryPage",
    "SourceFile",
    "SourceFilePage",
    "SynchronizationReport",
    "Task",
    "TaskDetails",
    "TaskError",
    "checked_id",
    "decoded",
    "known_result",
    "known_state",
]


class _Timed(Resource):
    """A resource with a start and an end."""

    start_text: str | None = msgspec.field(default=None, name="startDateTime")
    end_text: str | None = msgspec.field(default=None, name="endDateTime")

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the fields as JSON values, with `start_date_time` and `end_date_time` in UTC."""
        values = super().as_dict()
        del values["start_text"], values["end_text"]
        return values | {"start_date_time": _iso(self.start_date_time), "end_date_time": _iso(self.end_date_time)}

    @property
    def start_date_time(self) -> datetime | None:
        """Start in UTC; None if it has not started, or the service does not report it."""
        return read_moment(self.start_text)

    @property
    def end_date_time(self) -> datetime | None:
        """End in UTC; None if the service does not report it. It does not mean that a run is finished."""
        return read_moment(self.end_text)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


class TaskError(Resource):
    """The error, or the warning, of one file."""

    error_code: str | None = None
    message: str | None = None
    details: str | None = None
    bridge_exit_code: int | None = None
    system: str | None = None
    phase: str | None = None
    category: str | None = None
    description_key: str | None = None
    description: str | None = None
    kb_article_link: str | None = None
    can_user_fix: bool | None = None


class SynchronizationReport(Resource):
    """The findings of the connector in one file."""

    suggested_action: str | None = None
    message: str | None = None
    total_errors_count: int | None = None
    total_warnings_count: int | None = None
    total_other_issues_count: int | None = None


class TaskDetails(Resource):
    """Details of a task."""

    synchronization_report: SynchronizationReport | None = None


class Task(_Timed):
    """The processing of one file."""

    id: str | None = None
    retry_attempts: int | None = None
    storage_file_id: str | None = None
    source_file_id: str | None = None
    export_output_file_id: str | None = None
    state: str | None = None
    result: str | None = None
    error: TaskError | None = None
    details: TaskDetails | None = None

    @property
    def file_id(self) -> str | None:
        """The id of the file; the API has it in different fields for different kinds of connections."""
        return self.storage_file_id or self.source_file_id or self.export_output_file_id


class Job(_Timed):
    """The tasks of one connector."""

    id: str | None = None
    state: str | None = None
    result: str | None = None
    connector_type: str | None = None
    tasks: list[Task] | None = None


class RunError(Resource):
    """The error of a run, or of a connection."""

    error_key: str | None = None
    description: str | None = None


class RunSummary(_Timed):
    """The part of a run that a poll decodes."""

    id: str | None = None
    connection_id: str | None = None
    state: str | None = None
    result: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended; an unknown state has not."""
        return known_state(self.state) is ExecutionState.COMPLETED

    @property
    def ends_in_unknown_state(self) -> bool:
        """Whether the run has an end time and a final result, but an undocumented state."""
        if self.state is None or known_state(self.state) is not None:
            return False
        return known_result(self.result) not in (None, ExecutionResult.UNDETERMINED) and self.end_date_time is not None


class Run(_Timed):
    """One execution of a connection."""

    id: str | None = None
    connection_id: str | None = None
    phase: str | None = None
    state: str | None = None
    result: str | None = None
    error: RunError | None = None
    jobs: list[Job] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended; an unknown state has not."""
        return known_state(self.state) is ExecutionState.COMPLETED


class ConnectionLinks(Resource):
    """Links of a connection: its iModel, its iTwin, its newest run."""

    imodel: Link | None = None
    itwin: Link | None = None
    last_run: Link | None = None


class Connection(Resource):
    """A connection: the files that are synchronized into an iModel, or exported from one."""

    id: str | None = None
    display_name: str | None = None
    imodel_id: str | None = None
    itwin_id: str | None = None
    authentication_type: str | None = None
    error: RunError | None = None
    links: ConnectionLinks | None = None

    def __post_init__(self) -> None:
        # Ids become parts of URLs, assets and stored state; an invalid id counts as missing.
        self.imodel_id = known_id(self.imodel_id)
        self.itwin_id = known_id(self.itwin_id)
        self.authentication_type = excerpt(self.authentication_type, 40) if self.authentication_type else None

    def last_run(self, kind: ConnectionKind, connection_id: str | None = None) -> RunRef | None:
        """
        Return the newest run, None if there is none.

        :param kind: the kind of this connection
        :param connection_id: the id of this connection, as in the request
        """
        link = self.links.last_run if self.links else None
        return RunRef.from_link(link.href, kind, connection_id) if link else None


class SourceFileLinks(Resource):
    """Links of a source file."""

    file: Link | None = None


class SourceFile(Resource):
    """A file that a connection synchronizes."""

    id: str | None = None
    storage_file_id: str | None = None
    source_file_id: str | None = None
    connector_type: str | None = None
    last_known_file_name: str | None = None
    links: SourceFileLinks | None = None


class RunPage(Page):
    """One page of runs."""

    runs: list[Run] | None = None


class RunSummaryPage(Page):
    """One page of runs, of which only the summaries are decoded."""

    runs: list[RunSummary] | None = None


class SourceFilePage(Page):
    """One page of source files."""

    source_files: list[SourceFile] | None = None


class ConnectionPage(Page):
    """One page of connections."""

    connections: list[Connection] | None = None


class RunEnvelope(Resource):
    """The response to a request for a run."""

    run: Run


class RunSummaryEnvelope(Resource):
    """The response to a request for a run, of which only the summary is decoded."""

    run: RunSummary


class ConnectionEnvelope(Resource):
    """The response to a request for a connection."""

    connection: Connection


class SourceFileEnvelope(Resource):
    """The response to a request for a source file."""

    source_file: SourceFile
