"""
Methods and paths of requests, as definitions contain them.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Self, cast

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import shown

STARTS = ("POST", "PUT")
"""Methods that start a job."""

CANCELS = ("DELETE", "PATCH", "POST", "PUT")
"""Methods that cancel a job."""

METHODS = ("GET", *CANCELS)

_OPERATION = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/[^\s#]*)")
_QUERY_NAME = re.compile(r"[\w$.@-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Operation:
    """
    Method and path of a request, such as ``GET /transformations/{job_id}``.

    :param method: the method
    :param path: the path, with names of inputs in braces
    :param query: names and values of the query, of the same form
    :param inputs: the names in braces
    :param path_inputs: those of them that are in the path
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    path_inputs: tuple[str, ...]

    @classmethod
    def parse(cls, text: object, name: str, methods: Iterable[str] = METHODS) -> Self:
        """
        Parse an operation.

        :param name: name of the parameter, for the error text
        :raises ITwinInputError: for anything else
        """
        if not isinstance(text, str):
            raise ITwinInputError(
                f"{name} must be a method and a path, such as 'GET /jobs/{{job_id}}', not {shown(text)}"
            )
        return cast("Self", _parse(text, name, tuple(methods)))


@lru_cache(maxsize=256)
def _parse(text: str, name: str, methods: tuple[str, ...]) -> Operation:
    # Filters contain blanks: they are escaped when the request is made.
    method, _, rest = text.partition(" ")
    path, _, query = rest.partition("?")
    if method not in methods or not _OPERATION.fullmatch(f"{method} {path}") or path.startswith("//"):
        expected = " or ".join(methods)
        raise ITwinInputError(
            f"{name} must be {expected} and a path, such as '{methods[0]} /jobs/{{job_id}}', not {text!r}"
        )
    try:
        parts = [part for part in Formatter().parse(rest) if part[1] is not None]
        in_path = inputs_of(path)
    except ValueError as error:
        raise ITwinInputError(f"{name} is {text!r}, in which {error}") from None
    if any(not (part[1] or "").isidentifier() or part[2] or part[3] for part in parts):
        raise ITwinInputError(f"{name} is {text!r}; braces contain the name of an input, or job_id, and nothing else")
    pairs = [one.partition("=") for one in query.split("&") if one]
    for key, _, _ in pairs:
        if not is_query_name(key):
            raise ITwinInputError(f"{name} is {text!r}; {key!r} is not the name of a query parameter")
    names = tuple(dict.fromkeys(part[1] for part in parts if part[1]))
    return Operation(method, path, tuple((key, value) for key, _, value in pairs), names, in_path)


def inputs_of(template: str) -> tuple[str, ...]:
    """
    Return the names in braces.

    :raises ValueError: if the braces do not match
    """
    return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name))


def is_query_name(text: object) -> bool:
    """Return whether `text` can be the name of a query parameter without being escaped."""
    return isinstance(text, str) and _QUERY_NAME.fullmatch(text) is not None
