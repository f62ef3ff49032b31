"""Faults: scripted errors of the service, by operation and number of requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

FaultKind = Literal[
    "status",
    "delay",
    "hang",
    "reset-before",
    "reset-after",
    "reset-body",
    "truncate",
    "short-length",
    "slow-body",
    "html",
    "invalid-json",
    "wrong-type",
    "wrong-content-type",
    "empty",
    "redirect",
    "huge",
    "endless",
    "gzip-bomb",
    "bare",
]

UNPROCESSED = frozenset({"status", "reset-before", "hang", "html", "redirect", "huge", "endless", "gzip-bomb", "empty"})
"""Kinds that prevent the processing of the request, unless ``processed`` is set."""

KIND_NOTES: dict[str, str] = {
    "status": "respond with `status`, `headers` and `body` (the default kind)",
    "delay": "respond after `seconds` (can be combined with another fault)",
    "hang": "send no response; close the connection after `seconds` (default: ten minutes)",
    "reset-before": "reset the connection without processing the request",
    "reset-after": "process the request, then reset the connection without a response",
    "reset-body": "reset the connection in the middle of an upload; without one, of the response's body",
    "truncate": "process the request, send half of the announced body",
    "short-length": "process the request, announce half of the body, send all of it",
    "slow-body": "process the request, send the body in parts over `seconds`",
    "html": "respond with an HTML page (status 502 by default)",
    "invalid-json": "process the request, respond with truncated JSON of the right length",
    "wrong-type": "process the request, respond with a JSON list instead of an object",
    "wrong-content-type": "process the request, respond with its JSON as text/plain",
    "empty": "respond without a body (status 200 by default)",
    "redirect": "redirect to `location` (status 302 by default)",
    "huge": "respond with JSON of `size` bytes (default: 64 MiB)",
    "endless": "respond with an endless body (limits: 4 GiB, ten minutes)",
    "gzip-bomb": "respond with a small gzip body that expands to `size` bytes (default: 256 MiB)",
    "bare": "process the request, respond by HTTP/1.0 with Content-Length as the only header",
}


@dataclass(slots=True, eq=False)
class Fault:
    """A scripted fault."""

    operation: str = "*"
    """Id of an operation, or a pattern: ``*``, ``get-*``, ``*-run``."""
    times: int | None = 1
    """Number of requests that it affects; None: all, until it is cleared."""
    kind: FaultKind = "status"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """Bytes or str are sent unchanged, all else as JSON; None: the documented body of the status."""
    seconds: float = 0.0
    location: str | None = None
    size: int | None = None
    connection_id: str | None = None
    """Affects only requests about this connection."""
    after: int = 0
    """Number of matching requests that pass first."""
    lasting: float | None = None
    """Real seconds after which it expires: an outage."""
    processed: bool | None = None
    """Whether the request is processed in spite of the fault; None: the default of the kind."""
    until: float | None = None
    """Time at which it expires; computed from ``lasting``."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1, or null for no limit")
        if self.seconds < 0 or (self.lasting is not None and self.lasting < 0):
            raise ValueError("seconds and lasting must not be negative")
        if self.kind == "redirect" and not self.location:
            raise ValueError("kind 'redirect' requires a location")
        for name, value in self.headers.items():
            if not name.isascii() or not name or any(sign in name + value for sign in "\r\n\0"):
                raise ValueError(f"{name!r} cannot be sent as a header")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be between 200 and 599")

    @property
    def is_processed(self) -> bool:
        """Whether the request is processed in spite of the fault."""
        return self.kind not in UNPROCESSED if self.processed is None else self.processed

    def matches(self, operation: str, params: Mapping[str, str]) -> bool:
        """Return whether the fault applies to a request."""
        if self.connection_id is not None and params.get("connectionId") != self.connection_id:
            return False
        return fnmatchcase(operation, self.operation)


class FaultRegistry:
    """The scripted faults that have not expired."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, now: float) -> None:
        """Add a fault."""
        if fault.lasting is not None:
            fault.until = now + fault.lasting
        with self._lock:
            self._faults.append(fault)

    def clear(self, operation: str | None = None) -> int:
        """Remove all faults, or those with this operation or pattern, and return their number."""
        with self._lock:
            kept = [fault for fault in self._faults if operation is not None and fault.operation != operation]
            dropped = len(self._faults) - len(kept)
            self._faults = kept
            return dropped

    def pending(self) -> list[Fault]:
        """Return the remaining faults."""
        with self._lock:
            return list(self._faults)

    def take(self, operation: str, params: Mapping[str, str], now: float) -> tuple[list[Fault], Fault | None]:
        """Return the faults of a request: all delays, and the first other one. Counts their use."""
        if not self._faults:
            return [], None
        delays: list[Fault] = []
        chosen: Fault | None = None
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.until is None or now < fault.until]
            for fault in list(self._faults):
                if not fault.matches(operation, params) or (fault.kind != "delay" and chosen is not None):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self._count_use(fault)
                if fault.kind == "delay":
                    delays.append(fault)
                else:
                    chosen = fault
        return delays, chosen

    def _count_use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
