"""
Decodes JSON with a bound on what that may cost, and repairs texts that were cut.

Every body passes :func:`check_size` before it is decoded: a few kilobytes of gzip can hold millions of values, and each of
them would become a Python object.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

MOST_VALUES = 3_000_000
"""JSON values of one answer, at most; a run has 17 for each of its files, and 30 for one with an error."""

LARGEST_SMALL_BODY = 1 << 20
"""Bytes of an answer that is small by its nature, at most: an error, a token."""

MOST_SMALL_VALUES = 20_000
"""JSON values of such an answer, at most."""

_WINDOW = 1 << 20


class OversizedError(msgspec.DecodeError):
    """The body holds more than is decoded."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a body that is not JSON, or holds too much of it."""

# The run of backslashes before the u decides whether it is an escape: an even number of them stands for themselves.
_ESCAPE = re.compile(
    rb"(?<!\\)(?P<slashes>\\++)u(?:(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONGEST_ESCAPE = 16
_MOST_ESCAPES = 1_000_000
_REPLACEMENT = rb"\ufffd"


def check_size(body: bytes, most_values: int = MOST_VALUES, most_bytes: int | None = None) -> None:
    """
    Raise if decoding `body` could cost too much.

    :param most_values: JSON values that it may hold; they are counted by their separators, so that the count is never too
        low, and too high where texts contain commas and brackets
    :param most_bytes: bytes that it may have; None for what a client accepts at all
    :raises OversizedError: with both figures, if it is too large
    """
    if most_bytes is not None and len(body) > most_bytes:
        raise OversizedError(f"it has {len(body):,} bytes, and no more than {most_bytes:,} are decoded here")
    if len(body) <= most_values:
        return
    values = 1
    for start in range(0, len(body), _WINDOW):
        values += sum(body.count(sign, start, start + _WINDOW) for sign in (b",", b"[", b"{"))
        if values > most_values:
            raise OversizedError(
                f"it has {len(body):,} bytes with more than {most_values:,} JSON values, which is the most that is decoded"
            )


def read_json(body: bytes) -> Any:
    """
    Decode the body of an answer that is small by its nature into plain values.

    :raises msgspec.DecodeError, RecursionError: if it is not JSON, or too large
    """
    check_size(body, MOST_SMALL_VALUES, LARGEST_SMALL_BODY)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(valid_utf8(valid_escapes(body)))


def converted(values: Any, shape: type[T]) -> T:
    """
    Give plain values as a `shape`.

    :raises ValueError: if they are something else; before msgspec 0.21 its own errors are none
    """
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def valid_utf8(body: bytes) -> bytes:
    """Replace bytes that are not UTF-8 by U+FFFD: a text was cut there."""
    return body.decode("utf-8", "replace").encode()


def valid_escapes(body: bytes) -> bytes:
    """
    Replace escapes of half a surrogate pair by that of U+FFFD: a text was cut there.

    Both escapes have six characters, so this takes one copy of the body and no more. The search goes window by window, so
    that a large body does not hold the interpreter's lock for long.

    :raises OversizedError: if there are too many of them
    """
    repaired = bytearray(body)
    at = seen = 0
    while at < len(body):
        end = min(at + _WINDOW, len(body))
        last = end if end == len(body) else end - _LONGEST_ESCAPE
        found = _ESCAPE.search(body, at, end)
        if found is None or found.start() >= last:
            at = last if last > at else end
            continue
        seen += 1
        if seen > _MOST_ESCAPES:
            raise OversizedError(f"it has more than {_MOST_ESCAPES:,} escapes of surrogates, some of them halves")
        slashes = found.end("slashes")
        if len(found["slashes"]) % 2 == 0:
            at = slashes + 1
            continue
        if found["pair"] is None:
            repaired[slashes - 1 : slashes + 5] = _REPLACEMENT
        at = found.end()
    return bytes(repaired)
