"""The source files of a storage connection: adds files of iTwin Storage to it, and removes those that are gone."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import SourceFile
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.pagination import source_file_pages

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectedFiles:
    """
    What came of adding files to a connection.

    :param added: ids of the files that are source files now
    :param known: ids of those that were before
    :param conflicting: ids of those that the service refused, since another connection of the iModel has them
    :param gone: ids of the source files whose file is gone, as source file and as file
    """

    added: list[str]
    known: list[str]
    conflicting: list[str]
    gone: list[tuple[str, str]]


def connect_files(
    account: Account, connection_id: str, connectors: Mapping[str, str], gone: Collection[str], retry_budget: float
) -> Flow[ConnectedFiles]:
    """
    Make files of iTwin Storage source files of a connection; existing source files stay as they are.

    :param connection_id: id of the storage connection
    :param connectors: the connector of each file, by the file's id
    :param gone: ids of files that are gone
    """
    mapped: dict[str, SourceFile] = {}
    pages = source_file_pages(ConnectionKind.STORAGE, connection_id)
    while not pages.is_done:
        for entry in (yield from pages.next_page(account)):
            if entry.storage_file_id in connectors or entry.storage_file_id in gone:
                mapped[entry.storage_file_id or ""] = entry
    result = ConnectedFiles([], [file_id for file_id in connectors if file_id in mapped], [], [])
    for file_id, connector in connectors.items():
        if file_id in mapped:
            continue
        call = endpoints.add_source_file(connection_id, file_id, connector)
        try:
            yield from perform_call(account, call, retry_budget)
        except ITwinConflictError as error:
            # Also after a lost response to the first attempt.
            is_ours = yield from _has_file(account, connection_id, file_id)
            if not is_ours:
                log.warning("The file %s was not added to connection %s: %s", file_id, connection_id, error)
                result.conflicting.append(file_id)
                continue
        result.added.append(file_id)
    for file_id, source_file in mapped.items():
        if file_id in gone and (source_file_id := known_id(source_file.id)):
            result.gone.append((source_file_id, file_id))
    return result


def disconnect_files(
    account: Account, connection_id: str, source_file_ids: Collection[str], retry_budget: float
) -> Flow[None]:
    """Remove source files from a connection; the files stay in iTwin Storage."""
    for source_file_id in source_file_ids:
        try:
            yield from perform_call(account, endpoints.remove_source_file(connection_id, source_file_id), retry_budget)
        except ITwinNotFoundError as error:
            log.info("The source file %s is already removed: %s", source_file_id, error)


def _has_file(account: Account, connection_id: str, file_id: str) -> Flow[bool]:
    pages = source_file_pages(ConnectionKind.STORAGE, connection_id)
    while not pages.is_done:
        for entry in (yield from pages.next_page(account)):
            if entry.storage_file_id == file_id:
                return True
    return False
