"""Operations on runs: start, get, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.api.serializers import other_case
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.kinds import KINDS
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import CONNECTOR_TYPES, SourceFile
from itwin_emulator.http import errors
from itwin_emulator.http.errors import insufficient_permissions, invalid_value, unprocessable
from itwin_emulator.http.responses import Response

FOREIGN_ORIGIN = "https://api.bentley.example"
"""Origin of links to another host: a name that can never exist."""

EXPORT_TYPES = ("IFC", "PDF")
IFC_VERSIONS = ("IFC4.3", "IFC2x3", "IFC2x3 CV 2.0", "IFC4 RV 1.2")
MANIFEST_ACTIONS = ("bridge", "unmap")


def start_storage_run(request: ApiRequest) -> Response:
    """Start a run of a storage connection. The request has no body."""
    return _start(request, _connection_to_start(request), None)


def start_manifest_run(request: ApiRequest) -> Response:
    """Start a run of a manifest connection. The body is the manifest."""
    connection = _connection_to_start(request)
    manifest = request.json(request.kind.invalid_run)
    return _start(request, connection, _files_of_manifest(request, connection, manifest))


def start_export_run(request: ApiRequest) -> Response:
    """Start a run of an export connection. The body contains the export options."""
    connection = _connection_to_start(request)
    options = request.json(request.kind.invalid_run)
    _check_export(options, request.kind.invalid_run)
    return _start(request, connection, None, export_type=options["exportType"])


def get_run(request: ApiRequest) -> Response:
    """Return a run."""
    request.check_ids(request.kind.invalid_run)
    connection = request.store.connections.get(request.params["connectionId"])
    if connection is None or connection.kind != request.kind.kind:
        raise errors.run_not_found(request.kind)
    if request.store.role(request.client, connection.imodel_id) is None:
        raise insufficient_permissions() if request.kind.kind == "export" else errors.run_not_found(request.kind)
    _check_imodel(request, connection)
    run = request.store.run(connection, request.params["runId"])
    if run is None:
        raise errors.run_not_found(request.kind)
    return Response(200, b'{"run":%s}' % request.json_cache.encode_run(run, request.serializer))


def list_runs(request: ApiRequest) -> Response:
    """Return the runs of a connection."""
    connection = request.connection(request.kind.invalid_runs)
    _check_imodel(request, connection)
    serializer = request.serializer
    json_cache = request.json_cache
    export = connection.kind == "export"
    full = export or request.representation
    return request.page(
        "runs",
        request.store.ordered_runs(connection),
        lambda run: json_cache.encode_run(run, serializer) if full else serializer.run_summary(run),
        request.kind.invalid_runs,
        default=50 if export else 100,
    )


def _connection_to_start(request: ApiRequest) -> Connection:
    request.check_ids(request.kind.invalid_run)
    connection = request.store.connections.get(request.params["connectionId"])
    if connection is None or connection.kind != request.kind.kind:
        raise errors.connection_not_found(request.kind)
    if request.store.role(request.client, connection.imodel_id) in (None, "reader"):
        raise insufficient_permissions()
    _check_imodel(request, connection)
    return connection


def _check_imodel(request: ApiRequest, connection: Connection) -> None:
    # The parameter is from the first version of the API. It is still in the examples of errors.
    if request.query.get("imodelid", connection.imodel_id) != connection.imodel_id:
        raise unprocessable(request.kind.invalid_run, invalid_value("imodelId"))


def _start(
    request: ApiRequest, connection: Connection, files: list[SourceFile] | None, export_type: str | None = None
) -> Response:
    run, is_new = request.store.begin_run(connection, files)
    if is_new and export_type is not None:
        run.export_type = export_type
    location = _location(request, run)
    return Response(202 if is_new else 303, None, {} if location is None else {"Location": location})


def _location(request: ApiRequest, run: Run) -> str | None:
    """Return the URL of a run; after a 303 the run may belong to another connection and kind."""
    owner = request.store.connections.get(run.connection_id)
    path = f"{owner.path if owner else KINDS[request.kind.kind].root}/runs/{run.id}"
    match request.store.quirks.location:
        case "relative":
            return path
        case "other-case":
            return request.origin + other_case(path)
        case "trailing-slash":
            return f"{request.origin}{path}/"
        case "query":
            return f"{request.origin}{path}?api-version=1"
        case "missing":
            return None
        case "foreign-host":
            return FOREIGN_ORIGIN + path
        case "nonsense":
            return "http://[not a link"
        case _:
            return request.origin + path


def _files_of_manifest(
    request: ApiRequest, connection: Connection, manifest: dict[str, Any]
) -> list[SourceFile] | None:
    """Return the master files of the manifest, or None for all files of the connection."""
    details = []
    if not _is_url_or_none(manifest.get("documentAttributeSchemaUrl")):
        details.append(invalid_value("documentAttributeSchemaUrl"))
    given = manifest.get("sourceFiles")
    files = []
    known = {file.file_id: file for file in connection.files}
    entries: list[object] = given if isinstance(given, list) else [] if given is None else [None]
    for entry in entries:
        problem = _find_problem(entry, known)
        if problem is not None:
            details.append(problem)
        elif isinstance(entry, dict):
            file = known[entry["id"]]
            connector = entry.get("connectorType") or entry.get("connector") or file.connector_type
            files.append(SourceFile(file.file_id, entry.get("name") or file.name, connector, file.id))
    if details:
        raise unprocessable(request.kind.invalid_run, *details)
    return None if given is None else files


_ENTRY_TYPES: dict[str, type] = {"name": str, "documentAttribute": dict, "children": list}


def _find_problem(entry: object, known: Mapping[str, SourceFile]) -> dict[str, str] | None:
    if not isinstance(entry, dict):
        return invalid_value("sourceFiles")
    if not isinstance(entry.get("id"), str) or entry["id"] not in known:
        return invalid_value("sourceFiles.id")
    if entry.get("action") not in (None, *MANIFEST_ACTIONS):
        return invalid_value("sourceFiles.action")
    if not _is_url_or_none(entry.get("url")):
        # Without the value: a pre-signed URL is a secret.
        return invalid_value("sourceFiles.url")
    if (entry.get("connectorType") or entry.get("connector")) not in (None, *CONNECTOR_TYPES):
        return invalid_value("sourceFiles.connectorType")
    for name, kind in _ENTRY_TYPES.items():
        if entry.get(name) is not None and not isinstance(entry[name], kind):
            return invalid_value(f"sourceFiles.{name}")
    return None


def _is_url_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.startswith(("https://", "http://")))


def _check_export(body: dict[str, Any], code: str) -> None:
    details = []
    if body.get("exportType") is None:
        details.append(
            {"code": "MissingRequiredProperty", "message": "exportType was not provided.", "target": "exportType"}
        )
    elif body["exportType"] not in EXPORT_TYPES:
        details.append(invalid_value("exportType"))
    if body.get("ifcVersion") is not None and body["ifcVersion"] not in IFC_VERSIONS:
        details.append(invalid_value("ifcVersion"))
    # Only one list within these objects is documented; all else appears in examples only.
    for name in ("inputOptions", "outputOptions"):
        details += [] if isinstance(body.get(name), dict | None) else [invalid_value(name)]
    options = body.get("inputOptions")
    models = options.get("modelIds") if isinstance(options, dict) else None
    if models == []:
        details.append(invalid_value("modelIds", "An empty array is not accepted."))
    elif models is not None and not (isinstance(models, list) and all(isinstance(one, str) for one in models)):
        details.append(invalid_value("modelIds"))
    if details:
        raise unprocessable(code, *details)
