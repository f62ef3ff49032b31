"""Reads JSON as it comes: letters that are none cost themselves, not the answer that they are in."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading raises for a body that is no JSON."""

# Pairs and other escapes are passed over as a whole, so that what is left are halves of pairs.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


def read_json(body: bytes) -> Any:
    """
    Read a body as JSON.

    :raises msgspec.DecodeError, RecursionError: if it is none
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(mended(body))


def converted(values: Any, shape: type[T]) -> T:
    """
    Give plain values as a `shape`.

    :raises ValueError: if they are something else; before msgspec 0.21 its own errors are none
    """
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def mended(body: bytes) -> bytes:
    """Put U+FFFD where `body` has bytes that are no UTF-8, or half a surrogate pair: texts were cut there."""
    return _ESCAPES.sub(
        lambda found: rb"\ufffd" if found["half"] else found[0], body.decode("utf-8", "replace").encode()
    )
