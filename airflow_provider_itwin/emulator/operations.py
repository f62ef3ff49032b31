"""Which request is which operation: the table of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_itwin.emulator import api_connections, api_runs
from airflow_provider_itwin.emulator.answers import Answer
from airflow_provider_itwin.emulator.calls import Call
from airflow_provider_itwin.emulator.kinds import EXPORT, MANIFEST, STORAGE, KindTraits


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API, under the id that its documentation gives it."""

    id: str
    method: str
    template: str
    handler: Callable[[Call], Answer]
    traits: KindTraits | None = None
    starts_run: bool = False


_C = "/{connectionId}"
_R = f"{_C}/runs"
_F = f"{_C}/sourcefiles"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get-connections", "GET", "/synchronization/imodels/connections", api_connections.list_all_connections),
    Operation("get-storage-connections", "GET", STORAGE.root, api_connections.list_connections, STORAGE),
    Operation("get-storage-connection", "GET", STORAGE.root + _C, api_connections.get_connection, STORAGE),
    Operation(
        "run-storage-connection",
        "POST",
        f"{STORAGE.root}{_C}/run",
        api_runs.start_storage_run,
        STORAGE,
        starts_run=True,
    ),
    Operation("get-storage-connection-runs", "GET", STORAGE.root + _R, api_runs.list_runs, STORAGE),
    Operation("get-storage-connection-run", "GET", f"{STORAGE.root}{_R}/{{runId}}", api_runs.get_run, STORAGE),
    Operation(
        "get-storage-connection-sourcefiles", "GET", STORAGE.root + _F, api_connections.list_source_files, STORAGE
    ),
    Operation(
        "get-storage-connection-sourcefile",
        "GET",
        f"{STORAGE.root}{_F}/{{sourceFileId}}",
        api_connections.get_source_file,
        STORAGE,
    ),
    Operation("get-manifest-connections", "GET", MANIFEST.root, api_connections.list_connections, MANIFEST),
    Operation("get-manifest-connection", "GET", MANIFEST.root + _C, api_connections.get_connection, MANIFEST),
    Operation(
        "create-manifest-connection-run",
        "POST",
        MANIFEST.root + _R,
        api_runs.start_manifest_run,
        MANIFEST,
        starts_run=True,
    ),
    Operation("get-manifest-connection-runs", "GET", MANIFEST.root + _R, api_runs.list_runs, MANIFEST),
    Operation("get-manifest-connection-run", "GET", f"{MANIFEST.root}{_R}/{{runId}}", api_runs.get_run, MANIFEST),
    Operation(
        "get-manifest-connection-sourcefiles", "GET", MANIFEST.root + _F, api_connections.list_source_files, MANIFEST
    ),
    Operation(
        "get-manifest-connection-sourcefile",
        "GET",
        f"{MANIFEST.root}{_F}/{{sourceFileId}}",
        api_connections.get_source_file,
        MANIFEST,
    ),
    Operation("get-export-connections", "GET", EXPORT.root, api_connections.list_connections, EXPORT),
    Operation("get-export-connection", "GET", EXPORT.root + _C, api_connections.get_connection, EXPORT),
    Operation(
        "create-export-connection-run", "POST", EXPORT.root + _R, api_runs.start_export_run, EXPORT, starts_run=True
    ),
    Operation("get-export-connection-runs", "GET", EXPORT.root + _R, api_runs.list_runs, EXPORT),
    Operation("get-export-connection-run", "GET", f"{EXPORT.root}{_R}/{{runId}}", api_runs.get_run, EXPORT),
)


def _segments(template: str) -> tuple[str, ...]:
    return tuple(template.strip("/").split("/"))


class Router:
    """Finds the operation for a path, whatever the case of its fixed parts and with or without a slash at its end."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._table: dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]] = {}
        for operation in operations:
            segments = _segments(operation.template)
            self._table.setdefault((operation.method, len(segments)), []).append((segments, operation))

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[Operation, dict[str, str]] | None:
        """Give the operation and the values of the variable parts of its path."""
        for template, operation in self._table.get((method, len(segments)), ()):
            params: dict[str, str] = {}
            for part, segment in zip(template, segments, strict=True):
                if part.startswith("{"):
                    params[part[1:-1]] = segment
                elif part != segment.lower():
                    break
            else:
                return operation, params
        return None


ROUTER = Router(OPERATIONS)
