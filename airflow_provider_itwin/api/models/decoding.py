"""
Lenient JSON decoding within bounds: resources, and repair of texts that were cut.

A well-formed body of usual size is decoded at once. A large or malformed one is decoded level by level: the lists of a run,
and what is in them, one entry after the other. So a single malformed value is the only one lost, a task is held either as
bytes or as an object, and other threads can run in between: the event loop, when this is done in a thread.

Every body passes :func:`check_size` before it is decoded: a few kilobytes of gzip can hold millions of values, and each of
them would become a Python object.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError

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


R = TypeVar("R", bound=msgspec.Struct)

LARGEST_AT_ONCE = 1 << 18
"""Bytes that are decoded in one step; that takes about a millisecond."""

_ABSENT = msgspec.Raw(b"")


class _Field(NamedTuple):
    """One field of a resource, and what is to be made of it: a resource, a list of resources, or a plain value."""

    name: str
    type: Any
    required: bool
    resource: type[msgspec.Struct] | None
    items: type[msgspec.Struct] | None


class _Plan(NamedTuple):
    """How a resource is decoded: at once, or field by field."""

    whole: msgspec.json.Decoder[Any]
    parts: msgspec.json.Decoder[Any]
    fields: tuple[_Field, ...]
    wanted: str
    holds_lists: bool


def decoded(body: bytes, shape: type[R]) -> R:
    """
    Decode a JSON body as `shape`.

    :raises ITwinProtocolError: if the body is not a JSON object, lacks what its name promises (a run, a connection), or
        holds more than is decoded
    """
    plan = _plan_of(shape)
    try:
        check_size(body)
        # What holds no list takes no more memory for a large body than for a small one: the rest is skipped.
        if len(body) <= LARGEST_AT_ONCE or not plan.holds_lists:
            try:
                result: R = plan.whole.decode(body)
            except UNREADABLE:
                pass
            else:
                return result
        found: R | None = _resource(_checked(body, plan), shape)
    except OversizedError as error:
        raise ITwinProtocolError(f"The answer is too large: {error}") from error
    except UNREADABLE as error:
        raise ITwinProtocolError(f"The answer is not JSON: {error}") from error
    if found is None:
        raise ITwinProtocolError(f"The answer is JSON, but has not the expected content ({plan.wanted})")
    return found


def _checked(body: bytes, plan: _Plan) -> bytes:
    """Return `body` if it is JSON, repaired where texts were cut; this decodes nothing."""
    try:
        plan.parts.decode(body)
    except msgspec.ValidationError:
        return body
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = valid_escapes(body)
        try:
            plan.parts.decode(body)
        except msgspec.ValidationError:
            return body
    return body


def _resource(part: bytes | msgspec.Raw, shape: type[R]) -> R | None:
    """Decode as much of `part` as fits; None if it lacks what is required, or is something else."""
    plan = _plan_of(shape)
    if memoryview(part).nbytes <= LARGEST_AT_ONCE:
        try:
            whole: R = plan.whole.decode(part)
        except UNREADABLE:
            pass
        else:
            return whole
    try:
        parts = plan.parts.decode(part)
    except UNREADABLE:
        return None
    kept: dict[str, Any] = {}
    for field in plan.fields:
        value = getattr(parts, field.name)
        if value is not _ABSENT:
            kept[field.name] = _value(value, field)
        if field.required and kept.get(field.name) is None:
            return None
    try:
        return shape(**kept)
    except ValueError:
        return None


def _value(part: msgspec.Raw, field: _Field) -> Any:
    if field.resource is not None:
        return _resource(part, field.resource)
    if field.items is not None:
        return _resources(part, field.items)
    try:
        return msgspec.json.decode(part, type=field.type, strict=False)
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        pass
    try:
        return msgspec.json.decode(valid_utf8(bytes(part)), type=field.type, strict=False)
    except UNREADABLE:
        return None


def _resources(part: msgspec.Raw, shape: type[R]) -> list[R] | None:
    try:
        entries: list[Any] = msgspec.json.decode(part, type=list[msgspec.Raw])
    except UNREADABLE:
        return None
    kept = 0
    # In place, so that no entry is held twice.
    for place, entry in enumerate(entries):
        entries[place] = None
        resource = _resource(entry, shape)
        if resource is not None:
            entries[kept] = resource
            kept += 1
    del entries[kept:]
    return entries


@cache
def _plan_of(shape: type[msgspec.Struct]) -> _Plan:
    fields = tuple(_field(field) for field in msgspec.structs.fields(shape))
    names = {field.name: field.encode_name for field in msgspec.structs.fields(shape)}
    parts = msgspec.defstruct(
        f"{shape.__name__}Parts", [(field.name, msgspec.Raw, _ABSENT) for field in fields], rename=names, gc=False
    )
    return _Plan(
        msgspec.json.Decoder(shape, strict=False),
        msgspec.json.Decoder(parts),
        fields,
        ", ".join(names.values()),
        any(field.items or (field.resource and _plan_of(field.resource).holds_lists) for field in fields),
    )


def _field(field: msgspec.structs.FieldInfo) -> _Field:
    choices = get_args(field.type) or (field.type,)
    resource = next((one for one in choices if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)
    lists = (one for one in (field.type, *choices) if getattr(one, "__origin__", None) is list)
    items = next((get_args(one)[0] for one in lists), None)
    return _Field(field.name, field.type, field.required, None if items else resource, items)
