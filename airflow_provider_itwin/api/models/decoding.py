"""
Lenient JSON decoding within limits: invalid values become None, invalid UTF-8 and lone surrogates become U+FFFD.

A valid body of usual size is decoded at once. A large or invalid one is decoded level by level: each entry of the lists of a run
separately. So only the invalid value is lost, memory holds each task as bytes or as an object but not as both, and other threads,
such as the one of the event loop, can run in between.

Every body passes :func:`check_size` first: a few kilobytes of gzip can contain millions of values, and each would become a
Python object.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError

T = TypeVar("T")

MOST_VALUES = 3_000_000
"""JSON values of one response, at most; a run has 17 for each file, and 30 for a file with an error."""

LARGEST_SMALL_BODY = 1 << 20
"""Bytes of a small response (an error, a token), at most."""

MOST_SMALL_VALUES = 20_000
"""JSON values of a small response, at most."""

_WINDOW = 1 << 20


class OversizedError(msgspec.DecodeError):
    """The body is larger than the limits for decoding."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of decoding a body that is invalid or too large."""

# An even number of backslashes before the u are escaped backslashes, so the u is no escape.
_ESCAPE = re.compile(
    rb"(?<!\\)(?P<slashes>\\++)u(?:(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONGEST_ESCAPE = 16
_MOST_ESCAPES = 1_000_000
_REPLACEMENT = rb"\ufffd"


def check_size(body: bytes, most_values: int = MOST_VALUES, most_bytes: int | None = None) -> None:
    """
    Check that `body` is within the limits for decoding.

    :param most_values: JSON values, at most. Separators are counted, so the count is never too low, and too high if strings
        contain commas and brackets
    :param most_bytes: bytes, at most; None: no limit beyond that of the client
    :raises OversizedError: if it is larger; the text contains both figures
    """
    if most_bytes is not None and len(body) > most_bytes:
        raise OversizedError(f"it has {len(body):,} bytes; the limit is {most_bytes:,}")
    if len(body) <= most_values:
        return
    values = 1
    for start in range(0, len(body), _WINDOW):
        values += sum(body.count(sign, start, start + _WINDOW) for sign in (b",", b"[", b"{"))
        if values > most_values:
            raise OversizedError(
                f"it has {len(body):,} bytes with more than {most_values:,} JSON values, which is the limit"
            )


def read_json(body: bytes) -> Any:
    """
    Decode the body of a small response into plain values.

    :raises msgspec.DecodeError, RecursionError: if it is not JSON, or too large
    """
    check_size(body, MOST_SMALL_VALUES, LARGEST_SMALL_BODY)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(valid_utf8(valid_escapes(body)))


def converted(values: Any, shape: type[T]) -> T:
    """
    Convert plain values to a `shape`.

    :raises ValueError: if they do not fit; the errors of msgspec before 0.21 are no ``ValueError``
    """
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def valid_utf8(body: bytes) -> bytes:
    """Replace invalid UTF-8, as of truncated text, by U+FFFD."""
    return body.decode("utf-8", "replace").encode()


def valid_escapes(body: bytes) -> bytes:
    """
    Replace escapes of lone surrogates, as of truncated text, by that of U+FFFD.

    Both escapes have six characters, so one copy of the body is enough. The body is searched in windows, so that a large one does
    not hold the interpreter lock for long.

    :raises OversizedError: if there are too many escapes of surrogates
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
            raise OversizedError(f"it has more than {_MOST_ESCAPES:,} escapes of surrogates, some of them lone")
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
    """One field of a resource, and what it contains: a resource, a list of resources, or a plain value."""

    name: str
    type: Any
    required: bool
    resource: type[msgspec.Struct] | None
    items: type[msgspec.Struct] | None


class _Plan(NamedTuple):
    """Decoders of a resource: for the whole, and field by field."""

    whole: msgspec.json.Decoder[Any]
    parts: msgspec.json.Decoder[Any]
    fields: tuple[_Field, ...]
    wanted: str
    holds_lists: bool


def decoded(body: bytes, shape: type[R]) -> R:
    """
    Decode a JSON body as `shape`.

    :raises ITwinProtocolError: if the body is not a JSON object, lacks its main content (a run, a connection), or is too large
    """
    plan = _plan_of(shape)
    try:
        check_size(body)
        # Without lists, a large body needs no more memory than a small one: unknown fields are skipped.
        if len(body) <= LARGEST_AT_ONCE or not plan.holds_lists:
            try:
                result: R = plan.whole.decode(body)
            except UNREADABLE:
                pass
            else:
                return result
        found: R | None = _resource(_checked(body, plan), shape)
    except OversizedError as error:
        raise ITwinProtocolError(f"The response is too large: {error}") from error
    except UNREADABLE as error:
        raise ITwinProtocolError(f"The response is not JSON: {error}") from error
    if found is None:
        raise ITwinProtocolError(f"The response is JSON without the expected content ({plan.wanted})")
    return found


def _checked(body: bytes, plan: _Plan) -> bytes:
    """Return `body` if it is JSON, with lone surrogates replaced; nothing is decoded."""
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
    """Decode the valid fields of `part`; return None if a required field is missing, or it is not an object."""
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
    # In place, so that memory does not hold an entry twice.
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
    resource = next((one for one in choices if _is_resource(one)), None)
    # A list of plain values is a plain value.
    lists = (one for one in (field.type, *choices) if getattr(one, "__origin__", None) is list)
    items = next((get_args(one)[0] for one in lists if _is_resource(get_args(one)[0])), None)
    return _Field(field.name, field.type, field.required, None if items else resource, items)


def _is_resource(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, msgspec.Struct)
