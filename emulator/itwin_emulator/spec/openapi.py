"""The OpenAPI 3.0 document, generated from the table of operations."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from itwin_emulator.api.changed_elements import STRATEGIES
from itwin_emulator.api.itwins import CLASSES
from itwin_emulator.api.request import PAGE_LIMIT
from itwin_emulator.api.transformations import ORDERS, QUEUEING, STATUSES
from itwin_emulator.domain.ids import ID_PATTERN
from itwin_emulator.http.responses import encode
from itwin_emulator.http.scopes import OLDER_SCOPES, PLATFORM_SCOPE
from itwin_emulator.spec.jobs_schemas import CHANGESET_ID_PATTERN, CHANGESET_PATTERN
from itwin_emulator.spec.operations import IDENTITY, OPERATIONS, Operation
from itwin_emulator.spec.schema_types import STRING, Schema, ref
from itwin_emulator.spec.schemas import SCHEMAS

_COMMON_ERRORS = (401, 406, 429)
_DESCRIPTIONS = {
    200: "OK",
    201: "Created",
    202: "Accepted; Location is the URL of the run, or of the new iModel; for uploads, the body has the URLs",
    204: "No Content",
    302: "Found; Location is the pre-signed URL of the content",
    303: "See Other: the iModel has an active run; Location is its URL",
    400: "Bad Request",
    401: "Unauthorized: the token is missing, invalid, or of an unknown client",
    403: "Forbidden: no sufficient role",
    404: "Not Found, or not visible to the client",
    406: "Not Acceptable: unknown API version",
    409: "Conflict: the file is mapped already, the connection is in use, another start is in progress, the name or "
    "the job exists, or another job runs",
    422: "Unprocessable Entity: the details list the invalid values",
    429: "Too Many Requests",
    501: "Not Implemented: the real service has this, the emulator has not",
}
_SUB_CLASS = "|".join(one for names in CLASSES.values() for one in names)
_QUERY: dict[str, tuple[str, Schema]] = {
    "$top": ("Page size.", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT}),
    "$skip": ("Number of entities before the page.", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    "$orderBy": (
        "Property to order by, optionally with `asc` or `desc`.",
        {"type": "string", "pattern": "^[a-zA-Z]+( asc| desc)?$"},
    ),
    "$search": ("Text that name or description contain.", {"type": "string"}),
    "name": ("Exact name.", {"type": "string"}),
    "displayName": ("Exact name.", {"type": "string"}),
    "number": ("Exact number.", {"type": "string"}),
    "type": ("Type.", {"type": "string"}),
    "class": ("Class.", {"type": "string"}),
    "subClass": (
        "Subclasses, separated by commas.",
        {"type": "string", "pattern": f"^({_SUB_CLASS})(,({_SUB_CLASS}))*$"},
    ),
    "status": ("Status.", {"type": "string", "enum": ["Active", "Inactive", "Trial"]}),
    "parentId": ("Id of the parent.", {"type": "string"}),
    "iTwinAccountId": ("Id of the account.", {"type": "string"}),
    "includeInactive": (
        "Whether to include inactive iTwins; not together with `status`.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    "state": ("State.", {"type": "string"}),
    "iTwinId": ("Id of the iTwin.", {"type": "string", "pattern": ID_PATTERN}),
    "afterIndex": ("Only changesets with a greater index.", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    "lastIndex": ("Only changesets up to this index.", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    "imodelId": ("Id of the iModel.", {"type": "string", "pattern": ID_PATTERN}),
    "projectId": ("Old name of iTwinId.", {"type": "string", "pattern": ID_PATTERN}),
    "configurationId": ("Id of the configuration.", {"type": "string"}),
    "targetIModelId": ("Id of the target iModel; it or `configurationId` is required.", {"type": "string"}),
    "Status": ("Status.", {"type": "string", "enum": list(STATUSES)}),
    "OrderBy": ("Order.", {"type": "string", "enum": list(ORDERS)}),
    "iModelId": ("Id of the iModel.", {"type": "string", "pattern": ID_PATTERN}),
    "startChangeset": ("Index or id of the first changeset.", {"type": "string", "pattern": CHANGESET_PATTERN}),
    "endChangeset": ("Index or id of the last changeset.", {"type": "string", "pattern": CHANGESET_PATTERN}),
    "startChangesetId": ("Id of the first changeset.", {"type": "string", "pattern": CHANGESET_ID_PATTERN}),
    "endChangesetId": ("Id of the last changeset.", {"type": "string", "pattern": CHANGESET_ID_PATTERN}),
    "startChangesetIndex": ("Index of the first changeset; an older name.", {"type": "integer", "minimum": 1}),
    "endChangesetIndex": ("Index of the last changeset; an older name.", {"type": "integer", "minimum": 1}),
    "diffingStrategy": ("Strategy, in any case.", {"type": "string", "enum": list(STRATEGIES)}),
    "$continuationToken": ("Token of the link to the next page.", {"type": "string"}),
    "location": ("Location of a partition.", {"type": "string"}),
    "$filter": ("Comparisons, joined by `and` and `or`; at least one.", {"type": "string"}),
    "continuationToken": ("Token of the link to the next page.", {"type": "string"}),
    "redirectUrl": (
        "URL to return to after the sign-in.",
        {"type": "string", "pattern": "^https?://[a-z]"},
    ),
}
_QUERY_OF: dict[tuple[str, str], tuple[str, Schema]] = {
    ("get-repositories-by-itwin-id", "subClass"): ("Subclass.", {"type": "string"}),
}
"""What differs in single operations, by their ids and the names of the parameters."""
_HEADERS: dict[str, tuple[str, Schema]] = {
    QUEUEING: (
        "Whether to wait for another transformation with the same target.",
        {"type": "string", "enum": ["true", "false"]},
    ),
}
_NAMES = {
    "storage-connection": "StorageConnection",
    "manifest-connection": "ManifestConnection",
    "export-connection": "ExportConnection",
    "sourcefile": "SourceFile",
    "imodel": "iModel",
    "itwin": "iTwin",
    "jwks": "key set",
}


@lru_cache(maxsize=16)
def openapi_json(url: str) -> bytes:
    """Return the document as JSON; ``url`` is the origin of the service."""
    return encode(openapi_document(url))


def openapi_document(url: str) -> dict[str, Any]:
    """Return the document with every operation of the table."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.template, {})[operation.method.lower()] = _operation(operation)
    flow = {
        "tokenUrl": f"{url}/connect/token",
        "scopes": {PLATFORM_SCOPE: "all APIs"} | dict.fromkeys(OLDER_SCOPES, "one API"),
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "iTwin Platform emulator",
            "version": "1",
            "description": "The APIs of the iTwin Platform that are emulated, as far as they are, and the identity service. "
            "Not an official document of Bentley.",
        },
        "servers": [{"url": url}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.api for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"serviceApplication": {"type": "oauth2", "flows": {"clientCredentials": flow}}},
        },
        "security": [{"serviceApplication": [PLATFORM_SCOPE]}],
    }


