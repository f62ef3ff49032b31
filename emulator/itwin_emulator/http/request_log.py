"""What was asked and how it was answered: what a test wants to look at afterwards. Never a secret, never a token."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO, overload

_ASIDES = re.compile("[?#]")

HIDDEN_PARAMETERS = ("token", "secret", "password", "sig", "code", "assertion")
"""A query parameter with one of these in its name is journaled without its value."""


class JournalEntry(NamedTuple):
    """One request."""

    at: float
    """The service's clock, in seconds since the epoch."""
    method: str
    path: str
    query: dict[str, str]
    operation: str | None
    """Id of the operation, ``"token"``, ``"discovery"``, or None for a path that belongs to none."""
    status: int | None
    """What was answered, or None if the connection was closed without an answer."""
    client_id: str | None
    headers: dict[str, str]
    """``accept``, ``prefer``, ``content-type``, ``user-agent`` and ``x-correlation-id``, those that came."""
    host: str
    """The Host header."""
    authorized_host: str | None
    """The Host header of a request with an Authorization header: where the client sent its token."""
    body_size: int
    """Bytes in the request's body."""
    correlation_id: str
    connection_id: str | None = None
    """The connection that the path names."""
    run_id: str | None = None
    """The run that the path names."""
    fault: str | None = None
    """The scripted fault that this request met."""
    location: str | None = None
    """The Location header of the answer, without what may be secret: a query or a fragment."""

    def as_dict(self) -> dict[str, Any]:
        """Give the entry as JSON data."""
        return self._asdict()


class Journal(Sequence[JournalEntry]):
    """The requests so far, oldest first; the oldest are dropped when there are very many."""

    def __init__(self, limit: int = 100_000) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def record_to(self, path: Path) -> None:
        """From now on append every entry to a file too, one JSON object a line."""
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def add(self, entry: JournalEntry) -> None:
        """Note a request."""
        with self._lock:
            self._entries.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(entry.as_dict()) + "\n")

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()

    def snapshot(self) -> list[JournalEntry]:
        """Give the requests so far as a list of their own."""
        with self._lock:
            return list(self._entries)

    def latest(self, count: int) -> list[JournalEntry]:
        """Give the newest requests, newest first."""
        with self._lock:
            return list(islice(reversed(self._entries), count))

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...

    @overload
    def __getitem__(self, index: slice) -> list[JournalEntry]: ...

    def __getitem__(self, index: int | slice) -> JournalEntry | list[JournalEntry]:
        return self.snapshot()[index]

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(self.snapshot())

    def __repr__(self) -> str:
        return f"<Journal of {len(self)} requests>"


JOURNALED_HEADERS = ("Accept", "Prefer", "Content-Type", "User-Agent", "X-Correlation-Id")
_headers: dict[tuple[str | None, ...], dict[str, str]] = {}
MOST_HEADERS = 1000
"""Sets of headers that are remembered: most requests of a client have the same."""


def journaled_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers that are journaled; the same ones, in the same object, for requests that do not differ in them."""
    key = tuple(map(headers.get, JOURNALED_HEADERS))
    known = _headers.get(key)
    if known is None:
        known = {name.lower(): value for name, value in zip(JOURNALED_HEADERS, key, strict=True) if value is not None}
        if len(_headers) >= MOST_HEADERS:
            _headers.clear()
        _headers[key] = known
    return known


def journaled_query(query: Mapping[str, str]) -> dict[str, str]:
    """Give the query without values that might be secret."""
    if not query:
        return {}
    return {
        name: "***" if any(part in name.lower() for part in HIDDEN_PARAMETERS) else value
        for name, value in query.items()
    }


def journaled_location(location: str | None) -> str | None:
    """Give a Location without its query and fragment; that of a run has neither, and where a login goes on has tokens there."""
    if location is None:
        return None
    beginning = _ASIDES.split(location, maxsplit=1)[0]
    return location if beginning == location else f"{beginning}?***"
