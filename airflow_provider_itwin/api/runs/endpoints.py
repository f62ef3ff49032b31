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
    SourceFilePage,
    checked_id,
    decoded,
)
from airflow_provider_itwin.api.runs.request_body import plain_body

T = TypeVar("T")
P = TypeVar("P", RunPage, RunSummaryPage)

MOST_WATCHED = 16_384
"""Runs of which what each poll needs is cached."""

PAGE_SIZE = 100
"""Entries of one page; every age of the API has taken this many."""

_EVERYTHING = {"prefer": "return=representation"}


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """
    What the service answered to the wish to start a run.

    :param created: whether it was 202, not 303
    :param location: the link that came with it
    :param in_doubt: whether an earlier request for the same run may have been carried out
    """

    created: bool
    location: str | None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class _Words:
    """How the operations of one kind of connection are spelt."""

    path: str
    start: str
    start_operation: str
    name: str
    prefers: bool


_KINDS = {
    ConnectionKind.STORAGE: _Words(
        "/synchronization/imodels/storageconnections", "run", "run-storage-connection", "storage-connection", True
    ),
    ConnectionKind.MANIFEST: _Words(
        "/synchronization/imodels/manifestconnections",
        "runs",
        "create-manifest-connection-run",
        "manifest-connection",
        True,
    ),
    ConnectionKind.EXPORT: _Words(
        "/export/connections", "runs", "create-export-connection-run", "export-connection", False
    ),
}


def _path(kind: ConnectionKind, *segments: str) -> str:
    return "/".join([_KINDS[kind].path, *(quote(segment, safe="") for segment in segments)])


def start_run(kind: ConnectionKind, connection_id: str, body: Mapping[str, Any] | None = None) -> Call[StartAnswer]:
    """``run-storage-connection``, ``create-manifest-connection-run``, ``create-export-connection-run``."""
    words = _KINDS[kind]
    return Call(
        operation=words.start_operation,
        method="POST",
        path=_path(kind, checked_id(connection_id, "connection_id"), words.start),
        read=_start_answer,
        headers={} if body is None else {"content-type": "application/json"},
        body=None if body is None else msgspec.json.encode(plain_body(body)),
        accepts=frozenset({200, 201, 202, 303}),
        conflict_passes=True,
    )


def _start_answer(response: Response) -> StartAnswer:
    location = response.headers.get("location")
    if location is None and response.status not in (202, 303):
        # So answers what stands in between: a proxy, a page to sign in. Asking again is safe, since a run that had been started
        # after all is answered with 303.
        raise ITwinProtocolError(f"The answer {response.status} does not say that a run was started")
    return StartAnswer(response.status != 303, location, response.in_doubt)


def get_run(kind: ConnectionKind, connection_id: str, run_id: str) -> Call[Run]:
    """``get-storage-connection-run`` and its two siblings."""

    def read(response: Response) -> Run:
        run = decoded(response.body, RunEnvelope).run
        _check_run(run, connection_id, run_id)
        return run

    return _get_run(kind, connection_id, run_id, read)


@lru_cache(maxsize=MOST_WATCHED)
def get_run_summary(kind: ConnectionKind, connection_id: str, run_id: str) -> Call[tuple[RunSummary, Run | None]]:
    """Give the same operation as :func:`get_run`, read no further than a poll needs until the run has ended, and then whole."""
    return _get_run(kind, connection_id, run_id, lambda response: _run_summary(response, connection_id, run_id))


def _run_summary(response: Response, connection_id: str, run_id: str) -> tuple[RunSummary, Run | None]:
    summary = decoded(response.body, RunSummaryEnvelope).run
    _check_run(summary, connection_id, run_id)
    if summary.state is None:
        # Taken for a run that goes on, it would be waited for without an end.
        raise ITwinProtocolError("The answer is a run, but does not tell its state")
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
        headers=_EVERYTHING if _KINDS[kind].prefers else {},
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
        headers=_EVERYTHING,
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
    """Give the same operation as :func:`get_connection`, together with the moment of the answer by the service's clock."""
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
        headers=_EVERYTHING if _KINDS[kind].prefers else {},
    )


def _check_run(run: Run | RunSummary, connection_id: str, run_id: str) -> None:
    _check_id("run", run.id, run_id)
    _check_id("connection", run.connection_id, connection_id)


def check_runs(page: P, connection_id: str) -> P:
    """
    Return `page` if all of its runs are of the connection that was asked for.

    :raises ITwinProtocolError: if one is of another connection
    """
    for run in page.runs or ():
        _check_id("connection", run.connection_id, connection_id)
    return page


def _check_connections(page: ConnectionPage, imodel_id: str | None) -> ConnectionPage:
    if imodel_id is not None:
        for connection in page.connections or ():
            _check_id("iModel", connection.imodel_id, imodel_id)
    return page


def _check_id(what: str, named: str | None, asked: str) -> None:
    """
    Check that an answer is about what was asked for, as far as it says.

    The service writes some ids in two forms, as a GUID or in base64; two forms cannot be compared.

    :raises ITwinProtocolError: if it is about something else
    """
    if not named or named.lower() == asked.lower() or _is_guid(named) != _is_guid(asked):
        return
    raise ITwinProtocolError(
        f"The answer is about {what} {named!r:.100}, not about {what} {asked!r}, which was asked for"
    )


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


def _page(top: int, skip: int) -> tuple[tuple[str, str], ...]:
    return (("$top", str(top)), ("$skip", str(skip)))
