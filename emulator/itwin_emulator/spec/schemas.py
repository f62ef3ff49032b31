"""
Schemas of request and response bodies, in the dialect of OpenAPI 3.0.

Schemas of responses follow the documentation: no field is required, no other field is allowed. Quirks violate them on purpose.
"""

from __future__ import annotations

from itwin_emulator.api.runs import EXPORT_TYPES, IFC_VERSIONS, MANIFEST_ACTIONS
from itwin_emulator.domain.entities import AUTHENTICATION_TYPES
from itwin_emulator.domain.run_plans import RESULTS, STATES
from itwin_emulator.domain.source_files import CONNECTOR_TYPES
from itwin_emulator.spec.imodels_schemas import IMODELS_SCHEMAS
from itwin_emulator.spec.itwins_schemas import ITWINS_SCHEMAS
from itwin_emulator.spec.jobs_schemas import JOBS_SCHEMAS
from itwin_emulator.spec.schema_types import BOOLEAN, INTEGER, NAME, STRING, URL, Schema, ref
from itwin_emulator.spec.schema_types import array as _array
from itwin_emulator.spec.schema_types import enumeration as _enum
from itwin_emulator.spec.schema_types import nullable as _nullable
from itwin_emulator.spec.schema_types import object_ as _object
from itwin_emulator.spec.schema_types import open_object as _open_object
from itwin_emulator.spec.schema_types import page as _page
from itwin_emulator.spec.schema_types import response as _response
from itwin_emulator.spec.storage_schemas import STORAGE_SCHEMAS

_DATES = {"startDateTime": STRING, "endDateTime": STRING}
_FREE_STATUS = {"state": STRING, "result": STRING}
_STATUS = {"state": ref("execution-state"), "result": ref("execution-result")}
_SYNCHRONIZED = {"phase": ref("job-phase"), **_STATUS, "error": ref("run-error-details")}
_TASK = {"id": STRING, **_DATES, "retryAttempts": INTEGER, **_FREE_STATUS, "error": ref("task-error")}


def _run(kind: str) -> dict[str, Schema]:
    """Return the schemas of runs, jobs and tasks of a kind of connection."""
    run = {"id": STRING, "connectionId": STRING, **_DATES, **(_STATUS if kind == "export" else _SYNCHRONIZED)}
    job = {"id": STRING, **_DATES, **_FREE_STATUS}
    task = dict(_TASK)
    if kind == "export":
        task["exportOutputFileId"] = STRING
    else:
        job["connectorType"] = ref("connector-type")
        task["storageFileId" if kind == "storage" else "sourceFileId"] = STRING
        task["details"] = ref("task-details")
    return {
        f"{kind}-run": _object({**run, "jobs": _array(ref(f"{kind}-job"))}),
        f"{kind}-job": _object({**job, "tasks": _array(ref(f"{kind}-task"))}),
        f"{kind}-task": _object(task),
        f"{kind}-run-response": _response("run", f"{kind}-run"),
        f"{kind}-runs-page": _page("runs", f"{kind}-run"),
    }


