"""Which request is which operation: the table of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_itwin.emulator import api_connections, api_context, api_runs, api_sourcefiles
from airflow_provider_itwin.emulator.answers import Answer
from airflow_provider_itwin.emulator.calls import Call
from airflow_provider_itwin.emulator.kinds import EXPORT, MANIFEST, STORAGE, KindTraits

Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API, under the id that its documentation gives it."""

    id: str
    method: str
    template: str
    handler: Handler
    traits: KindTraits | None = None
    api: str = "Synchronization"
    starts_run: bool = False
    any_version: bool = False
    """Whether the operation belongs to an API with versions of its own."""


def _of_kind(traits: KindTraits, start: Handler) -> list[Operation]:
    """Give the operations that there are for a kind of connection: nearly the same ones for each kind."""
    name = f"{traits.kind}-connection"
    one, runs, files = "/{connectionId}", "/{connectionId}/runs", "/{connectionId}/sourcefiles"
    file = f"{files}/{{sourceFileId}}"
    started = ("run-storage-connection", "/{connectionId}/run") if traits is STORAGE else (f"create-{name}-run", runs)
    table: list[tuple[str, str, str, Handler]] = [
        (f"create-{name}", "POST", "", api_connections.create_connection),
        (f"get-{name}s", "GET", "", api_connections.list_connections),
        (f"get-{name}", "GET", one, api_connections.get_connection),
        (f"delete-{name}", "DELETE", one, api_connections.delete_connection),
        (f"get-{name}-runs", "GET", runs, api_runs.list_runs),
        (f"get-{name}-run", "GET", f"{runs}/{{runId}}", api_runs.get_run),
        (started[0], "POST", started[1], start),
    ]
    if traits is not EXPORT:
        table += [
            (f"update-{name}", "PUT", one, api_connections.update_connection),
            (f"add-{name}-sourcefile", "POST", files, api_sourcefiles.add_source_file),
            (f"get-{name}-sourcefiles", "GET", files, api_sourcefiles.list_source_files),
            (f"get-{name}-sourcefile", "GET", file, api_sourcefiles.get_source_file),
            (f"update-{name}-sourcefile", "PUT", file, api_sourcefiles.update_source_file),
            (f"remove-{name}-sourcefile", "DELETE", file, api_sourcefiles.remove_source_file),
        ]
    api = "Export" if traits is EXPORT else "Synchronization"
    return [
        Operation(identifier, method, traits.root + path, handler, traits, api, starts_run=handler is start)
        for identifier, method, path, handler in table
    ]


OPERATIONS: tuple[Operation, ...] = (
    *_of_kind(STORAGE, api_runs.start_storage_run),
    *_of_kind(MANIFEST, api_runs.start_manifest_run),
    *_of_kind(EXPORT, api_runs.start_export_run),
    Operation("get-connections", "GET", "/synchronization/imodels/connections", api_connections.list_all_connections),
    Operation(
        "get-authorization-information",
        "GET",
        "/synchronization/imodels/connections/authorizationinformation",
        api_context.get_authorization_information,
    ),
    Operation(
        "get-export-authorization-information",
        "GET",
        "/export/authorizationinformation",
        api_context.get_authorization_information,
        EXPORT,
        "Export",
    ),
    Operation("get-imodel", "GET", "/imodels/{iModelId}", api_context.get_imodel, api="iModels", any_version=True),
    Operation("get-itwin", "GET", "/itwins/{iTwinId}", api_context.get_itwin, api="iTwins", any_version=True),
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
