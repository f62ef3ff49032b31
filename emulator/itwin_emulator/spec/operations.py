"""
Which request is which operation: the table of the API.

Requests are recognized by it, faults name its operations, and the emulator's description of itself (``/openapi.json``) is
made from it. Its ids and titles are those of the documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from itwin_emulator.api import connections, context, runs, source_files
from itwin_emulator.domain.kinds import EXPORT, MANIFEST, STORAGE, KindTraits
from itwin_emulator.http.errors import Answer
from itwin_emulator.http.request import Call

Handler = Callable[[Call], Answer]

SYNCHRONIZATION = "Synchronization"
EXPORT_API = "Export"
IDENTITY = "Identity"
PAGED = ("$top", "$skip")
IMODEL_PAGED = ("imodelId", *PAGED)
"""Query parameters of the lists; one with an asterisk at its end is required."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API, under the id that its documentation gives it."""

    id: str
    method: str
    template: str
    handler: Handler | None
    """None for an operation of the identity service, which comes before there is a token."""
    traits: KindTraits | None = None
    api: str = SYNCHRONIZATION
    any_version: bool = False
    """Whether the operation belongs to an API with versions of its own."""
    status: int = 200
    """The status of success; 202 means that it starts a run."""
    answer: tuple[str, ...] = ()
    """Names of the shapes that the body of the answer can have; with two of them, ``Prefer`` chooses the second."""
    body: str | None = None
    """Name of the shape of the request's body; a form if the operation is one of the identity service."""
    query: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    """Statuses of failure, besides those that any operation has (401, 406, 429)."""

    @property
    def starts_run(self) -> bool:
        """Whether it starts a run."""
        return self.status == 202


def _of_kind(traits: KindTraits, start: Handler) -> list[Operation]:
    """Give the operations that there are for a kind of connection: nearly the same ones for each kind."""
    kind, export = traits.kind, traits is EXPORT
    name = f"{kind}-connection"
    # Only the pages of the Export API still promise a 403 to those who merely look.
    looking = (403, 404, 422) if export else (404, 422)
    one, run, file = "/{connectionId}", "/{connectionId}/runs/{runId}", "/{connectionId}/sourcefiles/{sourceFileId}"
    runs_path, files = one + "/runs", one + "/sourcefiles"
    start_id, start_path = (f"run-{name}", one + "/run") if traits is STORAGE else (f"create-{name}-run", runs_path)
    connection, file_answer = ("connection-answer",), (f"{kind}-sourcefile-answer",)
    lists = ("connections-page",) if export else ("connections-summary-page", "connections-page")
    runs_lists = ("export-runs-page",) if export else ("runs-summary-page", f"{kind}-runs-page")
    # The pages ask for the iModel, except that of the storage connections.
    of_imodel = IMODEL_PAGED if traits is STORAGE else ("imodelId*", *PAGED)

    def operation(
        identifier: str,
        method: str,
        path: str,
        handler: Handler,
        refusals: tuple[int, ...],
        answer: tuple[str, ...] = (),
        *,
        status: int = 200,
        body: str | None = None,
        query: tuple[str, ...] = (),
    ) -> Operation:
        return Operation(
            id=identifier,
            method=method,
            template=traits.root + path,
            handler=handler,
            traits=traits,
            api=EXPORT_API if export else SYNCHRONIZATION,
            status=status,
            answer=answer,
            body=body,
            query=query,
            refusals=refusals,
        )

    table = [
        operation(
            f"create-{name}",
            "POST",
            "",
            connections.create_connection,
            (422,) if export else (409, 422),
            connection,
            status=201,
            body=f"create-{kind}-connection",
        ),
        operation(
            f"get-{name}s",
            "GET",
            "",
            connections.list_connections,
            looking if export else (422,),
            lists,
            query=of_imodel,
        ),
        operation(f"get-{name}", "GET", one, connections.get_connection, looking, connection),
        operation(
            f"delete-{name}",
            "DELETE",
            one,
            connections.delete_connection,
            (403, 404, 409, 422) if export else (403, 404, 422),
            status=204,
        ),
        operation(f"get-{name}-runs", "GET", runs_path, runs.list_runs, looking, runs_lists, query=PAGED),
        operation(f"get-{name}-run", "GET", run, runs.get_run, looking, (f"{kind}-run-answer",)),
        operation(
            start_id,
            "POST",
            start_path,
            start,
            (403, 404, 409, 422),
            status=202,
            body=None if traits is STORAGE else f"create-{kind}-run",
        ),
    ]
    if export:
        return table
    file_lists: tuple[str, ...] = (f"{kind}-sourcefiles-page",)
    if traits is STORAGE:
        file_lists = ("storage-sourcefiles-summary-page", *file_lists)
    return [
        *table,
        operation(
            f"update-{name}",
            "PUT",
            one,
            connections.update_connection,
            (403, 404, 422),
            connection,
            body="update-connection",
        ),
        operation(
            f"add-{name}-sourcefile",
            "POST",
            files,
            source_files.add_source_file,
            (403, 404, 409, 422),
            file_answer,
            status=201,
            body=f"{kind}-sourcefile-body",
        ),
        operation(
            f"get-{name}-sourcefiles", "GET", files, source_files.list_source_files, looking, file_lists, query=PAGED
        ),
        operation(f"get-{name}-sourcefile", "GET", file, source_files.get_source_file, looking, file_answer),
        operation(
            f"update-{name}-sourcefile",
            "PUT",
            file,
            source_files.update_source_file,
            (403, 404, 409, 422),
            file_answer,
            body=f"{kind}-sourcefile-body",
        ),
        operation(
            f"remove-{name}-sourcefile",
            "DELETE",
            file,
            source_files.remove_source_file,
            (403, 404, 422),
            status=204,
        ),
    ]


