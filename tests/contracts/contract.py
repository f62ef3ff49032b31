"""The documented schemas of responses, by operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from referencing import Registry, Resource

SCHEMA_FOLDER = Path(__file__).parent / "schemas"
BASE = "https://contracts.example/"
_REGISTRY: Registry[Any] = Registry().with_resources(
    (BASE + path.name, Resource.from_contents(json.loads(path.read_text()))) for path in SCHEMA_FOLDER.glob("*.json")
)

# The location of the schema of each operation; of two, the first is for "Prefer: return=minimal".
SCHEMAS: dict[str, tuple[str, ...]] = {
    "create-storage-connection": ("connection.json#/$defs/response",),
    "get-storage-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-storage-connection": ("connection.json#/$defs/response",),
    "update-storage-connection": ("connection.json#/$defs/response",),
    "delete-storage-connection": (),
    "run-storage-connection": (),
    "get-storage-connection-runs": ("common.json#/$defs/runsSummaryPage", "storage-run.json#/$defs/page"),
    "get-storage-connection-run": ("storage-run.json#/$defs/response",),
    "add-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "get-storage-connection-sourcefiles": (
        "storage-sourcefile.json#/$defs/summaryPage",
        "storage-sourcefile.json#/$defs/page",
    ),
    "get-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "update-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "remove-storage-connection-sourcefile": (),
    "create-manifest-connection": ("connection.json#/$defs/response",),
    "get-manifest-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-manifest-connection": ("connection.json#/$defs/response",),
    "update-manifest-connection": ("connection.json#/$defs/response",),
    "delete-manifest-connection": (),
    "create-manifest-connection-run": (),
    "get-manifest-connection-runs": ("common.json#/$defs/runsSummaryPage", "manifest-run.json#/$defs/page"),
    "get-manifest-connection-run": ("manifest-run.json#/$defs/response",),
    "add-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "get-manifest-connection-sourcefiles": ("manifest-sourcefile.json#/$defs/page",),
    "get-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "update-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "remove-manifest-connection-sourcefile": (),
    "create-export-connection": ("connection.json#/$defs/response",),
    "get-export-connections": ("connection.json#/$defs/page",),
    "get-export-connection": ("connection.json#/$defs/response",),
    "delete-export-connection": (),
    "create-export-connection-run": (),
    "get-export-connection-runs": ("export-run.json#/$defs/page",),
    "get-export-connection-run": ("export-run.json#/$defs/response",),
    "get-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-authorization-information": ("around.json#/$defs/authorizationInformation",),
    "get-export-authorization-information": ("around.json#/$defs/authorizationInformation",),
    "get-imodel": ("around.json#/$defs/iModel",),
    "get-itwin": ("around.json#/$defs/iTwin",),
    "token": ("identity.json#/$defs/token",),
    "discovery": ("identity.json#/$defs/discovery",),
    "jwks": ("identity.json#/$defs/keySet",),
}
ERROR = "common.json#/$defs/errorResponse"
GATEWAY_ERROR = "common.json#/$defs/gatewayErrorResponse"
TOKEN_ERROR = "identity.json#/$defs/tokenError"


def check(body: Any, place: str) -> None:
    """Fail unless a body matches the schema at a location."""
    validator = jsonschema.Draft202012Validator({"$ref": BASE + place}, registry=_REGISTRY)
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, f"not {place}: {problems}"


def place_of(operation: str | None, status: int, *, representation: bool) -> str | None:
    """Return the location of the schema of a response, or None if it has no body."""
    if operation is None:
        return GATEWAY_ERROR
    if status >= 400:
        return TOKEN_ERROR if operation == "token" else ERROR
    schemas = SCHEMAS[operation]
    if not schemas or status == 303:
        return None
    return schemas[-1] if representation else schemas[0]


def resolved(place: str) -> Any:
    """Return the schema at a location with all references resolved, without descriptions."""
    found = _REGISTRY.resolver(BASE).lookup(BASE + place)
    return _inlined(found.contents, found.resolver)


def _inlined(schema: Any, resolver: Any) -> Any:
    if isinstance(schema, list):
        return [_inlined(one, resolver) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = resolver.lookup(schema["$ref"])
        return _inlined(found.contents, found.resolver)
    return {
        name: _inlined(value, resolver)
        for name, value in schema.items()
        # There are also properties of these names.
        if not (name in ("description", "title") and isinstance(value, str))
    }
