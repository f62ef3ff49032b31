"""The endpoints of the API: one function for each documented operation, which returns the :class:`Call` to perform."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Response, server_time
from airflow_provider_itwin.api.models.resources import (
    Connection,
    ConnectionEnvelope,
    ConnectionKind,
    ConnectionPage,
    Run,
    RunEnvelope,
    RunPage,
    RunSummary,
    RunSummaryEnvelope,
    RunSummaryPage,
    SourceFile,
    SourceFileEnvelope,
    SourceFilePage,
    checked_id,
    decoded,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.request_body import plain_body

T = TypeVar("T")
P = TypeVar("P", RunPage, RunSummaryPage)

MOST_CACHED = 16_384
"""Runs for which the call of a poll is cached, at most."""

_ALL_PROPERTIES = {"prefer": "return=representation"}


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """
    The response to a request for a run.

    :param created: whether a run was started: the status was 202, not 303
    :param location: the link in the response
    :param found: a run that was found before the request was retried
    """

    created: bool
    location: str | None = None
    found: RunRef | None = None


@dataclass(frozen=True, slots=True)
class _Operations:
    """Paths and names of the operations of one kind of connection."""

    path: str
    start: str
    start_operation: str
    name: str
    prefers: bool


_KINDS = {
    ConnectionKind.STORAGE: _Operations(
        "/synchronization/imodels/storageconnections", "run", "run-storage-connection", "storage-connection", True
    ),
    ConnectionKind.MANIFEST: _Operations(
        "/synchronization/imodels/manifestconnections",
        "runs",
        "create-manifest-connection-run",
        "manifest-connection",
        True,
    ),
    ConnectionKind.EXPORT: _Operations(
        "/export/connections", "runs", "create-export-connection-run", "export-connection", False
    ),
}


def _path(kind: ConnectionKind, *segments: str) -> str:
    return "/".join([_KINDS[kind].path, *(quote(segment, safe="") for segment in segments)])


def start_run(kind: ConnectionKind, connection_id: str, body: Mapping[str, object] | None = None) -> Call[StartAnswer]:
    """``run-storage-connection``, ``create-manifest-connection-run``, ``create-export-connection-run``."""
    operations = _KINDS[kind]
    return Call(
        operation=operations.start_operation,
        method="POST",
        path=_path(kind, checked_id(connection_id, "connection_id"), operations.start),
        read=_start_answer,
        headers={} if body is None else {"content-type": "application/json"},
        body=None if body is None else msgspec.json.encode(plain_body(body)),
        accepts=frozenset({200, 201, 202, 303}),
        conflict_passes=True,
    )


def _start_answer(response: Response) -> StartAnswer:
    location = response.headers.get("location")
    if location is None and response.status not in (202, 303):
        # Proxies and sign-in pages respond like this. A retry is safe: if a run was started, the response is 303.
        raise ITwinProtocolError(f"The response {response.status} does not confirm that a run was started")
    return StartAnswer(response.status != 303, location)


def get_run(kind: ConnectionKind, connection_id: str, run_id: str) -> Call[Run]:
    """``get-storage-connection-run`` and its two siblings."""

    def read(response: Response) -> Run:
        run = decoded(response.body, RunEnvelope).run
        _check_run(run, connection_id, run_id)
        return run

    return _get_run(kind, connection_id, run_id, read)


@lru_cache(maxsize=MOST_CACHED)
def get_run_summary(kind: ConnectionKind, connection_id: str, run_id: str) -> Call[tuple[RunSummary, Run | None]]:
    """Return the call of :func:`get_run` that decodes only the summary of a run, and the whole run once it has finished."""
    return _get_run(kind, connection_id, run_id, lambda response: _run_summary(response, connection_id, run_id))


def _run_summary(response: Response, connection_id: str, run_id: str) -> tuple[RunSummary, Run | None]:
    summary = decoded(response.body, RunSummaryEnvelope).run
    _check_run(summary, connection_id, run_id)
    if summary.state is None:
        # Treating a missing state as running would poll forever.
        raise ITwinProtocolError("The response is a run without a state")
    return summary, decoded(response.body, RunEnvelope).run if summary.is_finished else None


def _get_run(kind: ConnectionKind, connection_id: str, run_id: str, read: Callable[[Response], T]) -> Call[T]:
    path = _path(kind, checked_id(connection_id, "connection_id"), "runs", checked_id(run_id, "run_id"))
    return Call(f"get-{_KINDS[kind].name}-run", "GET", path, read)


def get_runs(kind: ConnectionKind, connection_id: str, top: int, skip: int) -> Call[RunPage]:
    """``get-storage-connection-runs`` and its two siblings, with all properties of each run."""
    return Call(
        operation=f"get-{_KINDS[kind].name}-runs",
        method="GET",
        path=_path(kind, checked_id(connection_id, "connection_id"), "runs"),
        read=lambda response: check_runs(decoded(response.body, RunPage), connection_id),
        query=_page(top, skip),
        headers=_ALL_PROPERTIES if _KINDS[kind].prefers else {},
    )


def get_source_files(kind: ConnectionKind, connection_id: str, top: int, skip: int) -> Call[SourceFilePage]:
    """
    ``get-storage-connection-sourcefiles``, ``get-manifest-connection-sourcefiles``, with all properties of each file.

    :raises ValueError: for an export connection, which has no source files
    """
    if not _KINDS[kind].prefers:
        raise ITwinInputError("An export connection has no source files")
    return Call(
        operation=f"get-{_KINDS[kind].name}-sourcefiles",
        method="GET",
        path=_path(kind, checked_id(connection_id, "connection_id"), "sourcefiles"),
        read=lambda response: decoded(response.body, SourceFilePage),
        query=_page(top, skip),
        headers=_ALL_PROPERTIES,
    )


def add_source_file(connection_id: str, file_id: str, connector_type: str) -> Call[SourceFile]:
    """``add-storage-connection-sourcefile``."""
    return Call(
        "add-storage-connection-sourcefile",
        "POST",
        _path(ConnectionKind.STORAGE, checked_id(connection_id, "connection_id"), "sourcefiles"),
        lambda response: decoded(response.body, SourceFileEnvelope).source_file,
        headers={"content-type": "application/json"},
        body=msgspec.json.encode({"storageFileId": checked_id(file_id, "file_id"), "connectorType": connector_type}),
        accepts=frozenset({200, 201}),
    )


def remove_source_file(connection_id: str, source_file_id: str) -> Call[None]:
    """``remove-storage-connection-sourcefile``."""
    segments = (checked_id(connection_id, "connection_id"), "sourcefiles", checked_id(source_file_id, "source_file_id"))
    return Call(
        "remove-storage-connection-sourcefile",
        "DELETE",
        _path(ConnectionKind.STORAGE, *segments),
        lambda response: None,
        accepts=frozenset({200, 202, 204}),
    )


def create_storage_connection(
    imodel_id: str,
    files: Mapping[str, str],
    display_name: str | None = None,
    authentication_type: str | None = "Service",
) -> Call[Connection]:
    """``create-storage-connection``; `files` has the connector of each file, by the file's id."""
    body: dict[str, Any] = {
        "iModelId": checked_id(imodel_id, "imodel_id"),
        "sourceFiles": [
            {"storageFileId": checked_id(file_id, "file_id"), "connectorType": connector}
            for file_id, connector in files.items()
        ],
    }
    body |= {"displayName": display_name} if display_name else {}
    body |= {"authenticationType": authentication_type} if authentication_type else {}
    return Call(
        "create-storage-connection",
        "POST",
        _path(ConnectionKind.STORAGE),
        lambda response: decoded(response.body, ConnectionEnvelope).connection,
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
        accepts=frozenset({200, 201}),
    )


