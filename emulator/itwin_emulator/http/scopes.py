"""Scopes: today one for all APIs; the documentation of earlier years names two for each API, which still work beside it."""

from __future__ import annotations

from functools import cache

PLATFORM_SCOPE = "itwin-platform"
_PREFIXES = {
    "Synchronization": "synchronization",
    "Export": "export",
    "Storage": "storage",
    "iModels": "imodels",
    "iTwins": "itwins",
    "Transformations": "transformations",
    "Changed Elements": "changedelements",
    "Grouping and Mapping": "insights",
}
OLDER_SCOPES = tuple(f"{prefix}:{access}" for prefix in _PREFIXES.values() for access in ("read", "modify"))


@cache
def accepted_scopes(api: str, method: str) -> frozenset[str]:
    """Return the scopes that allow an operation; one of them is enough."""
    prefix = _PREFIXES.get(api)
    if prefix is None:
        return frozenset({PLATFORM_SCOPE})
    return frozenset({PLATFORM_SCOPE, f"{prefix}:{'read' if method == 'GET' else 'modify'}"})
