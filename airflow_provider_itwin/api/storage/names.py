"""The names of files and folders that iTwin Storage accepts, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import shown
from airflow_provider_itwin.api.redaction import printable

LONGEST_NAME = 255

_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')

EXECUTABLES = frozenset((".bat", ".cmd", ".com", ".dll", ".exe", ".msi", ".ps1", ".scr", ".vbs"))
"""Extensions of files that iTwin Storage may refuse as dangerous; its documentation names executables as an example."""

_MOST_SHOWN = 5


def problem_of(name: str) -> str | None:
    """Return why iTwin Storage would refuse a name; None if it is valid."""
    if not name or name in (".", ".."):
        return "it is empty or a relative path"
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters, and at most {LONGEST_NAME} are allowed"
    if found := _FORBIDDEN.search(name):
        return f"it contains {found[0]!r}"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends with a blank, or ends with a dot"
    if printable(name) != name:
        return "it contains characters that are not printable"
    return None


def check_names(paths: Iterable[str]) -> None:
    """
    Check the paths of files below a folder, in any order, together: all problems are in one error.

    :param paths: paths with ``/`` between folders
    :raises ITwinInputError: for names that iTwin Storage would refuse, and for names that differ only in case, which it might
        take for the same file
    """
    problems: list[str] = []
    earlier: dict[str, str] = {}
    for path in paths:
        *_, name = parts = path.split("/")
        problem = next(filter(None, map(problem_of, parts)), None)
        if problem is None and "." + name.lower().rpartition(".")[2] in EXECUTABLES and "." in name:
            problem = "its type is executable, which iTwin Storage refuses"
        if problem is None and (other := earlier.setdefault(path.casefold(), path)) != path:
            problem = f"it differs only in case from {shown(other)}"
        if problem is not None:
            problems.append(f"{shown(path)}: {problem}")
    if problems:
        left = len(problems) - _MOST_SHOWN
        more = f"; {left} more" if left > 0 else ""
        raise ITwinInputError(
            f"iTwin Storage would refuse {len(problems)} of the files. {'; '.join(problems[:_MOST_SHOWN])}{more}. "
            "Rename them, or exclude them with a narrower pattern in source."
        )


def split_folder_path(path: str) -> list[str]:
    """
    Return the names of the folders in a path such as ``Design/Structural``.

    :raises ITwinInputError: for an invalid name
    """
    parts = [part for part in path.split("/") if part]
    for part in parts:
        if problem := problem_of(part):
            raise ITwinInputError(
                f"folder_path is {shown(path)}, which has an invalid folder {shown(part)}: {problem}."
            )
    return parts
