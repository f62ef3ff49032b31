"""The request log: requests and the status of their responses, for assertions in tests. Contains no secrets and no tokens."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO, overload

_QUERY_OR_FRAGMENT = re.compile("[?#]")

HIDDEN_PARAMETERS = ("token", "secret", "password", "sig", "code", "assertion")
"""The value of a query parameter is hidden if its name contains one of these."""


class LoggedRequest(NamedTuple):
    """A request and its response."""

    at: float
    """Time of the service's clock in seconds since the epoch."""
    method: str
    path: str
    query: dict[str, str]
    operation: str | None
    """Id of the operation, ``"token"``, ``"discovery"``, or None for an unknown path."""
    status: int | None
    """Status of the response, or None if the connection was closed without one."""
    client_id: str | None
    headers: dict[str, str]
    """``accept``, ``prefer``, ``content-type``, ``user-agent`` and ``x-correlation-id``, as far as present."""
    host: str
    """The Host header."""
    authorized_host: str | None
    """The Host header if the request has an Authorization header: the host that received the token."""
    body_size: int
    """Size of the request's body."""
    correlation_id: str
    connection_id: str | None = None
    """The connection in the path."""
    run_id: str | None = None
    """The run in the path."""
    fault: str | None = None
    """Kind of the fault that affected the request."""
    location: str | None = None
    """The Location header of the response, without query and fragment, which may contain secrets."""
    token_leaked: bool = False
    """Whether the request sent an Authorization header to a pre-signed URL."""
    job_id: str | None = None
    """The job in the path."""

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON data."""
        return self._asdict()


class RequestLog(Sequence[LoggedRequest]):
    """The requests, oldest first. The oldest entries are dropped beyond ``limit``."""

    def __init__(self, limit: int = 100_000) -> None:
        self._entries: deque[LoggedRequest] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def write_to(self, path: Path) -> None:
        """Also append every entry to a file, as JSON lines."""
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def add(self, entry: LoggedRequest) -> None:
        """Add an entry."""
        with self._lock:
            self._entries.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(entry.as_dict()) + "\n")

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def snapshot(self) -> list[LoggedRequest]:
        """Return a copy of the entries."""
        with self._lock:
            return list(self._entries)

    def latest(self, count: int) -> list[LoggedRequest]:
        """Return the newest entries, newest first."""
        with self._lock:
            return list(islice(reversed(self._entries), count))

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> LoggedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> list[LoggedRequest]: ...

    def __getitem__(self, index: int | slice) -> LoggedRequest | list[LoggedRequest]:
        return self.snapshot()[index]

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self.snapshot())

    def __repr__(self) -> str:
        return f"<RequestLog: {len(self)} requests>"


LOGGED_HEADERS = ("Accept", "Prefer", "Content-Type", "User-Agent", "X-Correlation-Id")
_headers: dict[tuple[str | None, ...], dict[str, str]] = {}
MAX_HEADERS = 1000
"""Limit of the cached header sets; most requests of a client have the same headers."""


def logged_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers to log. Equal headers share one dict."""
    key = tuple(map(headers.get, LOGGED_HEADERS))
    known = _headers.get(key)
    if known is None:
        known = {name.lower(): value for name, value in zip(LOGGED_HEADERS, key, strict=True) if value is not None}
        if len(_headers) >= MAX_HEADERS:
            _headers.clear()
        _headers[key] = known
    return known


def logged_query(query: Mapping[str, str]) -> dict[str, str]:
    """Return the query with secret values hidden."""
    if not query:
        return {}
    return {
        name: "***" if any(part in name.lower() for part in HIDDEN_PARAMETERS) else value
        for name, value in query.items()
    }


def logged_location(location: str | None) -> str | None:
    """Return a Location without query and fragment. Those of runs have neither; those of sign-in redirects may contain tokens."""
    if location is None:
        return None
    beginning = _QUERY_OR_FRAGMENT.split(location, maxsplit=1)[0]
    return location if beginning == location else f"{beginning}?***"
