"""Bodies as bytes; those of runs are kept for as long as they would come out the same."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.serializers import Show
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.runs import Run

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"))
_PLAIN = Oddities()
MOST_BYTES = 32 * 1024 * 1024
_OVERHEAD = 500
"""What a print takes besides its bytes, roughly."""


def encode(body: Any) -> bytes:
    """Give the bytes of a body: JSON data as JSON, bytes and text as they are, nothing for None."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    try:
        return _ENCODER.encode(body).encode()
    except UnicodeEncodeError:
        # A client may have given half of a surrogate pair; JSON can give it back.
        return _ASCII_ENCODER.encode(body).encode()


def encode_page(name: str, entities: list[bytes], links: dict[str, Any]) -> bytes:
    """Give the bytes of a page whose entities have been encoded already."""
    return b'{"%s":[%s],"_links":%s}' % (name.encode(), b",".join(entities), encode(links))


@dataclass(frozen=True, slots=True)
class _Print:
    body: bytes
    since: float
    until: float
    """Seconds after the run's start between which it looks like this."""
    skew: float


class RunPrints:
    """Prints of runs, at most so many bytes of them; those that nobody has asked for the longest go first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._prints: OrderedDict[tuple[str, float | None], _Print] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._prints)

    def of(self, run: Run, show: Show) -> bytes:
        """Give a run in full."""
        if show.oddities != _PLAIN:
            return encode(show.run(run))
        elapsed = show.now - run.started
        # Whoever ends a run early changes its past, too: then this is another key.
        key = (run.id, run.ended_early)
        kept = self._prints.get(key)
        if kept is not None and kept.since <= elapsed < kept.until and kept.skew == show.skew:
            self._prints.move_to_end(key)
            return kept.body
        body = encode(show.run(run))
        until = math.inf if elapsed >= run.duration else run.next_change(elapsed)
        self._keep(key, _Print(body, elapsed, until, show.skew))
        return body

    def _keep(self, key: tuple[str, float | None], made: _Print) -> None:
        old = self._prints.pop(key, None)
        if old is not None:
            self._bytes -= len(old.body) + _OVERHEAD
        if len(made.body) > self._most_bytes // 2 or made.until <= made.since:
            return
        self._prints[key] = made
        self._bytes += len(made.body) + _OVERHEAD
        while self._bytes > self._most_bytes:
            _, dropped = self._prints.popitem(last=False)
            self._bytes -= len(dropped.body) + _OVERHEAD
