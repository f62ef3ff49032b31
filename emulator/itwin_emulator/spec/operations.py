"""
The table of operations.

The router finds requests in it, faults name its operations, and ``/openapi.json`` is generated from it. Ids and titles are
those of the documentation.
"""

from __future__ import annotations

from itwin_emulator.api import authorization, connections, runs, source_files
from itwin_emulator.domain.kinds import EXPORT, MANIFEST, STORAGE, KindTraits
from itwin_emulator.spec.changed_elements_operations import CHANGED_ELEMENTS_OPERATIONS
from itwin_emulator.spec.extractions_operations import EXTRACTIONS_OPERATIONS
from itwin_emulator.spec.imodels_operations import IMODELS_OPERATIONS
from itwin_emulator.spec.itwins_operations import ITWINS_OPERATIONS
from itwin_emulator.spec.operation import EXPORT_API, IDENTITY, IMODEL_PAGED, PAGED, SYNCHRONIZATION, Handler, Operation
from itwin_emulator.spec.reality_operations import REALITY_OPERATIONS
from itwin_emulator.spec.storage_operations import STORAGE_OPERATIONS
from itwin_emulator.spec.transformations_operations import TRANSFORMATIONS_OPERATIONS

__all__ = ["IDENTITY", "OPERATIONS", "Handler", "Operation"]


def _operation(
    traits: KindTraits,
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...],
    response: tuple[str, ...] = (),
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
) -> Operation:
    """Return an operation of a kind of connection; ``path`` is relative to the collection of connections."""
    return Operation(
        id=identifier,
        method=method,
        template=traits.root + path,
        handler=handler,
        traits=traits,
        api=EXPORT_API if traits is EXPORT else SYNCHRONIZATION,
        status=status,
        response=response,
        body=body,
        query=query,
        errors=errors,
    )


def _read_errors(traits: KindTraits) -> tuple[int, ...]:
    # Only the Export API documents a 403 for reading.
    return (403, 404, 422) if traits is EXPORT else (404, 422)


def _connection_operations(traits: KindTraits) -> list[Operation]:
    export, name, reading = traits is EXPORT, f"{traits.kind}-connection", _read_errors(traits)
    lists = ("connections-page",) if export else ("connections-summary-page", "connections-page")
    # The documentation requires the iModel, except for storage connections.
    list_query = IMODEL_PAGED if traits is STORAGE else ("imodelId*", *PAGED)
    list_errors = reading if export else (422,)
    create_errors = (403, 422) if export else (403, 409, 422)
    delete_errors = (403, 404, 409, 422) if export else (403, 404, 422)
    one, response, body = "/{connectionId}", ("connection-response",), f"create-{name}"
    create, get_all, get = connections.create_connection, connections.list_connections, connections.get_connection
    update, delete = connections.update_connection, connections.delete_connection
    table = [
        _operation(traits, f"create-{name}", "POST", "", create, create_errors, response, status=201, body=body),
        _operation(traits, f"get-{name}s", "GET", "", get_all, list_errors, lists, query=list_query),
        _operation(traits, f"get-{name}", "GET", one, get, reading, response),
        _operation(traits, f"delete-{name}", "DELETE", one, delete, delete_errors, status=204),
    ]
    if not export:
        update_errors, body = (403, 404, 422), "update-connection"
        table.append(_operation(traits, f"update-{name}", "PUT", one, update, update_errors, response, body=body))
    return table