def title(operation: Operation) -> str:
    """Return the title of an operation as in its documentation."""
    words = operation.id
    for plain, name in _NAMES.items():
        words = re.sub(rf"\b{plain}(s?)\b", rf"{name}\1", words)
    words = words.replace("-", " ")
    return words[0].upper() + words[1:]


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": title(operation),
        "tags": [operation.api],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.api == IDENTITY:
        described["security"] = []
    if operation.body is not None:
        media_type = "application/x-www-form-urlencoded" if operation.api == IDENTITY else "application/json"
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {media_type: {"schema": ref(operation.body)}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": ID_PATTERN}}
        for name in re.findall(r"\{(\w+)\}", operation.template)
    ]
    for given in operation.query:
        name = given.removesuffix("*")
        text, schema = _QUERY_OF.get((operation.id, name)) or _QUERY[name]
        parameters.append(
            {"name": name, "in": "query", "description": text, "required": given.endswith("*"), "schema": schema}
        )
    for name in operation.headers:
        text, schema = _HEADERS[name]
        parameters.append({"name": name, "in": "header", "description": text, "required": False, "schema": schema})
    if len(operation.response) > 1:
        # Unknown preferences are ignored, so any string is valid.
        text = "return=minimal (default) or return=representation."
        example = "return=representation"
        parameters.append(
            {
                "name": "Prefer",
                "in": "header",
                "description": text,
                "required": False,
                "schema": STRING,
                "example": example,
            }
        )
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    responses = {str(operation.status): _success(operation)}
    if operation.starts_run:
        responses["303"] = _with_location(303)
    common = () if operation.api == IDENTITY else _COMMON_ERRORS
    for status in sorted({*operation.errors, *common}):
        responses[str(status)] = _error(operation, status)
    return responses


def _success(operation: Operation) -> dict[str, Any]:
    if not operation.response and operation.status in (202, 302) and operation.location:
        return _with_location(operation.status)
    described: dict[str, Any] = {"description": _DESCRIPTIONS[operation.status]}
    schemas = [ref(name) for name in operation.response]
    if schemas:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        described["content"] = {operation.media_type: {"schema": schema}}
    return described


def _with_location(status: int) -> dict[str, Any]:
    text = "The pre-signed URL, a secret." if status == 302 else "The absolute URL."
    location = {"description": text, "required": True, "schema": {**STRING, "format": "uri"}}
    return {"description": _DESCRIPTIONS[status], "headers": {"Location": location}}


def _error(operation: Operation, status: int) -> dict[str, Any]:
    name = "token-error-response" if operation.api == IDENTITY else "error-response"
    described: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {"application/json": {"schema": ref(name)}},
    }
    if status == 429:
        wait = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        described["headers"] = {"Retry-After": wait}
    return described
