"""
Makes resources of JSON bodies: leniently, within bounds, and without holding the interpreter's lock for long.

A well-formed body of usual size is decoded at once. A large one, or one with surprises in it, is decoded level by level:
the lists of a run, and what is in them, one entry after the other. So a single odd value costs itself only, a task is held
either as bytes or as an object, and other threads get their turn in between: the event loop, when this is done in a thread.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.reading import UNREADABLE, OversizedError, check_size, valid_escapes, valid_utf8

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
