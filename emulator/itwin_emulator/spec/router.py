"""The router: finds the operation of a method and a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from itwin_emulator.spec.not_emulated import find_not_emulated
from itwin_emulator.spec.operations import OPERATIONS, Operation

RESERVED = frozenset({"favorites", "recents", "exports", "myprimaryaccount", "extendeddata", "configurations"})
"""Segments of paths that look like ids."""

SLASHES_MERGED = frozenset({"reality-modeling", "reality-analysis", "reality-conversion"})
"""APIs in whose paths a doubled slash counts as one: published versions of their SDK send ``//jobs``."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path, and its operation and parameters if it has an operation."""

    path: str
    segments: tuple[str, ...]
    operation: Operation | None = None
    not_emulated: str | None = None
    """What the real service has at this path, if it has no operation here."""
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation_id(self) -> str | None:
        """Id of the operation, or None."""
        return None if self.operation is None else self.operation.id


class Router:
    """
    Finds operations. The case of fixed segments and a trailing slash are ignored.

    :param operations: the operations to route to
    """

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._table: dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]] = {}
        for operation in operations:
            segments = tuple(operation.template.strip("/").split("/"))
            self._table.setdefault((operation.method, len(segments)), []).append((segments, operation))

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation and the parameters of a path, or None."""
        for template, operation in self._table.get((method, len(segments)), ()):
            params: dict[str, str] = {}
            for part, segment in zip(template, segments, strict=True):
                if part.startswith("{"):
                    params[part[1:-1]] = segment
                elif part != segment.lower():
                    break
            else:
                return operation, params
        return None


ROUTER = Router(OPERATIONS)


@lru_cache(maxsize=4096)
def find_route(method: str, raw_path: str) -> Route:
    """Return the route of a request. Cached, because clients that poll request the same path again and again."""
    segments = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
    if segments[0].lower() in SLASHES_MERGED:
        segments = tuple(part for part in segments if part)
    path = "/" + "/".join(segments)
    missing = find_not_emulated(method, segments)
    found = ROUTER.find(method, segments)
    # A fixed segment, such as "favorites", is no id.
    if found is None or (missing is not None and not _is_exact(found[0], segments)):
        return Route(path, segments, None, missing)
    operation, params = found
    return Route(path, segments, operation, None, params)


def _is_exact(operation: Operation, segments: tuple[str, ...]) -> bool:
    """Return whether no parameter of the operation takes a word that the real service reserves."""
    parts = zip(operation.template.strip("/").split("/"), segments, strict=True)
    return not any(part.startswith("{") and segment.lower() in RESERVED for part, segment in parts)
