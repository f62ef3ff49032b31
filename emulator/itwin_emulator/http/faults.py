"""Scripted trouble: what goes wrong, with which operation, how often."""

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
"""Kinds that keep the request from being processed, unless ``processed`` says otherwise."""

KIND_NOTES: dict[str, str] = {
    "status": "answer with `status`, `headers` and `body` (the default kind)",
    "delay": "wait for `seconds`, then go on as usual (in addition to any other fault)",
    "hang": "never answer (at most `seconds`, if given; else ten minutes)",
    "reset-before": "close the connection before the request is processed",
    "reset-after": "process the request, then close the connection without an answer",
    "truncate": "process the request, announce the whole body and send half of it",
    "short-length": "process the request, announce half of the body and send all of it",
    "slow-body": "process the request, send the body in pieces over `seconds`",
    "html": "answer with a page of HTML (502 unless `status` is given)",
    "invalid-json": "process the request, answer with its body cut in the middle, and the right length",
    "wrong-type": "process the request, answer with a JSON list in place of an object",
    "wrong-content-type": "process the request, answer with its JSON as text/plain",
    "empty": "answer with `status` (200) and no body",
    "redirect": "answer with a redirect (302 unless `status` is given) to `location`",
    "huge": "answer with JSON of `size` bytes (64 MiB)",
    "endless": "answer with a body that never ends (at most 4 GiB or ten minutes)",
    "gzip-bomb": "answer with a small gzip body that unpacks to `size` bytes (256 MiB)",
    "bare": "process the request, answer without any header but the length: no Location, no Date, no content type",
}


@dataclass(slots=True, eq=False)
class Fault:
    """One scripted fault."""

    operation: str = "*"
    """Id of an operation, or a pattern: ``*``, ``get-*``, ``*-run``."""
    times: int | None = 1
    """How many requests it hits; None: all, until it is healed."""
    kind: FaultKind = "status"
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """Bytes or text as they are, anything else as JSON; None: the documented body for the status."""
    seconds: float = 0.0
    location: str | None = None
    size: int | None = None
    connection_id: str | None = None
    """Only requests about this connection."""
    after: int = 0
    """Let so many requests pass first."""
    lasting: float | None = None
    """Heals by itself after so many real seconds: an outage."""
    processed: bool | None = None
    """Whether the request is processed although the answer is bad; None: as is usual for the kind."""
    until: float | None = None
    """The moment at which it heals by itself; comes from ``lasting``."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1, or null for no limit")
        if self.seconds < 0 or (self.lasting is not None and self.lasting < 0):
            raise ValueError("seconds and lasting must not be negative")
        if self.kind == "redirect" and not self.location:
            raise ValueError("a redirect needs a location")
        for name, value in self.headers.items():
            if not name.isascii() or not name or any(sign in name + value for sign in "\r\n\0"):
                raise ValueError(f"{name!r} cannot be sent as a header")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be between 200 and 599")

    @property
    def is_processed(self) -> bool:
        """Whether the request is processed all the same."""
        return self.kind not in UNPROCESSED if self.processed is None else self.processed

    def concerns(self, operation: str, params: Mapping[str, str]) -> bool:
        """Tell whether a request is one that it is meant for."""
        if self.connection_id is not None and params.get("connectionId") != self.connection_id:
            return False
        return fnmatchcase(operation, self.operation)


class FaultBox:
    """The faults that wait for their requests."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, now: float) -> None:
        """Script a fault."""
        if fault.lasting is not None:
            fault.until = now + fault.lasting
        with self._lock:
            self._faults.append(fault)

    def heal(self, operation: str | None = None) -> int:
        """Drop all faults, or those scripted for one operation; tell how many."""
        with self._lock:
            kept = [fault for fault in self._faults if operation is not None and fault.operation != operation]
            dropped = len(self._faults) - len(kept)
            self._faults = kept
            return dropped

    def pending(self) -> list[Fault]:
        """Give the faults that are still waiting."""
        with self._lock:
            return list(self._faults)

    def take(self, operation: str, params: Mapping[str, str], now: float) -> tuple[list[Fault], Fault | None]:
        """Give what a request meets: any delays, and the first other fault."""
        if not self._faults:
            return [], None
        delays: list[Fault] = []
        chosen: Fault | None = None
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.until is None or now < fault.until]
            for fault in list(self._faults):
                if not fault.concerns(operation, params) or (fault.kind != "delay" and chosen is not None):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self._use(fault)
                if fault.kind == "delay":
                    delays.append(fault)
                else:
                    chosen = fault
        return delays, chosen

    def _use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._faults.remove(fault)
