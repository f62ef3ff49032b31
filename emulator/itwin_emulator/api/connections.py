"""The operations on connections: create, look, list, change, delete."""

from __future__ import annotations

from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import AUTHENTICATION_TYPES, CONNECTOR_TYPES, Connection, SourceFile
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.http import errors
from itwin_emulator.http.errors import (
    Answer,
    ApiError,
    invalid_value,
    missing_parameter,
    missing_property,
    unprocessable,
)
from itwin_emulator.http.request import Call

_OF_CONNECTION = "create or update a connection"


def create_connection(call: Call) -> Answer:
    """Answer ``POST`` of a connection."""
    code = call.kind.invalid_connection
    body = call.json(code)
    details = _problems(body)
    imodel_id = body.get("iModelId")
    if imodel_id is None:
        details.append(missing_parameter("imodelId"))
    elif (
        not isinstance(imodel_id, str)
        or call.platform.role(call.client, imodel_id) in (None, "reader")
        or imodel_id not in call.platform.imodels
    ):
        details.append(invalid_value("imodelId"))
    files: list[SourceFile] = []
    if call.kind.file_field is not None:
        files = read_files(call, body.get("sourceFiles"), details)
    if details:
        raise unprocessable(code, *details)
    if any(call.platform.connections.is_mapped(str(imodel_id), call.kind.kind, file.file_id) for file in files):
        raise errors.already_mapped("One or more SourceFiles are already mapped to the iModel.")
    connection = call.platform.add_connection(
        call.kind.kind,
        ids.guid() if call.kind.kind == "export" else None,
        str(imodel_id),
        body.get("displayName"),
        body.get("authenticationType") or "User",
        files if call.kind.file_field is not None else None,
    )
    connection.owner = call.client.id
    return Answer(201, {"connection": shown(call, connection)})


def get_connection(call: Call) -> Answer:
    """Answer with one connection."""
    connection = call.connection(call.kind.invalid_connection)
    return Answer(200, {"connection": shown(call, connection)})


def list_connections(call: Call) -> Answer:
    """Answer with the connections of one kind, of one iModel or of all that the client may see."""
    imodel_id = call.query.get("imodelid")
    code = call.kind.invalid_connections
    if imodel_id is None and call.kind.kind != "storage":
        raise unprocessable(code, missing_parameter("imodelId"))
    if imodel_id is not None and not ids.is_sound(imodel_id):
        raise unprocessable(code, invalid_value("imodelId"))
    if call.kind.kind == "export" and imodel_id is not None:
        if imodel_id not in call.platform.imodels:
            raise errors.imodel_not_found()
        if call.platform.role(call.client, imodel_id) is None:
            raise errors.insufficient_permissions()
    return _listed(call, imodel_id, call.kind.kind, code)


def list_all_connections(call: Call) -> Answer:
    """Answer with the connections of every kind of one iModel."""
    imodel_id = call.query.get("imodelid")
    if imodel_id is None:
        raise unprocessable("InvalidConnectionsRequest", missing_parameter("imodelId"))
    if not ids.is_sound(imodel_id):
        raise unprocessable("InvalidConnectionsRequest", invalid_value("imodelId"))
    return _listed(call, imodel_id, None, "InvalidConnectionsRequest")


def update_connection(call: Call) -> Answer:
    """Answer ``PUT`` of a connection: its name and its way of signing in can be changed."""
    code = call.kind.invalid_connection
    connection = call.changeable(code)
    body = call.json(code)
    details = _problems(body)
    if details:
        raise unprocessable(code, *details)
    if "displayName" in body:
        connection.display_name = body["displayName"]
    connection.authentication_type = body.get("authenticationType") or connection.authentication_type
    return Answer(200, {"connection": shown(call, connection)})


def delete_connection(call: Call) -> Answer:
    """Answer ``DELETE`` of a connection."""
    connection = call.changeable(call.kind.invalid_connection)
    active = call.platform.active_run(connection.imodel_id)
    if connection.kind == "export" and active is not None and active.connection_id == connection.id:
        raise ApiError(409, "ConnectionAlreadyInUse", "The connection is already in use.")
    call.platform.remove_connection(connection)
    return Answer(204)


def shown(call: Call, connection: Connection) -> dict[str, Any]:
    """Print a connection."""
    imodel = call.platform.imodels[connection.imodel_id]
    return call.show.connection(connection, imodel, call.platform.last_run(connection))


def read_files(call: Call, given: object, details: list[dict[str, str]]) -> list[SourceFile]:
    """Read the files of a new connection, adding to ``details`` what is wrong with them."""
    if not given:
        details.append(missing_property("sourceFiles", _OF_CONNECTION))
        return []
    if not isinstance(given, list):
        details.append(invalid_value("sourceFiles"))
        return []
    files = []
    for entry in given:
        file = read_file(call, entry, details, _OF_CONNECTION)
        if file is not None:
            files.append(file)
    return files


def read_file(call: Call, entry: object, details: list[dict[str, str]], of: str) -> SourceFile | None:
    """Read one file, adding to ``details`` what is wrong with it."""
    field = call.kind.file_field or ""
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
    if call.kind.kind == "storage" and connector is None:
        details.append(missing_property("connectorType", of))
    elif connector is not None and connector not in CONNECTOR_TYPES:
        message = f"connectorType must be one of: {', '.join(CONNECTOR_TYPES)}"
        details.append(invalid_value("connectorType", message))
    if len(details) > before:
        return None
    known = str(file_id)
    name = call.platform.connections.last_known_name(known) or "samplefile"
    return SourceFile(known, name, connector or "MSTN")


def _problems(body: dict[str, Any]) -> list[dict[str, str]]:
    details = []
    name = body.get("displayName")
    if name is not None and not (isinstance(name, str) and len(name) <= 255):
        details.append(invalid_value("displayName"))
    kind = body.get("authenticationType")
    if kind is not None and kind not in AUTHENTICATION_TYPES:
        details.append(invalid_value("authenticationType"))
    return details


def _listed(call: Call, imodel_id: str | None, kind: Kind | None, code: str) -> Answer:
    whole = kind == "export" or call.representation
    show = call.show
    # The pages of the API write the parameter in two ways; the links do too.
    name = "imodelId" if kind is None else "iModelId"
    return call.page(
        "connections",
        call.platform.listed(call.client, kind, imodel_id),
        lambda one: shown(call, one) if whole else show.connection_summary(one),
        code,
        default=50 if kind == "export" else 100,
        extra_query="" if imodel_id is None else f"{name}={imodel_id}&",
    )
