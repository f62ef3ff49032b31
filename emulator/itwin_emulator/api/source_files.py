"""Operations on the source files of a connection."""

from __future__ import annotations

from itwin_emulator.api.connections import read_file
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.source_files import SourceFile
from itwin_emulator.http import errors
from itwin_emulator.http.errors import ApiError, unprocessable
from itwin_emulator.http.responses import Response

_ADD_OR_UPDATE = "add or update a connection sourceFile"


def add_source_file(request: ApiRequest) -> Response:
    """Add a file to a connection."""
    code = request.kind.invalid_source_file
    connection = _connection_to_add_to(request, code)
    added = _read(request, code)
    catalog = request.store.connections
    if catalog.is_mapped(connection.imodel_id, connection.kind, added.file_id):
        raise errors.already_mapped()
    catalog.add_file(connection, added)
    return Response(201, {"sourceFile": request.serializer.source_file(connection, added)})


def list_source_files(request: ApiRequest) -> Response:
    """Return the files of a connection."""
    connection = request.connection(request.kind.invalid_source_files)
    serializer = request.serializer
    minimal = not request.representation
    return request.page(
        "sourceFiles",
        connection.files,
        lambda file: serializer.source_file(connection, file, minimal=minimal),
        request.kind.invalid_source_files,
    )


def get_source_file(request: ApiRequest) -> Response:
    """Return a file."""
    connection, file = _find(request, writable=False)
    return Response(200, {"sourceFile": request.serializer.source_file(connection, file)})


def update_source_file(request: ApiRequest) -> Response:
    """Replace a file."""
    connection, file = _find(request, writable=True)
    new = _read(request, request.kind.invalid_source_file)
    catalog = request.store.connections
    if new.file_id != file.file_id and catalog.is_mapped(connection.imodel_id, connection.kind, new.file_id):
        raise errors.already_mapped()
    new.id = file.id
    catalog.replace_file(connection, file, new)
    return Response(200, {"sourceFile": request.serializer.source_file(connection, new)})


def remove_source_file(request: ApiRequest) -> Response:
    """Remove a file."""
    connection, file = _find(request, writable=True)
    request.store.connections.remove_file(connection, file)
    return Response(204)


def _connection_to_add_to(request: ApiRequest, code: str) -> Connection:
    try:
        return request.writable_connection(code)
    except ApiError as error:
        if error.status == 404:
            # As documented: the code names the file, the message the connection.
            error.code = request.kind.source_file_missing[0]
        raise


def _find(request: ApiRequest, *, writable: bool) -> tuple[Connection, SourceFile]:
    code = request.kind.invalid_source_file
    try:
        connection = request.writable_connection(code) if writable else request.connection(code)
    except ApiError as error:
        if error.status == 404:
            raise errors.source_file_not_found(request.kind) from error
        raise
    for file in connection.files:
        if file.id == request.params["sourceFileId"]:
            return connection, file
    raise errors.source_file_not_found(request.kind)


def _read(request: ApiRequest, code: str) -> SourceFile:
    details: list[dict[str, str]] = []
    file = read_file(request, request.json(code), details, _ADD_OR_UPDATE)
    if file is None:
        raise unprocessable(code, *details)
    return file
