"""A cache of encoded runs. An entry is valid until the representation of the run changes."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.runs import Run
from itwin_emulator.http.responses import encode

_NO_QUIRKS = Quirks()
MAX_BYTES = 32 * 1024 * 1024
_OVERHEAD = 500
"""Approximate size of an entry in addition to its body."""


@dataclass(frozen=True, slots=True)
class _Entry:
    body: bytes
    since: float
    until: float
    """Seconds after the start of the run between which the body is valid."""
    skew: float


class RunJsonCache:
    """
    The encoded bodies of runs; the least recently used are dropped first.

    :param max_bytes: limit of the total size
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[tuple[str, float | None], _Entry] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self._bytes = 0

    def encode_run(self, run: Run, serializer: Serializer) -> bytes:
        """Return a full run as JSON, from the cache if possible."""
        if serializer.quirks != _NO_QUIRKS:
            return encode(serializer.run(run))
        elapsed = serializer.now - run.started
        # Ending a run early also changes its past, hence the key.
        key = (run.id, run.ended_early)
        entry = self._entries.get(key)
        if entry is not None and entry.since <= elapsed < entry.until and entry.skew == serializer.skew:
            self._entries.move_to_end(key)
            return entry.body
        body = encode(serializer.run(run))
        until = math.inf if elapsed >= run.duration else run.next_change(elapsed)
        self._add(key, _Entry(body, elapsed, until, serializer.skew))
        return body

    def _add(self, key: tuple[str, float | None], entry: _Entry) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self._bytes -= len(old.body) + _OVERHEAD
        if len(entry.body) > self._max_bytes // 2 or entry.until <= entry.since:
            return
        self._entries[key] = entry
        self._bytes += len(entry.body) + _OVERHEAD
        while self._bytes > self._max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= len(dropped.body) + _OVERHEAD