def get_connection(kind: ConnectionKind, connection_id: str) -> Call[Connection]:
    """``get-storage-connection`` and its two siblings."""

    def read(response: Response) -> Connection:
        connection = decoded(response.body, ConnectionEnvelope).connection
        _check_id("connection", connection.id, connection_id)
        return connection

    return Call(
        operation=f"get-{_KINDS[kind].name}",
        method="GET",
        path=_path(kind, checked_id(connection_id, "connection_id")),
        read=read,
    )


def get_connection_with_time(kind: ConnectionKind, connection_id: str) -> Call[tuple[Connection, datetime | None]]:
    """Return the call of :func:`get_connection` that also returns the time of the response by the service's clock."""
    call = get_connection(kind, connection_id)
    return replace(call, read=lambda response: (call.read(response), server_time(response)))  # type: ignore[arg-type, return-value]


def get_connections(kind: ConnectionKind, imodel_id: str | None, top: int, skip: int) -> Call[ConnectionPage]:
    """``get-storage-connections`` and its two siblings, with all properties; `imodel_id` may be None for storage only."""
    query = _page(top, skip)
    if imodel_id is not None:
        query = (("imodelId", checked_id(imodel_id, "imodel_id")), *query)
    return Call(
        operation=f"get-{_KINDS[kind].name}s",
        method="GET",
        path=_path(kind),
        read=lambda response: _check_connections(decoded(response.body, ConnectionPage), imodel_id),
        query=query,
        headers=_ALL_PROPERTIES if _KINDS[kind].prefers else {},
    )


def _check_run(run: Run | RunSummary, connection_id: str, run_id: str) -> None:
    _check_id("run", run.id, run_id)
    _check_id("connection", run.connection_id, connection_id)


def check_runs(page: P, connection_id: str) -> P:
    """
    Return `page` if all of its runs belong to the requested connection.

    :raises ITwinProtocolError: if a run belongs to another connection
    """
    for run in page.runs or ():
        _check_id("connection", run.connection_id, connection_id)
    return page


def _check_connections(page: ConnectionPage, imodel_id: str | None) -> ConnectionPage:
    if imodel_id is not None:
        for connection in page.connections or ():
            _check_id("iModel", connection.imodel_id, imodel_id)
    return page


def _check_id(resource: str, returned: str | None, requested: str) -> None:
    """
    Check that the id in a response, if there is one, is the requested one.

    The service writes some ids in two forms, as a GUID or in base64. Ids of different forms cannot be compared.

    :raises ITwinProtocolError: if it is another id
    """
    if not returned or returned.lower() == requested.lower() or _is_guid(returned) != _is_guid(requested):
        return
    raise ITwinProtocolError(
        f"The response is about {resource} {returned!r:.100}, but {resource} {requested!r} was requested"
    )


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


def _page(top: int, skip: int) -> tuple[tuple[str, str], ...]:
    return (("$top", str(top)), ("$skip", str(skip)))
