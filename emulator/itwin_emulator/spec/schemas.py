"""
The shapes of bodies, as schemas in the dialect of OpenAPI 3.0: what requests may be like, and what answers are like.

Those of answers follow the documentation, which requires no field and allows no others. The oddities of the emulator break
them, on purpose.
"""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.runs import EXPORT_TYPES, IFC_VERSIONS, MANIFEST_ACTIONS
from itwin_emulator.domain.entities import AUTHENTICATION_TYPES, CONNECTOR_TYPES
from itwin_emulator.domain.run_plans import RESULTS, STATES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
NAME: Schema = {"type": "string", "maxLength": 255, "nullable": True}
URL: Schema = {"type": "string", "pattern": "^https?://"}
"""A link; what it is like beyond its beginning nobody has looked into."""


def ref(name: str) -> Schema:
    """Refer to a shape by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def _enum(values: tuple[str, ...]) -> Schema:
    return {"type": "string", "enum": list(values)}


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "nullable": True}


def _entity(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Describe what the service sends: these properties and no others."""
    need = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **need, "additionalProperties": False}


def _wish(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Describe what a client sends: what the service does not know does no harm."""
    need = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **need}


def _answer(name: str, shape: str) -> Schema:
    return _entity({name: ref(shape)}, (name,))


def _page(name: str, shape: str) -> Schema:
    return _entity({name: _array(ref(shape)), "_links": ref("paging-links")}, (name, "_links"))


_MOMENTS = {"startDateTime": TEXT, "endDateTime": TEXT}
_COURSE = {"state": TEXT, "result": TEXT}
_RUN = {"state": ref("execution-state"), "result": ref("execution-result")}
_SYNCHRONIZED = {"phase": ref("job-phase"), **_RUN, "error": ref("run-error-details")}
_TASK = {"id": TEXT, **_MOMENTS, "retryAttempts": NUMBER, **_COURSE, "error": ref("task-error")}


def _run(kind: str) -> dict[str, Schema]:
    """Describe the runs of a kind of connection, with their jobs and tasks."""
    run = {"id": TEXT, "connectionId": TEXT, **_MOMENTS, **(_RUN if kind == "export" else _SYNCHRONIZED)}
    job = {"id": TEXT, **_MOMENTS, **_COURSE}
    task = dict(_TASK)
    if kind == "export":
        task["exportOutputFileId"] = TEXT
    else:
        job["connectorType"] = ref("connector-type")
        task["storageFileId" if kind == "storage" else "sourceFileId"] = TEXT
        task["details"] = ref("task-details")
    return {
        f"{kind}-run": _entity({**run, "jobs": _array(ref(f"{kind}-job"))}),
        f"{kind}-job": _entity({**job, "tasks": _array(ref(f"{kind}-task"))}),
        f"{kind}-task": _entity(task),
        f"{kind}-run-answer": _answer("run", f"{kind}-run"),
        f"{kind}-runs-page": _page("runs", f"{kind}-run"),
    }


_ANSWERS: dict[str, Schema] = {
    **_run("storage"),
    **_run("manifest"),
    **_run("export"),
    "run-summary": _entity({"id": TEXT, **_RUN}),
    "runs-summary-page": _page("runs", "run-summary"),
    "run-error-details": {**_entity({"errorKey": TEXT, "description": TEXT}), "nullable": True},
    "task-error": _entity(
        {
            "errorCode": TEXT,
            "message": TEXT,
            "details": TEXT,
            "bridgeExitCode": NUMBER,
            "system": TEXT,
            "phase": TEXT,
            "category": TEXT,
            "descriptionKey": TEXT,
            "description": TEXT,
            "kbArticleLink": TEXT,
            "canUserFix": TRUTH,
        }
    ),
    "task-details": _entity({"synchronizationReport": ref("synchronization-report")}),
    "synchronization-report": _entity(
        {
            "suggestedAction": _enum(("Error", "Warning", "Info")),
            "message": TEXT,
            "totalErrorsCount": NUMBER,
            "totalWarningsCount": NUMBER,
            "totalOtherIssuesCount": NUMBER,
        }
    ),
    "job-phase": _enum(("Preprocessor", "MasterFile", "ReferenceFile")),
    "execution-state": _enum(STATES),
    "execution-result": _enum(tuple(result for result in RESULTS if result != "Cancelled")),
    "connector-type": _enum(CONNECTOR_TYPES),
    "authentication-type": _enum(AUTHENTICATION_TYPES),
    "link": _entity({"href": TEXT}),
    "paging-links": _entity({"self": ref("link"), "prev": ref("link"), "next": ref("link")}),
    "connection": _entity(
        {
            "id": TEXT,
            "displayName": TEXT,
            "iModelId": TEXT,
            "iTwinId": TEXT,
            "authenticationType": ref("authentication-type"),
            "_links": _entity({"iModel": ref("link"), "iTwin": ref("link"), "lastRun": ref("link")}),
        }
    ),
    "connection-summary": _entity({"id": TEXT, "displayName": TEXT}),
    "connection-answer": _answer("connection", "connection"),
    "connections-page": _page("connections", "connection"),
    "connections-summary-page": _page("connections", "connection-summary"),
    "storage-sourcefile": _entity(
        {
            "id": TEXT,
            "storageFileId": TEXT,
            "connectorType": ref("connector-type"),
            "lastKnownFileName": TEXT,
            "_links": _entity({"file": ref("link")}),
        }
    ),
    "storage-sourcefile-summary": _entity(
        {"id": TEXT, "storageFileId": TEXT, "lastKnownFileName": TEXT, "_links": _entity({"file": ref("link")})}
    ),
    "storage-sourcefile-answer": _answer("sourceFile", "storage-sourcefile"),
    "storage-sourcefiles-page": _page("sourceFiles", "storage-sourcefile"),
    "storage-sourcefiles-summary-page": _page("sourceFiles", "storage-sourcefile-summary"),
    "manifest-sourcefile": _entity({"id": TEXT, "sourceFileId": TEXT}),
    "manifest-sourcefile-answer": _answer("sourceFile", "manifest-sourcefile"),
    "manifest-sourcefiles-page": _page("sourceFiles", "manifest-sourcefile"),
    "authorization-information-answer": _entity(
        {
            "authorizationInformation": _entity(
                {"isUserAuthorized": TRUTH, "_links": _entity({"authorizationUrl": ref("link")})}
            )
        },
        ("authorizationInformation",),
    ),
    # Of these two only what the links of a connection lead to: the APIs that they belong to tell more.
    "imodel-answer": _wish({"iModel": _wish({"id": TEXT, "displayName": TEXT, "iTwinId": TEXT})}, ("iModel",)),
    "itwin-answer": _wish({"iTwin": _wish({"id": TEXT, "displayName": TEXT})}, ("iTwin",)),
    "error-answer": _entity({"error": ref("error")}, ("error",)),
    "error": {
        **_wish(
            {
                "code": TEXT,
                "message": TEXT,
                "target": {**TEXT, "nullable": True},
                "details": _array(_wish({"code": TEXT, "message": TEXT, "target": TEXT}, ("code", "message"))),
            },
            ("code", "message"),
        ),
        "additionalProperties": True,
    },
    "token-answer": _wish(
        {"access_token": TEXT, "expires_in": NUMBER, "token_type": _enum(("Bearer",)), "scope": TEXT},
        ("access_token", "token_type"),
    ),
    "token-error-answer": _wish({"error": TEXT, "error_description": TEXT}, ("error",)),
    "discovery-answer": _wish(
        {
            "issuer": TEXT,
            "authorization_endpoint": TEXT,
            "token_endpoint": TEXT,
            "jwks_uri": TEXT,
            "response_types_supported": _array(TEXT, 1),
            "subject_types_supported": _array(TEXT, 1),
            "id_token_signing_alg_values_supported": _array(TEXT, 1),
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
    "jwks-answer": _wish({"keys": _array({"type": "object"})}, ("keys",)),
}

_STORAGE_FILE = _wish(
    {"storageFileId": {**TEXT, "minLength": 1}, "connectorType": ref("connector-type")},
    ("storageFileId", "connectorType"),
)
_MANIFEST_FILE = _wish({"sourceFileId": {**TEXT, "minLength": 1}}, ("sourceFileId",))
_SETTINGS = {"displayName": NAME, "authenticationType": _or_null(_enum(AUTHENTICATION_TYPES))}
_NEW_CONNECTION = {"iModelId": TEXT, **_SETTINGS}


def _new_connection(file: Schema) -> Schema:
    return _wish({**_NEW_CONNECTION, "sourceFiles": _array(file, 1)}, ("iModelId", "sourceFiles"))


_REQUESTS: dict[str, Schema] = {
    "create-storage-connection": _new_connection(_STORAGE_FILE),
    "create-manifest-connection": _new_connection(_MANIFEST_FILE),
    "create-export-connection": _wish(_NEW_CONNECTION, ("iModelId",)),
    "update-connection": _wish(_SETTINGS),
    "storage-sourcefile-body": _STORAGE_FILE,
    "manifest-sourcefile-body": _MANIFEST_FILE,
    "create-manifest-run": _wish(
        {"documentAttributeSchemaUrl": _or_null(URL), "sourceFiles": _or_null(_array(ref("manifest-entry")))}
    ),
    "manifest-entry": _wish(
        {
            "id": TEXT,
            "name": _or_null(TEXT),
            "action": _or_null(_enum(MANIFEST_ACTIONS)),
            "url": _or_null(URL),
            "connectorType": _or_null(_enum(CONNECTOR_TYPES)),
            "documentAttribute": _or_null({"type": "object"}),
            "children": _or_null(_array({})),
        },
        ("id",),
    ),
    "create-export-run": _wish(
        {
            "exportType": _enum(EXPORT_TYPES),
            "ifcVersion": _or_null(_enum(IFC_VERSIONS)),
            "inputOptions": _or_null(_wish({"modelIds": _or_null(_array(TEXT, 1))})),
            "outputOptions": _or_null({"type": "object"}),
        },
        ("exportType",),
    ),
    "token-form": _wish(
        {
            "grant_type": _enum(("client_credentials",)),
            "client_id": TEXT,
            "client_secret": TEXT,
            "scope": TEXT,
        },
        ("grant_type",),
    ),
}

SHAPES: dict[str, Schema] = {**_ANSWERS, **_REQUESTS}
