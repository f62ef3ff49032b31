"""The operations on the source files of a connection."""

from __future__ import annotations

from itwin_emulator.api.connections import read_file
from itwin_emulator.domain.entities import Connection, SourceFile
from itwin_emulator.http import errors
from itwin_emulator.http.errors import Answer, ApiError, unprocessable
from itwin_emulator.http.request import Call

_OF_FILE = "add or update a connection sourceFile"


def add_source_file(call: Call) -> Answer:
    """Answer ``POST`` of a file."""
    code = call.kind.invalid_source_file
    connection = _connection_to_add_to(call, code)
    added = _read(call, code)
    catalog = call.platform.connections
    if catalog.is_mapped(connection.imodel_id, connection.kind, added.file_id):
        raise errors.already_mapped()
    catalog.add_file(connection, added)
    return Answer(201, {"sourceFile": call.show.source_file(connection, added)})


def list_source_files(call: Call) -> Answer:
    """Answer with the files of a connection."""
    connection = call.connection(call.kind.invalid_source_files)
    show = call.show
    minimal = not call.representation
    return call.page(
        "sourceFiles",
        connection.files,
        lambda file: show.source_file(connection, file, minimal=minimal),
        call.kind.invalid_source_files,
    )


def get_source_file(call: Call) -> Answer:
    """Answer with one file."""
    connection, file = _find(call, change=False)
    return Answer(200, {"sourceFile": call.show.source_file(connection, file)})


def update_source_file(call: Call) -> Answer:
    """Answer ``PUT`` of a file."""
    connection, file = _find(call, change=True)
    new = _read(call, call.kind.invalid_source_file)
    catalog = call.platform.connections
    if new.file_id != file.file_id and catalog.is_mapped(connection.imodel_id, connection.kind, new.file_id):
        raise errors.already_mapped()
    new.id = file.id
    catalog.replace_file(connection, file, new)
    return Answer(200, {"sourceFile": call.show.source_file(connection, new)})


def remove_source_file(call: Call) -> Answer:
    """Answer ``DELETE`` of a file."""
    connection, file = _find(call, change=True)
    call.platform.connections.remove_file(connection, file)
    return Answer(204)


def _connection_to_add_to(call: Call, code: str) -> Connection:
    try:
        return call.changeable(code)
    except ApiError as error:
        if error.status == 404:
            # Documented so: the code speaks of the file, the message of the connection.
            error.code = call.kind.source_file_missing[0]
        raise


def _find(call: Call, *, change: bool) -> tuple[Connection, SourceFile]:
    code = call.kind.invalid_source_file
    try:
        connection = call.changeable(code) if change else call.connection(code)
    except ApiError as error:
        if error.status == 404:
            raise call.kind.source_file_not_found() from error
        raise
    for file in connection.files:
        if file.id == call.params["sourceFileId"]:
            return connection, file
    raise call.kind.source_file_not_found()


def _read(call: Call, code: str) -> SourceFile:
    details: list[dict[str, str]] = []
    file = read_file(call, call.json(code), details, _OF_FILE)
    if file is None:
        raise unprocessable(code, *details)
    return file