OPERATIONS: tuple[Operation, ...] = (
    *_of_kind(STORAGE, runs.start_storage_run),
    *_of_kind(MANIFEST, runs.start_manifest_run),
    *_of_kind(EXPORT, runs.start_export_run),
    Operation(
        "get-connections",
        "GET",
        "/synchronization/imodels/connections",
        connections.list_all_connections,
        answer=("connections-summary-page", "connections-page"),
        query=("imodelId*", *PAGED),
        refusals=(422,),
    ),
    Operation(
        "get-authorization-information",
        "GET",
        "/synchronization/imodels/connections/authorizationinformation",
        context.get_authorization_information,
        answer=("authorization-information-answer",),
        query=("redirectUrl",),
        refusals=(422,),
    ),
    Operation(
        "get-export-authorization-information",
        "GET",
        "/export/authorizationinformation",
        context.get_authorization_information,
        EXPORT,
        EXPORT_API,
        answer=("authorization-information-answer",),
        query=("redirectUrl",),
        refusals=(422,),
    ),
    Operation(
        "get-imodel",
        "GET",
        "/imodels/{iModelId}",
        context.get_imodel,
        api="iModels",
        any_version=True,
        answer=("imodel-answer",),
        refusals=(404,),
    ),
    Operation(
        "get-itwin",
        "GET",
        "/itwins/{iTwinId}",
        context.get_itwin,
        api="iTwins",
        any_version=True,
        answer=("itwin-answer",),
        refusals=(404,),
    ),
    Operation(
        "token",
        "POST",
        "/connect/token",
        None,
        api=IDENTITY,
        answer=("token-answer",),
        body="token-form",
        refusals=(400, 401),
    ),
    Operation(
        "discovery", "GET", "/.well-known/openid-configuration", None, api=IDENTITY, answer=("discovery-answer",)
    ),
    Operation("jwks", "GET", "/.well-known/openid-configuration/jwks", None, api=IDENTITY, answer=("jwks-answer",)),
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
