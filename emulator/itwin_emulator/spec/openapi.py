"""The emulator's description of itself, in OpenAPI 3.0: made from the same table by which it recognizes requests."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from itwin_emulator.api.json_cache import encode
from itwin_emulator.domain.ids import SOUND_PATTERN
from itwin_emulator.http.oauth import REQUIRED_SCOPE
from itwin_emulator.http.request import PAGE_LIMIT
from itwin_emulator.spec.operations import IDENTITY, OPERATIONS, Operation
from itwin_emulator.spec.schemas import SHAPES, TEXT, Schema, ref

_ALWAYS = (401, 406, 429)
_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted: the run was started; Location names it",
    204: "No Content",
    303: "See Other: a run is at work on the iModel already; Location names it",
    400: "Bad Request",
    401: "Unauthorized: no token, a bad one, or one of an unknown client",
    403: "Forbidden: no role, or one that does not suffice",
    404: "Not Found, or not for this client to see",
    406: "Not Acceptable: another version of the API was asked for",
    409: "Conflict: the file is mapped already, the connection is in use, or another start is being worked on",
    422: "Unprocessable Entity: the details say what is wrong with the request",
    429: "Too Many Requests",
}
_QUERY: dict[str, tuple[str, Schema]] = {
    "$top": ("How many entities a page has.", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT}),
    "$skip": ("How many entities come before the page.", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    "imodelId": ("Id of the iModel.", {"type": "string", "pattern": SOUND_PATTERN}),
    "redirectUrl": (
        "Where to go after the sign-in.",
        {"type": "string", "pattern": "^https?://[a-z]"},
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
def encoded_description(url: str) -> bytes:
    """Give the description as JSON; ``url`` is the origin of the service."""
    return encode(description(url))


def description(url: str) -> dict[str, Any]:
    """Describe every operation of the table."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.template, {})[operation.method.lower()] = _operation(operation)
    flow = {"tokenUrl": f"{url}/connect/token", "scopes": {REQUIRED_SCOPE: "all of it"}}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "iTwin Platform emulator",
            "version": "1",
            "description": "The Synchronization API and the Export API of the iTwin Platform, as far as this emulator has "
            "them, and the identity service that gives tokens for them. Not a document of Bentley's.",
        },
        "servers": [{"url": url}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.api for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": SHAPES,
            "securitySchemes": {"serviceApplication": {"type": "oauth2", "flows": {"clientCredentials": flow}}},
        },
        "security": [{"serviceApplication": [REQUIRED_SCOPE]}],
    }


def title(operation: Operation) -> str:
    """Say in words what an operation does, as its documentation does."""
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
        described["requestBody"] = {"required": True, "content": {media_type: {"schema": ref(operation.body)}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": SOUND_PATTERN}}
        for name in re.findall(r"\{(\w+)\}", operation.template)
    ]
    for given in operation.query:
        name = given.removesuffix("*")
        text, schema = _QUERY[name]
        parameters.append(
            {"name": name, "in": "query", "description": text, "required": given.endswith("*"), "schema": schema}
        )
    if len(operation.answer) > 1:
        # A server passes over preferences that it does not know, so any text will do.
        text = "return=minimal (as without it) or return=representation."
        example = "return=representation"
        parameters.append(
            {
                "name": "Prefer",
                "in": "header",
                "description": text,
                "required": False,
                "schema": TEXT,
                "example": example,
            }
        )
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    responses = {str(operation.status): _success(operation)}
    if operation.starts_run:
        responses["303"] = _with_location(303)
    always = () if operation.api == IDENTITY else _ALWAYS
    for status in sorted({*operation.refusals, *always}):
        responses[str(status)] = _refusal(operation, status)
    return responses


def _success(operation: Operation) -> dict[str, Any]:
    if operation.starts_run:
        return _with_location(operation.status)
    described: dict[str, Any] = {"description": _REASONS[operation.status]}
    shapes = [ref(name) for name in operation.answer]
    if shapes:
        schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        described["content"] = {"application/json": {"schema": schema}}
    return described


def _with_location(status: int) -> dict[str, Any]:
    location = {"description": "The run, as an absolute URL.", "required": True, "schema": {**TEXT, "format": "uri"}}
    return {"description": _REASONS[status], "headers": {"Location": location}}


def _refusal(operation: Operation, status: int) -> dict[str, Any]:
    shape = "token-error-answer" if operation.api == IDENTITY else "error-answer"
    described: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {"application/json": {"schema": ref(shape)}},
    }
    if status == 429:
        wait = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        described["headers"] = {"Retry-After": wait}
    return described
