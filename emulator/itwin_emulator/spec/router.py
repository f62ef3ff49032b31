"""The router: finds the operation of a method and a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from itwin_emulator.spec.operations import OPERATIONS, Operation


@dataclass(frozen=True, slots=True)
class Route:
    """A path, and its operation and parameters if it has an operation."""

    path: str
    segments: tuple[str, ...]
    operation: Operation | None = None
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
    found = ROUTER.find(method, segments)
    return Route("/" + "/".join(segments), segments, *(found or ()))
