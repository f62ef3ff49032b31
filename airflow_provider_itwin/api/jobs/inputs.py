"""
The inputs of jobs: their types, their values, and the request that is made of them.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias, get_args

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.json_path import checked_json_path
from airflow_provider_itwin.api.jobs.operation import is_query_name
from airflow_provider_itwin.api.models.validation import checked_id, checked_text, is_template, name_meant, shown

InputType: TypeAlias = Literal["string", "id", "index or id", "integer", "number", "boolean", "object", "array"]
"""
The types of inputs: those of JSON; ``id``, a string that can be part of the path of a URL; and ``index or id``, an integer or
such a string.
"""

InputPlace: TypeAlias = Literal["body", "path", "query", "header"]
"""Where an input is sent."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_SPELT = {"itwin": "iTwin", "imodel": "iModel"}
_SWITCHES = {"true": True, "false": False}
_OWN_HEADERS = frozenset(
    {
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "transfer-encoding",
        "user-agent",
    }
)
"""Headers that every request has; another value of them would change who sends it, where, or how it is read."""

_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_LARGEST_INTEGER = 2**64
"""Services read larger ones as something else, if at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInput:
    """
    One input of a job.

    :param type: its type. A rendered template is text, which is converted: ``"5"`` to an integer, ``"true"`` to a boolean, JSON
        to an object or an array
    :param required: whether a job cannot start without it
    :param values: the values that the API accepts, compared without case; empty (default): any
    :param shortest: the least number of characters or entries
    :param member: where it is in the body, as ``diffingPlan.strategy``, or its name in the query or the headers; None (default):
        the name of the input as the API spells names, so ``itwin_id`` is ``iTwinId``
    :param place: where it is sent. An input in the path of the start request is always in ``path``
    :param default: its value if none is passed; None (default): it is not sent
    :param secret: whether its value is a secret. It is masked in logs and on pages, and never stored
    :param help: what it is, for documentation
    """

    type: InputType = "string"
    required: bool = False
    values: tuple[str, ...] = ()
    shortest: int = 0
    member: str | None = None
    place: InputPlace = "body"
    default: Any = None
    secret: bool = False
    help: str = ""

    def __post_init__(self) -> None:
        values: Any = self.values
        object.__setattr__(self, "values", tuple(values) if isinstance(values, list | tuple) else (values,))

    def check(self, name: str) -> None:
        """
        Check the definition itself.

        :raises ITwinInputError: if it cannot be used
        """
        what = f"input {name!r}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ITwinInputError(f"{what} must be in lower case, with underscores between words, such as 'imodel_id'")
        if name == "job_id":
            raise ITwinInputError("An input cannot be named 'job_id': paths use this name for the id of the job")
        if self.type not in get_args(InputType):
            raise ITwinInputError(
                f"{what} has the type {self.type!r}; expected one of {', '.join(get_args(InputType))}"
            )
        if self.place not in get_args(InputPlace):
            raise ITwinInputError(
                f"{what} has the place {self.place!r}; expected one of {', '.join(get_args(InputPlace))}"
            )
        if any(not isinstance(text, str) for text in self.values):
            raise ITwinInputError(f"{what} has values that are no text: {self.values!r:.80}")
        if isinstance(self.shortest, bool) or not isinstance(self.shortest, int):
            raise ITwinInputError(f"{what} has the shortest length {self.shortest!r:.80}, which is not a number")
        self._check_member(name, what)
        if self.place != "body" and self.type in ("object", "array"):
            raise ITwinInputError(f"{what} is an {self.type}, which can only be in the body")
        if self.secret and self.place in ("path", "query"):
            raise ITwinInputError(f"{what} is a secret, so it must not be in a URL: URLs are logged")
        if self.secret and self.default is not None:
            raise ITwinInputError(f"{what} is a secret, so it cannot have a default: definitions are stored")
        if self.default is not None:
            self.parse(self.default, name)

    def _check_member(self, name: str, what: str) -> None:
        member = self.member_for(name)
        if self.place == "body":
            checked_json_path(member, f"member of {what}")
        elif self.place == "header":
            if not isinstance(member, str) or not _HEADER.fullmatch(member):
                raise ITwinInputError(f"{what} is sent as the header {member!r:.80}, which is not the name of a header")
            if member.lower() in _OWN_HEADERS:
                raise ITwinInputError(f"{what} is sent as the header {member!r}, which every request has already")
        elif self.place == "query" and not is_query_name(member):
            raise ITwinInputError(f"{what} is sent as {member!r:.80}, which is not the name of a query parameter")

    def member_for(self, name: str) -> str:
        """Return where the input `name` is in the body, or its name in the query or the headers."""
        return camel_case(name) if self.member is None else self.member

    def parse(self, value: object, name: str) -> Any:
        """
        Return `value` as the type of the input, converted from text if necessary.

        :raises ITwinInputError: if it has another type, or is none of the accepted values. The value of a secret is not quoted
        """
        quoted = "a secret" if self.secret else shown(value)
        try:
            parsed = self._converted(value, name)
        except ITwinInputError:
            if self.secret:
                raise ITwinInputError(
                    f"{name} is a secret that is empty, or not valid as its type, {self.type}"
                ) from None
            raise
        if parsed is None:
            article = "an" if self.type[0] in "aio" else "a"
            raise ITwinInputError(f"{name} must be {article} {self.type}, not {quoted}")
        if self.place == "header" and not _HEADER_VALUE.fullmatch(str(parsed)):
            raise ITwinInputError(f"{name} is {quoted}; a header can only contain printable ASCII characters")
        if self.values:
            known = {text.lower(): text for text in self.values}
            if str(parsed).lower() not in known:
                raise ITwinInputError(f"{name} is {quoted}; expected one of {', '.join(self.values)}")
            parsed = known[str(parsed).lower()]
        if isinstance(parsed, str | list) and len(parsed) < self.shortest:
            one, many = ("character", "characters") if isinstance(parsed, str) else ("entry", "entries")
            unit = one if self.shortest == 1 else many
            raise ITwinInputError(f"{name} must have at least {self.shortest} {unit}, not {len(parsed)}")
        return parsed

    def _converted(self, value: Any, name: str) -> Any:
        """Return the value as the type of the input; None if it has another one."""
        if self.type in ("id", "index or id"):
            is_index = isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdecimal())
            return _number(value, whole=True) if self.type == "index or id" and is_index else checked_id(value, name)
        if self.type == "string":
            return checked_text(value, name) if isinstance(value, str) and json_value(value) is not None else None
        if self.type == "boolean":
            text = value.strip().lower() if isinstance(value, str) else None
            return value if isinstance(value, bool) else _SWITCHES.get(text or "")
        if self.type in ("integer", "number"):
            return _number(value, whole=self.type == "integer")
        if isinstance(value, str):
            value = _parsed_json(value)
        if not isinstance(value, Mapping if self.type == "object" else list | tuple):
            return None
        return json_value(value)

    def as_dict(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, as JSON values."""
        values = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != _DEFAULTS[name]
        }


