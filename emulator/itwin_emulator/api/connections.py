"""Operations on connections: create, get, list, update, delete."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import AUTHENTICATION_TYPES, Connection
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.source_files import CONNECTOR_TYPES, SourceFile
from itwin_emulator.http import errors
from itwin_emulator.http.errors import (
    ApiError,
    invalid_value,
    missing_parameter,
    missing_property,
    unprocessable,
)
from itwin_emulator.http.responses import Response

_CREATE_OR_UPDATE = "create or update a connection"


def create_connection(request: ApiRequest) -> Response:
    """Create a connection."""
    code = request.kind.invalid_connection
    body = request.json(code)
    details = _find_problems(body)
    imodel_id = body.get("iModelId")
    if imodel_id is None:
        details.append(missing_parameter("imodelId"))
    elif not isinstance(imodel_id, str) or imodel_id not in request.store.imodels:
        details.append(invalid_value("imodelId"))
    files: list[SourceFile] = []
    if request.kind.file_field is not None:
        files = read_files(request, body.get("sourceFiles"), details)
    if details:
        raise unprocessable(code, *details)
    if request.store.role(request.client, str(imodel_id)) in (None, "reader"):
        raise errors.insufficient_permissions()
    if any(request.store.connections.is_mapped(str(imodel_id), request.kind.kind, file.file_id) for file in files):
        raise errors.already_mapped("One or more SourceFiles are already mapped to the iModel.")
    connection = request.store.add_connection(
        request.kind.kind,
        ids.guid() if request.kind.kind == "export" else None,
        str(imodel_id),
        body.get("displayName"),
        body.get("authenticationType") or "User",
        files if request.kind.file_field is not None else None,
    )
    connection.owner = request.client.id
    return Response(201, {"connection": serialize(request, connection)})


def get_connection(request: ApiRequest) -> Response:
    """Return a connection."""
    connection = request.connection(request.kind.invalid_connection)
    return Response(200, {"connection": serialize(request, connection)})


def list_connections(request: ApiRequest) -> Response:
    """Return the visible connections of one kind, of one iModel or of all."""
    imodel_id = request.query.get("imodelid")
    code = request.kind.invalid_connections
    if imodel_id is None and request.kind.kind != "storage":
        raise unprocessable(code, missing_parameter("imodelId"))
    if imodel_id is not None and not ids.is_valid(imodel_id):
        raise unprocessable(code, invalid_value("imodelId"))
    if request.kind.kind == "export" and imodel_id is not None:
        if imodel_id not in request.store.imodels:
            raise errors.imodel_not_found()
        if request.store.role(request.client, imodel_id) is None:
            raise errors.insufficient_permissions()
    return _list(request, imodel_id, request.kind.kind, code)


def list_all_connections(request: ApiRequest) -> Response:
    """Return the connections of all kinds of one iModel."""
    imodel_id = request.query.get("imodelid")
    if imodel_id is None:
        raise unprocessable("InvalidConnectionsRequest", missing_parameter("imodelId"))
    if not ids.is_valid(imodel_id):
        raise unprocessable("InvalidConnectionsRequest", invalid_value("imodelId"))
    return _list(request, imodel_id, None, "InvalidConnectionsRequest")


def update_connection(request: ApiRequest) -> Response:
    """Update the name and the authentication type of a connection."""
    code = request.kind.invalid_connection
    connection = request.writable_connection(code)
    body = request.json(code)
    details = _find_problems(body)
    if details:
        raise unprocessable(code, *details)
    if "displayName" in body:
        connection.display_name = body["displayName"]
    connection.authentication_type = body.get("authenticationType") or connection.authentication_type
    return Response(200, {"connection": serialize(request, connection)})


def delete_connection(request: ApiRequest) -> Response:
    """Delete a connection."""
    connection = request.writable_connection(request.kind.invalid_connection)
    active = request.store.active_run(connection.imodel_id)
    if connection.kind == "export" and active is not None and active.connection_id == connection.id:
        raise ApiError(409, "ConnectionAlreadyInUse", "The connection is already in use.")
    request.store.remove_connection(connection)
    return Response(204)


def serialize(request: ApiRequest, connection: Connection) -> dict[str, Any]:
    """Return a connection as JSON data."""
    imodel = request.store.imodels[connection.imodel_id]
    return request.serializer.connection(connection, imodel, request.store.last_run(connection))


def read_files(request: ApiRequest, given: object, details: list[dict[str, str]]) -> list[SourceFile]:
    """Read the files of a new connection; append problems to ``details``."""
    if not given:
        details.append(missing_property("sourceFiles", _CREATE_OR_UPDATE))
        return []
    if not isinstance(given, list):
        details.append(invalid_value("sourceFiles"))
        return []
    files = []
    for entry in given:
        file = read_file(request, entry, details, _CREATE_OR_UPDATE)
        if file is not None:
            files.append(file)
    return files


def read_file(request: ApiRequest, entry: object, details: list[dict[str, str]], of: str) -> SourceFile | None:
    """Read one file; append problems to ``details``. ``of`` is for :func:`missing_property`."""
    field = request.kind.file_field or ""
    if not isinstance(entry, dict):
        details.append(invalid_value("sourceFiles"))
        return None
    before = len(details)
    file_id = entry.get(field)
    if file_id is None or file_id == "":
        details.append(missing_property(field, of))
    elif not isinstance(file_id, str):
        details.append(invalid_value(field))
    connector = entry.get("connectorType") or entry.get("connector")
    if request.kind.kind == "storage" and connector is None:
        details.append(missing_property("connectorType", of))
    elif connector is not None and connector not in CONNECTOR_TYPES:
        message = f"connectorType must be one of: {', '.join(CONNECTOR_TYPES)}"
        details.append(invalid_value("connectorType", message))
    if len(details) > before:
        return None
    stored = request.store.storage.find_file(str(file_id)) if request.kind.kind == "storage" else None
    known = request.store.connections.last_known_name(str(file_id)) or "samplefile"
    name = known if stored is None else stored.display_name
    return SourceFile(str(file_id), name, connector or "MSTN")


def _find_problems(body: dict[str, Any]) -> list[dict[str, str]]:
    details = []
    name = body.get("displayName")
    if name is not None and not (isinstance(name, str) and len(name) <= 255):
        details.append(invalid_value("displayName"))
    kind = body.get("authenticationType")
    if kind is not None and kind not in AUTHENTICATION_TYPES:
        details.append(invalid_value("authenticationType"))
    return details


def _list(request: ApiRequest, imodel_id: str | None, kind: Kind | None, code: str) -> Response:
    full = kind == "export" or request.representation
    serializer = request.serializer
    # The documentation spells the parameter in two ways; the links do, too.
    name = "imodelId" if kind is None else "iModelId"
    return request.page(
        "connections",
        request.store.list_connections(request.client, kind, imodel_id),
        lambda one: serialize(request, one) if full else serializer.connection_summary(one),
        code,
        default=50 if kind == "export" else 100,
        extra_query="" if imodel_id is None else f"{name}={imodel_id}&",
    )
