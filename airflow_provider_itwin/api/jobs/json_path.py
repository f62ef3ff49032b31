"""
Paths to values in JSON, such as ``job.executionInfo.endedDateTime``.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError

_PATH = re.compile(r"[A-Za-z_@$][\w@$-]*(\.[A-Za-z_@$][\w@$-]*)*")


def checked_json_path(path: object, name: str) -> str:
    """
    Return `path` if it is a path to a value: names of members, separated by dots.

    :param name: name of the parameter, for the error text
    :raises ITwinInputError: for anything else
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise ITwinInputError(f"{name} must be names of members separated by dots, as in 'job.state', not {path!r}")
    return path


def read_path(value: Any, path: str) -> Any:
    """Return the value at `path` in decoded JSON; None if there is none. A path does not lead through a list."""
    for name in _names(path):
        # Not a Mapping: that check takes several times as long, and each poll makes some.
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


@lru_cache(maxsize=1024)
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def write_path(values: dict[str, Any], path: str, value: object) -> None:
    """Set the value at `path`; missing objects on the way are created."""
    *parents, last = path.split(".")
    for name in parents:
        values = values.setdefault(name, {})
    values[last] = value


def id_of(value: Any) -> str | None:
    """Return an id, or that in the last segment of a link; None if `value` is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    if "/" not in value:
        return value
    try:
        segments = [part for part in urlsplit(value).path.split("/") if part]
    except ValueError:
        return None
    return unquote(segments[-1]) if segments else None
