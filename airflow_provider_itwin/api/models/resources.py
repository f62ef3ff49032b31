"""
Resources of the iTwin Platform: runs, their jobs and tasks, connections, source files.

A missing field is None, an unknown one is ignored, and one of an unexpected type counts as missing, so that the other fields stay
readable: the service may add fields and values at any time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

import msgspec

from airflow_provider_itwin.api.models.decoding import decoded
from airflow_provider_itwin.api.models.enums import (
    ConnectionKind,
    ExecutionResult,
    ExecutionState,
    known_result,
    known_state,
)
from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import (
    checked_id,
    known_id,
    no_xcom,
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

_SPECIAL_NAMES = {
    "imodel_id": "iModelId",
    "itwin_id": "iTwinId",
    "links": "_links",
    "itwin": "iTwin",
    "imodel": "iModel",
}


def _api_name(name: str) -> str:
    first, *others = name.split("_")
    return _SPECIAL_NAMES.get(name) or first + "".join(part.capitalize() for part in others)


class _Resource(msgspec.Struct, rename=_api_name, kw_only=True, omit_defaults=True, gc=False):
    """
    Base of all resources.

    Resources form no cycles, so the garbage collector does not track them: a large run has hundreds of thousands.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values: nested resources as objects, unknown values as None."""
        return {name: _json_value(getattr(self, name)) for name in self.__struct_fields__}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)


def _json_value(value: Any) -> Any:
    if isinstance(value, _Resource):
        return value.as_dict()
    return [_json_value(entry) for entry in value] if isinstance(value, list) else value


class _Timed(_Resource):
    """A resource with a start and an end."""

    start_text: str | None = msgspec.field(default=None, name="startDateTime")
    end_text: str | None = msgspec.field(default=None, name="endDateTime")

    def as_dict(self) -> dict[str, Any]:
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


class Link(_Resource):
    """A hyperlink to another resource."""

    href: str | None = None


class TaskError(_Resource):
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


class SynchronizationReport(_Resource):
    """The findings of the connector in one file."""

    suggested_action: str | None = None
    message: str | None = None
    total_errors_count: int | None = None
    total_warnings_count: int | None = None
    total_other_issues_count: int | None = None


class TaskDetails(_Resource):
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


class RunError(_Resource):
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


class ConnectionLinks(_Resource):
    """Links of a connection: its iModel, its iTwin, its newest run."""

    imodel: Link | None = None
    itwin: Link | None = None
    last_run: Link | None = None


class Connection(_Resource):
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


class SourceFileLinks(_Resource):
    """Links of a source file."""

    file: Link | None = None


class SourceFile(_Resource):
    """A file that a connection synchronizes."""

    id: str | None = None
    storage_file_id: str | None = None
    source_file_id: str | None = None
    connector_type: str | None = None
    last_known_file_name: str | None = None
    links: SourceFileLinks | None = None


class PageLinks(_Resource):
    """Links to other pages; only their presence is used, never their addresses."""

    next: Link | None = None


class _Page(_Resource):
    links: PageLinks | None = None

    def __post_init__(self) -> None:
        # Treating any other object as an empty page would end the list early.
        if not any(getattr(self, name) is not None for name in self.__struct_fields__):
            raise ValueError("no page")


class RunPage(_Page):
    """One page of runs."""

    runs: list[Run] | None = None


class RunSummaryPage(_Page):
    """One page of runs, of which only the summaries are decoded."""

    runs: list[RunSummary] | None = None


class SourceFilePage(_Page):
    """One page of source files."""

    source_files: list[SourceFile] | None = None


class ConnectionPage(_Page):
    """One page of connections."""

    connections: list[Connection] | None = None


class RunEnvelope(_Resource):
    """The response to a request for a run."""

    run: Run


class RunSummaryEnvelope(_Resource):
    """The response to a request for a run, of which only the summary is decoded."""

    run: RunSummary


class ConnectionEnvelope(_Resource):
    """The response to a request for a connection."""

    connection: Connection
