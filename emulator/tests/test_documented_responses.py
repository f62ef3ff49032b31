"""Every refusal that the documentation shows, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator
from platform_client import EXPORT, MANIFEST, STORAGE, Api

CANNOT = "Cannot perform operation."
MISSING_BODY = {"code": "MissingRequestBody", "message": "Request body was not provided."}
FORBIDDEN = {
    "code": "InsufficientPermissions",
    "message": "The user has insufficient permissions for the requested operation.",
}
MAPPED = {"code": "FileMappingToTheIModelAlreadyExists", "message": "The SourceFile is already mapped to the iModel."}


def invalid(code: str, *details: dict[str, str]) -> dict[str, Any]:
    return {"code": code, "message": CANNOT, "details": list(details)}


def wrong(target: str, message: str | None = None) -> dict[str, str]:
    return {"code": "InvalidValue", "message": message or f"Provided {target} value is not valid.", "target": target}


def absent(target: str) -> dict[str, str]:
    return {"code": "MissingRequiredParameter", "message": f"{target} was not provided.", "target": target}


def lacking(target: str, of: str) -> dict[str, str]:
    return {"code": "MissingRequiredProperty", "message": f"A property required to {of} is missing.", "target": target}


CONNECTORS = (
    "connectorType must be one of: AUTOPLANT, AVEVADIAGRAMS, AVEVAPID, CIVIL, CIVIL3D, DWG, GEOSPATIAL, IFC, INTELLIPID, "
    "MSTN, NWD, OBD, OPENTOWER, PROSTRUCTURES, PSEXCEL, REVIT, SHELLEDWCSV, SPPID, SPXREVIEW"
)
CREATE = "create or update a connection"
ADD = "add or update a connection sourceFile"
NO_STORAGE = {"code": "StorageConnectionNotFound", "message": "Requested StorageConnection is not available."}
NO_MANIFEST = {"code": "ManifestConnectionNotFound", "message": "Requested ManifestConnection is not available."}
NO_EXPORT = {"code": "ConnectionNotFound", "message": "Requested Connection is not available."}
NO_STORAGE_RUN = {"code": "StorageConnectionRunNotFound", "message": "Requested StorageConnectionRun is not available."}
NO_MANIFEST_RUN = {
    "code": "ManifestConnectionRunNotFound",
    "message": "Requested ManifestConnection Run is not available.",
}
NO_EXPORT_RUN = {"code": "ConnectionRunNotFound", "message": "Requested Connection Run is not available."}
NO_STORAGE_FILE = {
    "code": "StorageConnectionSourceFileNotFound",
    "message": "Requested StorageConnectionSourceFile is not available.",
}
NO_MANIFEST_FILE = {
    "code": "ManifestConnectionSourceFileNotFound",
    "message": "Requested ManifestConnectionSourceFile is not available.",
}
FILE = {"storageFileId": "new", "connectorType": "MSTN"}

# Connections "s", "m" and "e" exist, of an iModel "model"; "s" and "m" have a file "used".
TABLE: list[tuple[str, str, Any, int, dict[str, Any]]] = [
    # Not found
    ("GET", f"{STORAGE}/x", None, 404, NO_STORAGE),
    ("PUT", f"{STORAGE}/x", {}, 404, NO_STORAGE),
    ("DELETE", f"{STORAGE}/x", None, 404, NO_STORAGE),
    ("POST", f"{STORAGE}/x/run", None, 404, NO_STORAGE),
    ("GET", f"{STORAGE}/x/runs", None, 404, NO_STORAGE),
    ("GET", f"{STORAGE}/x/sourcefiles", None, 404, NO_STORAGE),
    ("GET", f"{STORAGE}/x/runs/x", None, 404, NO_STORAGE_RUN),
    ("GET", f"{STORAGE}/s/runs/x", None, 404, NO_STORAGE_RUN),
    ("GET", f"{STORAGE}/s/sourcefiles/x", None, 404, NO_STORAGE_FILE),
    ("PUT", f"{STORAGE}/s/sourcefiles/x", FILE, 404, NO_STORAGE_FILE),
    ("DELETE", f"{STORAGE}/s/sourcefiles/x", None, 404, NO_STORAGE_FILE),
    ("GET", f"{STORAGE}/x/sourcefiles/x", None, 404, NO_STORAGE_FILE),
    ("POST", f"{STORAGE}/x/sourcefiles", FILE, 404, NO_STORAGE | {"code": "StorageConnectionSourceFileNotFound"}),
    ("GET", f"{MANIFEST}/x", None, 404, NO_MANIFEST),
    ("PUT", f"{MANIFEST}/x", {}, 404, NO_MANIFEST),
    ("DELETE", f"{MANIFEST}/x", None, 404, NO_MANIFEST),
    ("POST", f"{MANIFEST}/x/runs", {}, 404, NO_MANIFEST),
    ("GET", f"{MANIFEST}/x/runs", None, 404, NO_MANIFEST),
    ("GET", f"{MANIFEST}/m/runs/x", None, 404, NO_MANIFEST_RUN),
    ("GET", f"{MANIFEST}/m/sourcefiles/x", None, 404, NO_MANIFEST_FILE),
    (
        "POST",
        f"{MANIFEST}/x/sourcefiles",
        {"sourceFileId": "new"},
        404,
        NO_MANIFEST | {"code": "ManifestConnectionSourceFileNotFound"},
    ),
    ("GET", f"{EXPORT}/x", None, 404, NO_EXPORT),
    ("DELETE", f"{EXPORT}/x", None, 404, NO_EXPORT),
    ("POST", f"{EXPORT}/x/runs", {"exportType": "IFC"}, 404, NO_EXPORT),
    ("GET", f"{EXPORT}/x/runs", None, 404, NO_EXPORT),
    ("GET", f"{EXPORT}/e/runs/x", None, 404, NO_EXPORT_RUN),
    (
        "GET",
        f"{EXPORT}?imodelId=x",
        None,
        404,
        {"code": "iModelNotFound", "message": "Requested iModel is not available."},
    ),
    ("GET", "/imodels/x", None, 404, {"code": "iModelNotFound", "message": "Requested iModel is not available."}),
    ("GET", "/itwins/x", None, 404, {"code": "iTwinNotFound", "message": "Requested iTwin is not available."}),
    # Ids that cannot be ids
    ("GET", f"{STORAGE}/a b", None, 422, invalid("InvalidStorageConnectionRequest", wrong("connectionId"))),
    ("DELETE", f"{STORAGE}/a b", None, 422, invalid("InvalidStorageConnectionRequest", wrong("connectionId"))),
    ("POST", f"{STORAGE}/a b/run", None, 422, invalid("InvalidStorageConnectionRunRequest", wrong("connectionId"))),
    ("GET", f"{STORAGE}/a b/runs/x", None, 422, invalid("InvalidStorageConnectionRunRequest", wrong("connectionId"))),
    ("GET", f"{STORAGE}/s/runs/a b", None, 422, invalid("InvalidStorageConnectionRunRequest", wrong("runId"))),
    ("GET", f"{MANIFEST}/a b/runs/x", None, 422, invalid("InvalidManifestConnectionRunRequest", wrong("connectionId"))),
    ("GET", f"{EXPORT}/a b/runs/x", None, 422, invalid("InvalidConnectionRunRequest", wrong("connectionId"))),
    ("DELETE", f"{EXPORT}/a b", None, 422, invalid("InvalidExportConnectionRequest", wrong("connectionId"))),
    (
        "GET",
        f"{STORAGE}/s/sourcefiles/a b",
        None,
        422,
        invalid("InvalidStorageConnectionSourceFileRequest", wrong("sourceFileId")),
    ),
    # Bodies
    ("POST", STORAGE, None, 422, MISSING_BODY),
    ("POST", MANIFEST, None, 422, MISSING_BODY),
    ("POST", EXPORT, None, 422, MISSING_BODY),
    ("PUT", f"{STORAGE}/s", None, 422, MISSING_BODY),
    ("PUT", f"{MANIFEST}/m", None, 422, MISSING_BODY),
    ("POST", f"{STORAGE}/s/sourcefiles", None, 422, MISSING_BODY),
    ("POST", f"{MANIFEST}/m/runs", None, 422, MISSING_BODY),
    ("POST", f"{EXPORT}/e/runs", None, 422, MISSING_BODY),
    (
        "POST",
        STORAGE,
        b"{no json",
        422,
        invalid(
            "InvalidStorageConnectionRequest",
            {"code": "InvalidRequestBody", "message": "Error parsing JSON, malformed JSON."},
        ),
    ),
    (
        "POST",
        f"{MANIFEST}/m/sourcefiles",
        b"[]",
        422,
        invalid(
            "InvalidManifestConnectionSourceFileRequest",
            {"code": "InvalidRequestBody", "message": "Error parsing JSON, malformed JSON."},
        ),
    ),
    (
        "POST",
        STORAGE,
        {},
        422,
        invalid("InvalidStorageConnectionRequest", absent("imodelId"), lacking("sourceFiles", CREATE)),
    ),
    (
        "POST",
        STORAGE,
        {
            "iModelId": "x",
            "sourceFiles": [{"storageFileId": "f", "connectorType": "PAPER"}],
            "authenticationType": "Robot",
        },
        422,
        invalid(
            "InvalidStorageConnectionRequest",
            wrong("authenticationType"),
            wrong("imodelId"),
            wrong("connectorType", CONNECTORS),
        ),
    ),
    (
        "POST",
        STORAGE,
        {"iModelId": "model", "sourceFiles": [{}]},
        422,
        invalid("InvalidStorageConnectionRequest", lacking("storageFileId", CREATE), lacking("connectorType", CREATE)),
    ),
    (
        "POST",
        MANIFEST,
        {"iModelId": "model", "sourceFiles": [{}]},
        422,
        invalid("InvalidManifestConnectionRequest", lacking("sourceFileId", CREATE)),
    ),
    ("POST", EXPORT, {"displayName": "a"}, 422, invalid("InvalidExportConnectionRequest", absent("imodelId"))),
    ("PUT", f"{STORAGE}/s", {"displayName": 5}, 422, invalid("InvalidStorageConnectionRequest", wrong("displayName"))),
    (
        "POST",
        f"{STORAGE}/s/sourcefiles",
        {},
        422,
        invalid(
            "InvalidStorageConnectionSourceFileRequest", lacking("storageFileId", ADD), lacking("connectorType", ADD)
        ),
    ),
    (
        "POST",
        f"{MANIFEST}/m/sourcefiles",
        {},
        422,
        invalid("InvalidManifestConnectionSourceFileRequest", lacking("sourceFileId", ADD)),
    ),
    (
        "POST",
        f"{MANIFEST}/m/runs",
        {"sourceFiles": [{"id": "unknown"}, {"id": "used", "action": "burn"}]},
        422,
        invalid("InvalidManifestConnectionRunRequest", wrong("sourceFiles.id"), wrong("sourceFiles.action")),
    ),
    (
        "POST",
        f"{MANIFEST}/m/runs",
        {"sourceFiles": [{"id": "used", "url": "ftp://secret"}]},
        422,
        invalid("InvalidManifestConnectionRunRequest", wrong("sourceFiles.url")),
    ),
    (
        "POST",
        f"{EXPORT}/e/runs",
        {},
        422,
        invalid(
            "InvalidConnectionRunRequest",
            {"code": "MissingRequiredProperty", "message": "exportType was not provided.", "target": "exportType"},
        ),
    ),
    (
        "POST",
        f"{EXPORT}/e/runs",
        {"exportType": "LandXML", "ifcVersion": "IFC9", "inputOptions": {"modelIds": []}},
        422,
        invalid(
            "InvalidConnectionRunRequest",
            wrong("exportType"),
            wrong("ifcVersion"),
            wrong("modelIds", "An empty array is not accepted."),
        ),
    ),
    # Conflicts that last
    (
        "POST",
        STORAGE,
        {"iModelId": "model", "sourceFiles": [{"storageFileId": "used", "connectorType": "MSTN"}]},
        409,
        MAPPED | {"message": "One or more SourceFiles are already mapped to the iModel."},
    ),
    ("POST", f"{STORAGE}/s/sourcefiles", {"storageFileId": "used", "connectorType": "DWG"}, 409, MAPPED),
    ("POST", f"{MANIFEST}/m/sourcefiles", {"sourceFileId": "used"}, 409, MAPPED),
    # Parameters
    ("GET", MANIFEST, None, 422, invalid("InvalidManifestConnectionsRequest", absent("imodelId"))),
    ("GET", EXPORT, None, 422, invalid("InvalidExportConnectionsRequest", absent("imodelId"))),
    (
        "GET",
        "/synchronization/imodels/connections",
        None,
        422,
        invalid("InvalidConnectionsRequest", absent("imodelId")),
    ),
    (
        "GET",
        f"{STORAGE}/s/sourcefiles?$top=0",
        None,
        422,
        invalid("InvalidStorageConnectionSourceFilesRequest", wrong("$top", "Page size is out of limits.")),
    ),
    (
        "GET",
        "/synchronization/imodels/connections/authorizationinformation?redirectUrl=nowhere",
        None,
        422,
        invalid("InvalidAuthorizationInformationRequest", wrong("redirectUrl", "redirectUrl should be a valid URL.")),
    ),
    (
        "GET",
        "/export/authorizationinformation?redirectUrl=nowhere",
        None,
        422,
        invalid("InvalidAuthorizationInformationRequest", wrong("$redirectUrl", "redirectUrl should be a valid URL.")),
    ),
]


def add_connections(emulator: Emulator) -> None:
    used = {"name": "used.dgn", "file_id": "used"}
    emulator.add_connection("storage", "s", "model", files=[used])
    emulator.add_connection("manifest", "m", "model", files=[used])
    emulator.add_connection("export", "e", "model")


def ask(api: Api, method: str, path: str, body: Any) -> Any:
    if isinstance(body, bytes):
        return api.call(method, path, data=body, headers={"Content-Type": "application/json"})
    return api.call(method, path, json=body) if body is not None else api.call(method, path)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"), TABLE, ids=[f"{row[3]} {row[0]} {row[1]}" for row in TABLE]
)
def test_refusal(
    emulator: Emulator, api: Api, method: str, path: str, body: Any, status: int, error: dict[str, Any]
) -> None:
    add_connections(emulator)
    answer = ask(api, method, path, body)
    assert answer.status_code == status
    assert answer.json() == {"error": error}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["x-correlation-id"]
    assert answer.headers["x-itwinplatform-media-type"] == "bentley.itwin-platform.v1"


@pytest.mark.parametrize("row", [row for row in TABLE if row[3] != 422], ids=lambda row: f"{row[0]} {row[1]}")
def test_the_token_comes_first(emulator: Emulator, api: Api, row: tuple[str, str, Any, int, Any]) -> None:
    answer = api.call(row[0], row[1], json=row[2], headers={"Authorization": None})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "HeaderNotFound"


def test_who_may_not_start_runs(emulator: Emulator) -> None:
    add_connections(emulator)
    itwin = emulator.store.imodels["model"].itwin_id
    for roles in ({}, {itwin: "reader"}):
        api = Api(emulator.url, *emulator.add_client(roles=roles))
        for kind, connection in (("storage", "s"), ("manifest", "m"), ("export", "e")):
            answer = api.start(kind, connection)
            assert answer.status_code == 403
            assert answer.json() == {"error": FORBIDDEN}


def test_an_export_connection_in_use_cannot_be_deleted(emulator: Emulator, api: Api) -> None:
    add_connections(emulator)
    emulator.start_run("e")
    answer = api.call("DELETE", f"{EXPORT}/e")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ConnectionAlreadyInUse"
    emulator.finish_run("e")
    assert api.call("DELETE", f"{EXPORT}/e").status_code == 204


def test_paths_of_no_operation_get_an_error_object(api: Api) -> None:
    for method, path in (
        ("GET", "/nowhere"),
        ("PATCH", f"{STORAGE}/s"),
        ("POST", f"{STORAGE}/s/cancel"),
        ("GET", "/export"),
    ):
        answer = api.call(method, path)
        assert answer.status_code == 404
        message = f"The iTwin Platform has no operation {method} {path}."
        assert answer.json() == {"error": {"code": "ResourceNotFound", "message": message}}


def test_the_gateway_of_2021(emulator: Emulator, api: Api) -> None:
    emulator.quirks.old_gateway_errors = True
    refused = api.get(f"{STORAGE}/s", headers={"Authorization": "Bearer e30.e30.bad"})
    assert refused.status_code == 401
    assert refused.json() == {
        "statusCode": 401,
        "message": "Access denied due to invalid access_token. Make sure to provide a valid token for this API endpoint.",
    }
    emulator.limit_rate(per_minute=0)
    limited = api.get(f"{STORAGE}/s")
    assert limited.json() == {
        "code": "TooManyRequests",
        "message": "More requests were received than the subscription rate-limit allows.",
    }
