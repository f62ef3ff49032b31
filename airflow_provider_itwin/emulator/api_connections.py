"""The operations on connections and their source files."""

from __future__ import annotations

from airflow_provider_itwin.emulator.answers import Answer, missing_parameter, unprocessable
from airflow_provider_itwin.emulator.calls import Call
from airflow_provider_itwin.emulator.model import Connection


def get_connection(call: Call) -> Answer:
    """Answer with one connection."""
    connection = call.connection(call.kind.invalid_connection)
    return Answer(200, {"connection": shown(call, connection)})


def list_connections(call: Call) -> Answer:
    """Answer with the connections of one kind, of one iModel or of all that the client may see."""
    imodel_id = call.query.get("imodelid")
    if imodel_id is None and call.kind.kind != "storage":
        raise unprocessable(call.kind.invalid_connections, missing_parameter("imodelId"))
    return Answer(200, _listed(call, imodel_id, call.kind.kind, call.kind.invalid_connections))


def list_all_connections(call: Call) -> Answer:
    """Answer with the connections of every kind of one iModel."""
    imodel_id = call.query.get("imodelid")
    if imodel_id is None:
        raise unprocessable("InvalidConnectionsRequest", missing_parameter("imodelId"))
    return Answer(200, _listed(call, imodel_id, None, "InvalidConnectionsRequest"))


def list_source_files(call: Call) -> Answer:
    """Answer with the files of a connection."""
    connection = call.connection(call.kind.invalid_source_files)
    show = call.show
    minimal = not call.representation
    return Answer(
        200,
        call.page(
            "sourceFiles",
            connection.files,
            lambda file: show.source_file(connection, file, minimal=minimal),
            call.kind.invalid_source_files,
        ),
    )


def get_source_file(call: Call) -> Answer:
    """Answer with one file of a connection."""
    connection = call.connection(call.kind.invalid_source_file)
    for file in connection.files:
        if file.id == call.params["sourceFileId"]:
            return Answer(200, {"sourceFile": call.show.source_file(connection, file)})
    raise call.kind.source_file_not_found()


def shown(call: Call, connection: Connection) -> dict[str, object]:
    """Print a connection."""
    imodel = call.platform.imodels[connection.imodel_id]
    return call.show.connection(connection, imodel, call.platform.last_run(connection))


def _listed(call: Call, imodel_id: str | None, kind: str | None, code: str) -> dict[str, object]:
    platform = call.platform
    found = [
        connection
        for connection in platform.connections.values()
        if (kind is None or connection.kind == kind)
        and (imodel_id is None or connection.imodel_id == imodel_id)
        and platform.role(call.client, connection.imodel_id) is not None
    ]
    whole = kind == "export" or call.representation
    show = call.show
    return call.page(
        "connections",
        found,
        lambda one: shown(call, one) if whole else show.connection_summary(one),
        code,
        default=50 if kind == "export" else 100,
        extra_query="" if imodel_id is None else f"iModelId={imodel_id}&",
    )