_RESPONSES: dict[str, Schema] = {
    **_run("storage"),
    **_run("manifest"),
    **_run("export"),
    "run-summary": _object({"id": STRING, **_STATUS}),
    "runs-summary-page": _page("runs", "run-summary"),
    "run-error-details": {**_object({"errorKey": STRING, "description": STRING}), "nullable": True},
    "task-error": _object(
        {
            "errorCode": STRING,
            "message": STRING,
            "details": STRING,
            "bridgeExitCode": INTEGER,
            "system": STRING,
            "phase": STRING,
            "category": STRING,
            "descriptionKey": STRING,
            "description": STRING,
            "kbArticleLink": STRING,
            "canUserFix": BOOLEAN,
        }
    ),
    "task-details": _object({"synchronizationReport": ref("synchronization-report")}),
    "synchronization-report": _object(
        {
            "suggestedAction": _enum(("Error", "Warning", "Info")),
            "message": STRING,
            "totalErrorsCount": INTEGER,
            "totalWarningsCount": INTEGER,
            "totalOtherIssuesCount": INTEGER,
        }
    ),
    "job-phase": _enum(("Preprocessor", "MasterFile", "ReferenceFile")),
    "execution-state": _enum(STATES),
    "execution-result": _enum(tuple(result for result in RESULTS if result != "Cancelled")),
    "connector-type": _enum(CONNECTOR_TYPES),
    "authentication-type": _enum(AUTHENTICATION_TYPES),
    "link": _object({"href": STRING}),
    "paging-links": _object({"self": ref("link"), "prev": ref("link"), "next": ref("link")}),
    "connection": _object(
        {
            "id": STRING,
            "displayName": STRING,
            "iModelId": STRING,
            "iTwinId": STRING,
            "authenticationType": ref("authentication-type"),
            "_links": _object({"iModel": ref("link"), "iTwin": ref("link"), "lastRun": ref("link")}),
        }
    ),
    "connection-summary": _object({"id": STRING, "displayName": STRING}),
    "connection-response": _response("connection", "connection"),
    "connections-page": _page("connections", "connection"),
    "connections-summary-page": _page("connections", "connection-summary"),
    "storage-sourcefile": _object(
        {
            "id": STRING,
            "storageFileId": STRING,
            "connectorType": ref("connector-type"),
            "lastKnownFileName": STRING,
            "_links": _object({"file": ref("link")}),
        }
    ),
    "storage-sourcefile-summary": _object(
        {"id": STRING, "storageFileId": STRING, "lastKnownFileName": STRING, "_links": _object({"file": ref("link")})}
    ),
    "storage-sourcefile-response": _response("sourceFile", "storage-sourcefile"),
    "storage-sourcefiles-page": _page("sourceFiles", "storage-sourcefile"),
    "storage-sourcefiles-summary-page": _page("sourceFiles", "storage-sourcefile-summary"),
    "manifest-sourcefile": _object({"id": STRING, "sourceFileId": STRING}),
    "manifest-sourcefile-response": _response("sourceFile", "manifest-sourcefile"),
    "manifest-sourcefiles-page": _page("sourceFiles", "manifest-sourcefile"),
    "authorization-information-response": _object(
        {
            "authorizationInformation": _object(
                {"isUserAuthorized": BOOLEAN, "_links": _object({"authorizationUrl": ref("link")})}
            )
        },
        ("authorizationInformation",),
    ),
    "error-response": _object({"error": ref("error")}, ("error",)),
    "error": {
        **_open_object(
            {
                "code": STRING,
                "message": STRING,
                "target": {**STRING, "nullable": True},
                "details": _array(ref("error-detail")),
            },
            ("code", "message"),
        ),
        "additionalProperties": True,
    },
    "error-detail": _open_object(
        {"code": STRING, "message": STRING, "target": STRING, "innerError": _open_object({"code": STRING})},
        ("code", "message"),
    ),
    "token-response": _open_object(
        {"access_token": STRING, "expires_in": INTEGER, "token_type": _enum(("Bearer",)), "scope": STRING},
        ("access_token", "token_type"),
    ),
    "token-error-response": _open_object({"error": STRING, "error_description": STRING}, ("error",)),
    "discovery-response": _open_object(
        {
            "issuer": STRING,
            "authorization_endpoint": STRING,
            "token_endpoint": STRING,
            "jwks_uri": STRING,
            "response_types_supported": _array(STRING, 1),
            "subject_types_supported": _array(STRING, 1),
            "id_token_signing_alg_values_supported": _array(STRING, 1),
        },
        (
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "response_types_supported",
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ),
    ),
    "jwks-response": _open_object({"keys": _array({"type": "object"})}, ("keys",)),
}

_STORAGE_FILE = _open_object(
    {"storageFileId": {**STRING, "minLength": 1}, "connectorType": ref("connector-type")},
    ("storageFileId", "connectorType"),
)
_MANIFEST_FILE = _open_object({"sourceFileId": {**STRING, "minLength": 1}}, ("sourceFileId",))
_SETTINGS = {"displayName": NAME, "authenticationType": _nullable(_enum(AUTHENTICATION_TYPES))}
_NEW_CONNECTION = {"iModelId": STRING, **_SETTINGS}


def _new_connection(file: Schema) -> Schema:
    return _open_object({**_NEW_CONNECTION, "sourceFiles": _array(file, 1)}, ("iModelId", "sourceFiles"))


_REQUESTS: dict[str, Schema] = {
    "create-storage-connection": _new_connection(_STORAGE_FILE),
    "create-manifest-connection": _new_connection(_MANIFEST_FILE),
    "create-export-connection": _open_object(_NEW_CONNECTION, ("iModelId",)),
    "update-connection": _open_object(_SETTINGS),
    "storage-sourcefile-body": _STORAGE_FILE,
    "manifest-sourcefile-body": _MANIFEST_FILE,
    "create-manifest-run": _open_object(
        {"documentAttributeSchemaUrl": _nullable(URL), "sourceFiles": _nullable(_array(ref("manifest-entry")))}
    ),
    "manifest-entry": _open_object(
        {
            "id": STRING,
            "name": _nullable(STRING),
            "action": _nullable(_enum(MANIFEST_ACTIONS)),
            "url": _nullable(URL),
            "connectorType": _nullable(_enum(CONNECTOR_TYPES)),
            "documentAttribute": _nullable({"type": "object"}),
            "children": _nullable(_array({})),
        },
        ("id",),
    ),
    "create-export-run": _open_object(
        {
            "exportType": _enum(EXPORT_TYPES),
            "ifcVersion": _nullable(_enum(IFC_VERSIONS)),
            "inputOptions": _nullable(_open_object({"modelIds": _nullable(_array(STRING, 1))})),
            "outputOptions": _nullable({"type": "object"}),
        },
        ("exportType",),
    ),
    "token-form": _open_object(
        {
            "grant_type": _enum(("client_credentials",)),
            "client_id": STRING,
            "client_secret": STRING,
            "scope": STRING,
        },
        ("grant_type",),
    ),
}

SCHEMAS: dict[str, Schema] = {
    **_RESPONSES,
    **_REQUESTS,
    **IMODELS_SCHEMAS,
    **ITWINS_SCHEMAS,
    **STORAGE_SCHEMAS,
    **JOBS_SCHEMAS,
}
