"""The operations on runs: start one, look at one, list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from itwin_emulator.domain.entities import CONNECTOR_TYPES, Connection, SourceFile
from itwin_emulator.domain.kinds import KINDS
from itwin_emulator.domain.runs import Run
from itwin_emulator.http.errors import Answer, insufficient_permissions, invalid_value, unprocessable
from itwin_emulator.http.request import Call

FOREIGN_ORIGIN = "https://api.bentley.example"
"""Origin of links that lead somewhere else: a name that can never exist."""

EXPORT_TYPES = ("IFC", "PDF")
IFC_VERSIONS = ("IFC4.3", "IFC2x3", "IFC2x3 CV 2.0", "IFC4 RV 1.2")
MANIFEST_ACTIONS = ("bridge", "unmap")


def start_storage_run(call: Call) -> Answer:
    """Answer ``POST .../storageconnections/{connectionId}/run``: there is no body to read."""
    return _started(call, _startable(call), None)


def start_manifest_run(call: Call) -> Answer:
    """Answer ``POST .../manifestconnections/{connectionId}/runs``: the body is the manifest."""
    connection = _startable(call)
    manifest = call.json(call.kind.invalid_run)
    return _started(call, connection, _files_of_manifest(call, connection, manifest))


def start_export_run(call: Call) -> Answer:
    """Answer ``POST /export/connections/{connectionId}/runs``: the body says what to export."""
    connection = _startable(call)
    _check_export(call.json(call.kind.invalid_run), call.kind.invalid_run)
    return _started(call, connection, None)


def get_run(call: Call) -> Answer:
    """Answer with one run."""
    call.check_ids(call.kind.invalid_run)
    connection = call.platform.connections.get(call.params["connectionId"])
    if connection is None or connection.kind != call.kind.kind:
        raise call.kind.run_not_found()
    if call.platform.role(call.client, connection.imodel_id) is None:
        raise insufficient_permissions() if call.kind.kind == "export" else call.kind.run_not_found()
    run = call.platform.run(connection, call.params["runId"])
    if run is None:
        raise call.kind.run_not_found()
    return Answer(200, b'{"run":%s}' % call.platform.prints.of(run, call.show))


def list_runs(call: Call) -> Answer:
    """Answer with the runs of a connection."""
    connection = call.connection(call.kind.invalid_runs)
    show = call.show
    prints = call.platform.prints
    export = connection.kind == "export"
    whole = export or call.representation
    return call.page(
        "runs",
        call.platform.ordered_runs(connection),
        lambda run: prints.of(run, show) if whole else show.run_summary(run),
        call.kind.invalid_runs,
        default=50 if export else 100,
    )


def _startable(call: Call) -> Connection:
    call.check_ids(call.kind.invalid_run)
    connection = call.platform.connections.get(call.params["connectionId"])
    if connection is None or connection.kind != call.kind.kind:
        raise call.kind.connection_not_found()
    if call.platform.role(call.client, connection.imodel_id) in (None, "reader"):
        raise insufficient_permissions()
    return connection


def _started(call: Call, connection: Connection, files: list[SourceFile] | None) -> Answer:
    run, new = call.platform.begin_run(connection, files)
    location = _location(call, run)
    return Answer(202 if new else 303, None, {} if location is None else {"Location": location})


def _location(call: Call, run: Run) -> str | None:
    """Name the run, which after a 303 can be one of another connection, and of another kind."""
    owner = call.platform.connections.get(run.connection_id)
    path = f"{owner.path if owner else KINDS[call.kind.kind].root}/runs/{run.id}"
    match call.platform.oddities.location:
        case "relative":
            return path
        case "other-case":
            path = path.replace("storageconnections", "storageConnections")
            return call.origin + path.replace("manifestconnections", "manifestConnections").replace("/runs/", "/Runs/")
        case "trailing-slash":
            return f"{call.origin}{path}/"
        case "query":
            return f"{call.origin}{path}?api-version=1"
        case "missing":
            return None
        case "foreign-host":
            return FOREIGN_ORIGIN + path
        case "nonsense":
            return "http://[not a link"
        case _:
            return call.origin + path


def _files_of_manifest(call: Call, connection: Connection, manifest: dict[str, Any]) -> list[SourceFile] | None:
    """Give the master files that the manifest names, or None for those that the connection knows."""
    details = []
    if not _is_url_or_none(manifest.get("documentAttributeSchemaUrl")):
        details.append(invalid_value("documentAttributeSchemaUrl"))
    given = manifest.get("sourceFiles")
    files = []
    known = {file.file_id: file for file in connection.files}
    entries: list[object] = given if isinstance(given, list) else [] if given is None else [None]
    for entry in entries:
        problem = _problem_of_entry(entry, known)
        if problem is not None:
            details.append(problem)
            continue
        assert isinstance(entry, dict)  # noqa: S101 -- it would be a problem otherwise
        file = known[entry["id"]]
        connector = entry.get("connectorType") or entry.get("connector") or file.connector_type
        files.append(SourceFile(file.file_id, entry.get("name") or file.name, connector, file.id))
    if details:
        raise unprocessable(call.kind.invalid_run, *details)
    return None if given is None else files


_ENTRY_TYPES: dict[str, type] = {"name": str, "documentAttribute": dict, "children": list}


def _problem_of_entry(entry: object, known: Mapping[str, SourceFile]) -> dict[str, str] | None:
    if not isinstance(entry, dict):
        return invalid_value("sourceFiles")
    if not isinstance(entry.get("id"), str) or entry["id"] not in known:
        return invalid_value("sourceFiles.id")
    if entry.get("action") not in (None, *MANIFEST_ACTIONS):
        return invalid_value("sourceFiles.action")
    if not _is_url_or_none(entry.get("url")):
        # Never the value itself: such a URL opens the file for whoever reads it.
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
    # What is in these is told only by examples, but for one list.
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
