"""The request headers ``Accept`` and ``Prefer``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MEDIA_TYPE = re.compile(r"application/vnd\.bentley\.itwin-platform\.v(\d{1,3})\+(?:json|octet-stream)")
_GENERIC = frozenset({"*/*", "application/*", "application/json"})
# RFC 7240: a token, optionally a value, optionally parameters. A value may be quoted, and may then contain all separators.
_WORD = r'(?:"(?:[^"\\]|\\.)*"|[^\s,;="]*)'
_PREFERENCE = re.compile(
    rf"\s*([^\s,;=\"]+)\s*(?:=\s*({_WORD}))?\s*((?:;[^,;\"]*(?:\"(?:[^\"\\]|\\.)*\"[^,;\"]*)?)*)\s*(?:,|$)"
)


def choose_version(accept: str | None, versions: Sequence[int]) -> int | None:
    """
    Return the version of an API that ``Accept`` asks for, or None if there is no such version.

    :param versions: the versions that exist; the first is the default
    """
    if not accept:
        return versions[0]
    for one in accept.lower().split(","):
        media_type = one.partition(";")[0].strip()
        if media_type in _GENERIC:
            return versions[0]
        match = _MEDIA_TYPE.fullmatch(media_type)
        if match is not None and int(match[1]) in versions:
            return int(match[1])
    return None


def preferences(header: str) -> dict[str, str]:
    """
    Return the preferences of a ``Prefer`` header, with names in lower case (RFC 7240).

    Of several preferences with the same name the first counts. What cannot be parsed is ignored.
    """
    found: dict[str, str] = {}
    for match in _PREFERENCE.finditer(header):
        found.setdefault(match[1].lower(), _unquoted(match[2] or ""))
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