_DEFAULTS = asdict(JobInput())


def camel_case(name: str) -> str:
    """Return a name as the APIs spell it: ``itwin_id`` is ``iTwinId``, ``changeset_id`` is ``changesetId``."""
    first, *others = (_SPELT.get(word, word) for word in name.split("_"))
    return first + "".join(word[0].upper() + word[1:] for word in others)


def check_inputs(
    inputs: Mapping[str, JobInput], given: Mapping[str, object], what: str, *, is_whole: bool = True
) -> None:
    """
    Check inputs as far as they can be judged before templates are rendered.

    :param inputs: the inputs of the job, by name
    :param given: values by name
    :param what: the job, for the error text
    :param is_whole: whether all inputs are given, so that a missing one is an error
    :raises ITwinInputError: for an unknown or a missing input, and for an invalid value that is not a template
    """
    unknown = [name for name in given if name not in inputs]
    if unknown:
        raise ITwinInputError(unknown_input_text(unknown[0], inputs, what))
    if is_whole:
        missing = [
            name for name, one in inputs.items() if one.required and one.default is None and given.get(name) is None
        ]
        if missing:
            raise ITwinInputError(f"The {what} needs {' and '.join(missing)}")
    for name, value in given.items():
        if isinstance(value, str | int | float | Mapping | list | tuple) and not holds_template(value):
            inputs[name].parse(value, name)


def unknown_input_text(name: object, inputs: Iterable[str], what: str) -> str:
    """Return the error text for the name of an input that a job does not have."""
    known = list(inputs)
    if isinstance(name, str) and (meant := name_meant(name, known)):
        return f"The {what} has no input {name!r}. Did you mean {meant!r}?"
    return f"The {what} has no input {name!r}; it has {', '.join(known) or 'none'}"


def parse_inputs(inputs: Mapping[str, JobInput], given: Mapping[str, object], what: str) -> dict[str, Any]:
    """
    Convert inputs to their declared types, and add the defaults. Inputs that are None are left out.

    :raises ITwinInputError: for an unknown, a missing or an invalid input
    """
    values = {name: value for name, value in given.items() if value is not None}
    check_inputs(inputs, {**values, **{name: value for name, value in given.items() if name not in inputs}}, what)
    defaults = {name: one.default for name, one in inputs.items() if one.default is not None}
    return {name: inputs[name].parse(value, name) for name, value in (defaults | values).items()}


def holds_template(value: object) -> bool:
    """Return whether a value, or a value in it, is a template or the output of another task."""
    if isinstance(value, Mapping):
        return any(holds_template(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(holds_template(one) for one in value)
    return is_template(value) or not (value is None or isinstance(value, str | int | float))


def json_value(value: object) -> Any:
    """Return a copy of `value` as a service will read it, which is JSON; None if it cannot be JSON."""
    try:
        text = json.dumps(_plain(value), allow_nan=False, ensure_ascii=False)
        # Half of a surrogate pair cannot be sent.
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return _parsed_json(text)


def _plain(value: object) -> object:
    """Return mappings as dicts, in any depth."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _parsed_json(text: str) -> Any:
    """Return JSON values; None if it is no JSON, or contains a number that services cannot read."""
    try:
        return json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_float)
    except (ValueError, RecursionError):
        return None


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) >= _LARGEST_INTEGER:
        raise ValueError("the integer is too large")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("the number is not finite")
    return value


def _number(value: object, *, whole: bool) -> int | float | None:
    """Return a number, or that in a text; None if it is something else, or too large."""
    parsed = _parsed_json(value) if isinstance(value, str) else value
    if isinstance(parsed, bool) or not isinstance(parsed, int | float):
        return None
    if isinstance(parsed, float):
        if not isfinite(parsed) or (whole and not parsed.is_integer()):
            return None
        parsed = int(parsed) if whole else parsed
    return parsed if isinstance(parsed, float) or abs(parsed) < _LARGEST_INTEGER else None
