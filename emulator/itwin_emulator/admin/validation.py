"""
Validation of external data (scenario files, control requests, keyword arguments) by dataclasses and annotations.

The fields of a dataclass are the whole schema: scenario files, control requests and Python calls accept the same names and reject
the same mistakes.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


class SchemaError(ValueError):
    """Invalid data; the message contains the location, the value and what is allowed."""


@cache
def _fields(cls: type[Any]) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(cls)
    return {
        field.name: (field, hints[field.name])
        for field in dataclasses.fields(cls)
        if field.init and not field.name.startswith("_")
    }


def snake(name: str) -> str:
    """Convert ``canUserFix`` to ``can_user_fix``; external data may use both spellings."""
    return _CAMEL.sub(lambda match: "_" + match.group(1).lower(), name)


def build(cls: type[T], data: object, where: str) -> T:
    """
    Build a dataclass object from a mapping.

    :param where: name of the data in error messages
    :raises SchemaError: the data is invalid
    """
    if not isinstance(data, Mapping):
        raise SchemaError(f"{where}: expected an object, got {_kind(data)}")
    allowed: dict[str, tuple[dataclasses.Field[Any], Any]] = _fields(cls)  # type: ignore[arg-type] # classes are hashable
    values: dict[str, Any] = {}
    for key, value in data.items():
        name = snake(str(key))
        if name not in allowed:
            raise SchemaError(f"{where}: unknown key {str(key)!r}{_suggestion(name, list(allowed))}")
        values[name] = convert(allowed[name][1], value, f"{where}.{key}")
    missing = [
        name
        for name, (field, _) in allowed.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SchemaError(f"{where}: missing {', '.join(map(repr, missing))}")
    try:
        return cls(**values)
    except SchemaError:
        raise
    except ValueError as error:
        raise SchemaError(f"{where}: {error}") from error


def arguments(function: Callable[..., object], data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """
    Validate external keyword arguments against the annotations of a function.

    :param where: name of the data in error messages
    :raises SchemaError: an argument is invalid, unknown or missing
    """
    # The function, not the bound method: the cache would keep its object alive.
    hints = _hints(getattr(function, "__func__", function))
    allowed = [name for name in hints if name != "return"]
    values = {}
    for key, value in data.items():
        name = snake(str(key))
        if name not in allowed:
            raise SchemaError(f"{where}: unknown key {str(key)!r}{_suggestion(name, allowed)}")
        values[name] = convert(hints[name], value, f"{where}.{key}")
    needed = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    missing = [name for name in needed if name not in values]
    if missing:
        raise SchemaError(f"{where}: missing {', '.join(map(repr, missing))}")
    return values


@cache
def _hints(function: Callable[..., object]) -> dict[str, Any]:
    return get_type_hints(function)


def convert(hint: Any, value: object, where: str) -> Any:
    """Validate a value against an annotation, and return it in that type."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin is Literal:
        choices = get_args(hint)
        if value not in choices:
            raise SchemaError(
                f"{where}: {value!r} is not allowed{_suggestion(str(value), [str(one) for one in choices])}"
            )
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SchemaError(f"{where}: expected a list, got {_kind(value)}")
        inner = get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(convert(inner[0], one, f"{where}[{index}]") for index, one in enumerate(value))
        if len(value) != len(inner):
            raise SchemaError(f"{where}: expected a list of {len(inner)} values, got {len(value)}")
        return tuple(
            convert(one_hint, one, f"{where}[{index}]")
            for index, (one_hint, one) in enumerate(zip(inner, value, strict=True))
        )
    if origin in (list, Iterable):
        if not isinstance(value, list | tuple):
            raise SchemaError(f"{where}: expected a list, got {_kind(value)}")
        (inner_hint,) = get_args(hint)
        return [convert(inner_hint, one, f"{where}[{index}]") for index, one in enumerate(value)]
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise SchemaError(f"{where}: expected an object, got {_kind(value)}")
        key_hint, value_hint = get_args(hint)
        return {
            convert(key_hint, key, f"{where}.{key}"): convert(value_hint, one, f"{where}.{key}")
            for key, one in value.items()
        }
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, value, where)
    return _convert_plain(hint, value, where)


def _convert_union(hints: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    errors = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return convert(hint, value, where)
        except SchemaError as error:
            errors.append(error)
    raise errors[0]


def _convert_plain(hint: Any, value: object, where: str) -> Any:
    # In Python bool is an int, in data it is not.
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (str, bool, bytes) and isinstance(value, hint):
        return value
    expected = {str: "a string", int: "an integer", float: "a number", bool: "true or false", bytes: "bytes"}
    raise SchemaError(f"{where}: expected {expected.get(hint, hint)}, got {_kind(value)}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _suggestion(given: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(given, allowed, n=1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{suggestion} Allowed: {', '.join(sorted(allowed))}"
        if suggestion
        else f"; allowed: {', '.join(sorted(allowed))}"
    )


def _kind(value: object) -> str:
    names = {str: "the string", bool: "the boolean", int: "the number", float: "the number"}
    if type(value) in names:
        return f"{names[type(value)]} {value!r}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "null" if value is None else type(value).__name__
