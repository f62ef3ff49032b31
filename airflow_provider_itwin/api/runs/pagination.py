"""The lists of runs, source files and connections, page by page."""

from __future__ import annotations

from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.models.resources import (
    Connection,
    ConnectionKind,
    Run,
    SourceFile,
)
from airflow_provider_itwin.api.runs import endpoints


def run_pages(kind: ConnectionKind, connection_id: str) -> Pages[Run]:
    """Return the pages of the runs of a connection."""
    return Pages(
        lambda top, skip: endpoints.get_runs(kind, connection_id, top, skip), lambda page: (page.runs, page.links)
    )


def source_file_pages(kind: ConnectionKind, connection_id: str) -> Pages[SourceFile]:
    """Return the pages of the source files of a connection."""
    return Pages(
        lambda top, skip: endpoints.get_source_files(kind, connection_id, top, skip),
        lambda page: (page.source_files, page.links),
    )


def connection_pages(kind: ConnectionKind, imodel_id: str | None) -> Pages[Connection]:
    """Return the pages of the connections of an iModel."""
    return Pages(
        lambda top, skip: endpoints.get_connections(kind, imodel_id, top, skip),
        lambda page: (page.connections, page.links),
    )
