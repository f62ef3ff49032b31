"""
The types of the JSON values that tasks store: references of runs, run reports, source files.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
"""A value that JSON can express."""

KindName: TypeAlias = Literal["storage", "manifest", "export"]
"""The kinds of connections, as a user writes them; see :class:`~airflow_provider_itwin.api.models.enums.ConnectionKind`."""


class RunRefDict(TypedDict):
    """
    The reference of a run, as in the XCom ``run_ref``.

    :param kind: kind of the connection
    :param connection_id: id of the connection
    :param run_id: id of the run
    """

    kind: KindName
    connection_id: str
    run_id: str


class TotalsDict(TypedDict):
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

    jobs: int
    jobs_by_result: dict[str, int]
    tasks: int
    tasks_by_result: dict[str, int]
    errors: int
    warnings: int
    other_issues: int


class RunErrorDict(TypedDict):
    """
    The error of the run itself, rather than of a file.

    :param key: key of the error, such as ``UserNotAuthenticated``
    :param description: description of the error
    """

    key: str | None
    description: str | None


class FailingTaskDict(TypedDict):
    """
    A file that failed, or has an error although its result is a success. A value is None if the service does not report it.

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

    file_id: str | None
    file_name: str | None
    connector: str | None
    result: str | None
    error_code: str | None
    message: str | None
    details: str | None
    description: str | None
    can_user_fix: bool | None
    kb_article_link: str | None


class ConnectorTotalsDict(TypedDict):
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


class JobSpanDict(TypedDict):
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


class TaskSpanDict(TypedDict):
    """
    Start and end of a file.

    :param job: index of the job
    :param result: result of the file
    :param start: seconds after the start of the timeline
    :param end: seconds after the start of the timeline
    """

    job: int
    result: str | None
    start: float
    end: float


class TimelineDict(TypedDict):
    """
    Start and end of the jobs and files of a run.

    :param length: seconds from start to end
    :param jobs: the first jobs, in the order of the run
    :param more_jobs: number of jobs that are left out
    :param tasks: the span of each file if there are few files, else empty
    :param finished: if there are many files: the number that ended in each of 24 equal time slices, by result; else None
    """

    length: float
    jobs: list[JobSpanDict]
    more_jobs: int
    tasks: list[TaskSpanDict]
    finished: dict[str, list[int]] | None


class RunReportDict(TypedDict):
    """
    The report of a run, as in the XCom ``run_report``.

    :param connection_name: name of the connection, None if it is unknown
    :param imodel_id: id of the iModel of the connection, None if it is unknown
    :param state: state of the run
    :param result: result of the run, as the service spells it
    :param phase: phase of the run
    :param started: start in ISO 8601, UTC; None if the service does not report it
    :param ended: end in ISO 8601, UTC; None if the service does not report it
    :param duration: seconds from start to end, None if either is unknown
    :param ref: the run
    :param summary: the result in one line
    :param totals: numbers of jobs, files and issues
    :param error: the error of the run itself, None if it has none
    :param failing_tasks: the most severe failing files
    :param more_failing_tasks: number of failing files that are left out
    :param output_files: ids of the first files that an export has written
    :param more_output_files: number of written files that are left out
    :param connectors: totals of each connector
    :param timeline: start and end of jobs and files; None if the service reports no times, or the report would be too large
    """

    connection_name: str | None
    imodel_id: str | None
    state: str | None
    result: str | None
    phase: str | None
    started: str | None
    ended: str | None
    duration: float | None
    ref: RunRefDict
    summary: str
    totals: TotalsDict
    error: RunErrorDict | None
    failing_tasks: list[FailingTaskDict]
    more_failing_tasks: int
    output_files: list[str]
    more_output_files: int
    connectors: list[ConnectorTotalsDict]
    timeline: TimelineDict | None


class EventRunDict(TypedDict):
    """
    The run in an asset event: a part of its report. All values but `ref` are None if the sending task did not wait for the run.

    :param ref: the run
    :param connection_name: name of the connection
    :param imodel_id: id of the iModel of the connection
    :param state: state of the run
    :param result: result of the run, as the service spells it
    :param started: start in ISO 8601, UTC
    :param ended: end in ISO 8601, UTC
    :param duration: seconds from start to end
    :param totals: numbers of jobs, files and issues
    :param error: the error of the run itself
    :param summary: the result in one line
    """

    ref: RunRefDict
    connection_name: str | None
    imodel_id: str | None
    state: str | None
    result: str | None
    started: str | None
    ended: str | None
    duration: float | None
    totals: TotalsDict | None
    error: RunErrorDict | None
    summary: str | None


class UploadTotalsDict(TypedDict):
    """
    Totals of an upload.

    :param created: files that were created
    :param updated: files whose content was replaced
    :param unchanged: files that had not changed
    :param failed: files that could not be uploaded
    :param not_tried: files that were not tried after an error that concerns all files
    :param gone: files in the folder that an earlier upload has brought and the source has no more
    :param connected: files that became source files of the connection
    :param bytes_sent: bytes that were sent
    :param seconds: duration
    """

    created: int
    updated: int
    unchanged: int
    failed: int
    not_tried: int
    gone: int
    connected: int
    bytes_sent: int
    seconds: float


class EventUploadDict(TypedDict):
    """
    The upload in an asset event.

    :param folder_id: id of the folder of iTwin Storage
    :param connection_id: id of the storage connection; None if the files were only uploaded
    :param totals: numbers of files and bytes
    """

    folder_id: str
    connection_id: str | None
    totals: UploadTotalsDict


class SourceFileDict(TypedDict):
    """
    A source file, as ``ITwinListSourceFilesOperator`` returns it. A value is None if the service does not report it.

    :param id: id of the source file
    :param file_id: id of the file in the tasks of a run
    :param name: last known name of the file
    :param connector_type: name of the connector
    """

    id: str | None
    file_id: str | None
    name: str | None
    connector_type: str | None


class NamedVersionDict(TypedDict):
    """
    The output of ``ITwinCreateNamedVersionOperator``.

    `created` is False if the named version existed, or if an earlier attempt whose response was lost has created it.
    """

    id: str
    name: str
    imodel_id: str
    changeset_id: str
    changeset_index: int | None
    created: bool


class UploadedFileDict(TypedDict):
    """
    One file of the output of ``ITwinUploadFilesOperator``.

    `outcome` is ``created``, ``updated`` or ``unchanged``; `path` is the path below the source.
    """

    id: str
    name: str
    path: str
    size: int
    sha256: str
    outcome: Literal["created", "updated", "unchanged"]


class DownloadedFileDict(TypedDict):
    """A downloaded file, as in an XCom."""

    file_id: str
    name: str | None
    path: str
    size: int
    sha256: str
