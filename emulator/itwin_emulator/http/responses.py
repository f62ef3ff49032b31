"""Responses as data, and the encoding of their bodies. Imports no web framework."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(slots=True)
class Response:
    """A response. ``body`` is JSON data, encoded bytes, a str, or None for no body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def encode(body: Any) -> bytes:
    """Encode a body: bytes and str unchanged, None as nothing, all else as JSON."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    try:
        return _ENCODER.encode(body).encode()
    except UnicodeEncodeError:
        # A client may have sent a lone surrogate; JSON can return it escaped.
        return _ASCII_ENCODER.encode(body).encode()


def encode_page(name: str, entities: list[bytes], links: dict[str, Any]) -> bytes:
    """Encode a page whose entities are encoded already."""
    return b'{"%s":[%s],"_links":%s}' % (name.encode(), b",".join(entities), encode(links))