def _run_operations(traits: KindTraits, start: Handler) -> list[Operation]:
    kind, name, reading = traits.kind, f"{traits.kind}-connection", _read_errors(traits)
    path, one = "/{connectionId}/runs", "/{connectionId}/runs/{runId}"
    start_id, start_path = (f"run-{name}", "/{connectionId}/run") if traits is STORAGE else (f"create-{name}-run", path)
    start_body = None if traits is STORAGE else f"create-{kind}-run"
    start_errors = (403, 404, 409, 422)
    lists = ("export-runs-page",) if traits is EXPORT else ("runs-summary-page", f"{kind}-runs-page")
    return [
        _operation(traits, f"get-{name}-runs", "GET", path, runs.list_runs, reading, lists, query=PAGED),
        _operation(traits, f"get-{name}-run", "GET", one, runs.get_run, reading, (f"{kind}-run-response",)),
        _operation(traits, start_id, "POST", start_path, start, start_errors, status=202, body=start_body),
    ]


def _file_operations(traits: KindTraits) -> list[Operation]:
    kind, name, reading = traits.kind, f"{traits.kind}-connection-sourcefile", _read_errors(traits)
    path, one = "/{connectionId}/sourcefiles", "/{connectionId}/sourcefiles/{sourceFileId}"
    response, body = (f"{kind}-sourcefile-response",), f"{kind}-sourcefile-body"
    lists: tuple[str, ...] = (f"{kind}-sourcefiles-page",)
    if traits is STORAGE:
        lists = ("storage-sourcefiles-summary-page", *lists)
    change_errors, remove_errors = (403, 404, 409, 422), (403, 404, 422)
    add, get_all, get = source_files.add_source_file, source_files.list_source_files, source_files.get_source_file
    update, remove = source_files.update_source_file, source_files.remove_source_file
    return [
        _operation(traits, f"add-{name}", "POST", path, add, change_errors, response, status=201, body=body),
        _operation(traits, f"get-{name}s", "GET", path, get_all, reading, lists, query=PAGED),
        _operation(traits, f"get-{name}", "GET", one, get, reading, response),
        _operation(traits, f"update-{name}", "PUT", one, update, change_errors, response, body=body),
        _operation(traits, f"remove-{name}", "DELETE", one, remove, remove_errors, status=204),
    ]


OPERATIONS: tuple[Operation, ...] = (
    *_connection_operations(STORAGE),
    *_run_operations(STORAGE, runs.start_storage_run),
    *_file_operations(STORAGE),
    *_connection_operations(MANIFEST),
    *_run_operations(MANIFEST, runs.start_manifest_run),
    *_file_operations(MANIFEST),
    *_connection_operations(EXPORT),
    *_run_operations(EXPORT, runs.start_export_run),
    *STORAGE_OPERATIONS,
    Operation(
        "get-connections",
        "GET",
        "/synchronization/imodels/connections",
        connections.list_all_connections,
        response=("connections-summary-page", "connections-page"),
        query=("imodelId*", *PAGED),
        errors=(422,),
    ),
    Operation(
        "get-authorization-information",
        "GET",
        "/synchronization/imodels/connections/authorizationinformation",
        authorization.get_authorization_information,
        response=("authorization-information-response",),
        query=("redirectUrl",),
        errors=(422,),
    ),
    Operation(
        "get-export-authorization-information",
        "GET",
        "/export/authorizationinformation",
        authorization.get_authorization_information,
        EXPORT,
        EXPORT_API,
        response=("authorization-information-response",),
        query=("redirectUrl",),
        errors=(422,),
    ),
    *IMODELS_OPERATIONS,
    *ITWINS_OPERATIONS,
    *TRANSFORMATIONS_OPERATIONS,
    *CHANGED_ELEMENTS_OPERATIONS,
    *EXTRACTIONS_OPERATIONS,
    *REALITY_OPERATIONS,
    Operation(
        "token",
        "POST",
        "/connect/token",
        None,
        api=IDENTITY,
        response=("token-response",),
        body="token-form",
        errors=(400, 401),
    ),
    Operation(
        "discovery", "GET", "/.well-known/openid-configuration", None, api=IDENTITY, response=("discovery-response",)
    ),
    Operation("jwks", "GET", "/.well-known/openid-configuration/jwks", None, api=IDENTITY, response=("jwks-response",)),
)
