"""
The body of a request for a run: converted to plain JSON before it is sent, masked before it is displayed.

Both use the same plain JSON, so every value that is sent has been masked for display. Masking fails closed: a value is hidden
unless it is known to be harmless, because a body contains pre-signed URLs.
"""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.redaction import (
    HIDDEN,
    printable,
    redact,
)

MOST_VALUES = 1_000_000
"""Values of a body, at most."""

LARGEST_BODY = 64 * 1024 * 1024
"""Characters of all strings of a body together, at most."""

_DEEPEST = 64
_MOST_SHOWN = 100
_LONGEST_SHOWN = 4096
_MOST_DECODINGS = 6

_KNOWN_KEYS = frozenset(
    {
        "sourceFiles",
        "id",
        "parentId",
        "name",
        "action",
        "url",
        "connectorType",
        "connector",
        "documentAttribute",
        "documentMetadata",
        "className",
        "properties",
        "children",
        "relativePath",
        "documentAttributeSchemaUrl",
        "exportType",
        "ifcVersion",
        "inputOptions",
        "outputOptions",
        "mappingFileId",
        "changesetId",
        "savedViewId",
        "mappingfileBlobUrl",
        "modelIds",
        "location",
        "outputSasUrl",
        "logsSasUrl",
        "folderId",
    }
)
"""Fields that the service documents."""

_SECRET_KEY = re.compile(
    r"pass|pwd|\bpw\b|secret|token|key|sig|cred|auth|cookie|session|sas|jwt|bearer|cert|connection.?string|salt|pin\b",
    re.IGNORECASE,
)
_ID_KEY = re.compile(r"(?:\A[iI]d|Ids?)\Z")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_GUID = re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![A-Za-z0-9])", re.IGNORECASE)
_RANDOM_RUN = re.compile(r"[A-Za-z0-9+=_~-]{16,}")
_CHANGE_OF_CLASS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_LONG_WORD = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{24,}|[A-Za-z]{40,}")
_ODD_WORD = re.compile(r"(?=\S*[!$%^*|`~])(?=\S*[A-Za-z0-9])\S{8,}")
_VALUE = re.compile(r"=\S.*", re.DOTALL)
_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")


class BodyError(ITwinInputError):
    """The body of a run cannot be converted to JSON, or is too large; the error text contains types, never values."""


def plain_body(body: object) -> dict[str, Any]:
    """
    Return a body as plain JSON values.

    Sequences and sets become arrays, including the lazy sequences that hold the output of mapped tasks. Mappings and dataclasses
    become objects, dates and UUIDs strings.

    :raises BodyError: for a value of any other type, and for a body that is too large
    """
    if not isinstance(body, Mapping):
        raise BodyError(
            f"body must be a mapping, as in the API documentation of the operation, not {type(body).__name__}"
        )
    plain: dict[str, Any] = _Conversion().mapping(body, "body", 0)
    return plain


class _Conversion:
    """Converts one body to plain JSON, and counts its values and characters."""

    def __init__(self) -> None:
        self._values = MOST_VALUES
        self._characters = LARGEST_BODY

    def value(self, value: Any, path: str, depth: int) -> Any:
        self._values -= 1
        if self._values < 0:
            raise BodyError(f"body cannot be sent: it has more than {MOST_VALUES:,} values")
        if depth > _DEEPEST:
            raise BodyError(f"body cannot be sent: it is nested more than {_DEEPEST} levels deep, or contains itself")
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise BodyError(f"body cannot be sent: {path} is not a finite number")
            return float(value)
        if isinstance(value, Mapping):
            return self.mapping(value, path, depth)
        if isinstance(value, datetime | date):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray | memoryview):
            return self._list(value, path, depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self.mapping({field.name: getattr(value, field.name) for field in fields(value)}, path, depth)
        raise BodyError(
            f"body cannot be sent: {path} is of type {type(value).__name__}, which cannot be converted to JSON"
        )

    def mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, entry in value.items():
            if not isinstance(key, str):
                raise BodyError(f"body cannot be sent: a key of {path} is of type {type(key).__name__}, not str")
            name = self._text(key.value if isinstance(key, Enum) else key, f"a key of {path}")
            plain[name] = self.value(entry, _path(path, name), depth + 1)
        return plain

    def _list(self, values: Iterable[Any], path: str, depth: int) -> list[Any]:
        return [self.value(entry, f"{path}[{index}]", depth + 1) for index, entry in enumerate(values)]

    def _text(self, value: str, path: str) -> str:
        text = str.__str__(value)
        self._characters -= len(text)
        if self._characters < 0:
            raise BodyError(f"body cannot be sent: its strings have more than {LARGEST_BODY:,} characters together")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BodyError(f"body cannot be sent: {path} has a lone surrogate, which UTF-8 cannot encode") from None
        return text


def _path(path: str, key: str) -> str:
    return f"{path}.{key if key in _KNOWN_KEYS else HIDDEN}"


def masked(plain: Any, key: str | None = None) -> Any:
    """
    Return a masked copy of plain JSON values, which may be displayed.

    :param plain: what :func:`plain_body` returned
    :param key: the key of the value in its object
    """
    if key is not None and key not in _KNOWN_KEYS and _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(plain, str):
        if key is not None and _ID_KEY.search(key) and _ID.fullmatch(plain) and redact(plain) == plain:
            return plain
        return masked_text(plain)
    if isinstance(plain, dict):
        return _masked_object(plain)
    if isinstance(plain, list):
        shown = [masked(entry, key) for entry in plain[:_MOST_SHOWN]]
        return shown if len(plain) <= _MOST_SHOWN else [*shown, f"... {len(plain) - _MOST_SHOWN} more"]
    if plain is None or isinstance(plain, bool | int | float):
        return plain
    return HIDDEN


def _masked_object(plain: dict[Any, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key, value in list(plain.items())[:_MOST_SHOWN]:
        name = key if key in _KNOWN_KEYS else masked_text(str(key))
        # The value of a masked key is masked too.
        entry = masked(value, key) if name == key else HIDDEN
        while name in shown:
            name += "*"
        shown[name] = entry
    if len(plain) > _MOST_SHOWN:
        shown["..."] = f"{len(plain) - _MOST_SHOWN} more"
    return shown


def masked_text(text: str) -> str:
    """Return a string of a body, masked unless it is known to be harmless; ``***`` if an encoding prevents the check."""
    if len(text) > _LONGEST_SHOWN:
        return HIDDEN
    text = printable(text)
    nested = _nested_json(text)
    if nested is not None:
        return json.dumps(masked(nested), ensure_ascii=False)
    shown = _masked_words(text)
    decoded = _decoded(shown)
    return shown if decoded is not None and _masked_words(decoded) == decoded else HIDDEN


def _masked_words(text: str) -> str:
    shown = _VALUE.sub(f"={HIDDEN}", redact(text))
    shown = _RANDOM_RUN.sub(lambda run: HIDDEN if _looks_random(run[0]) else run[0], shown)
    return _ODD_WORD.sub(
        lambda word: HIDDEN if re.search(r"[!$%^*|`~]", word[0].replace(HIDDEN, "")) else word[0], shown
    )


def _looks_random(run: str) -> bool:
    rest = _GUID.sub("", run)
    return bool(_LONG_WORD.search(rest)) or (len(rest) >= 16 and len(_CHANGE_OF_CLASS.findall(rest)) * 4 >= len(rest))


def _nested_json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        nested = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return nested if isinstance(nested, dict | list | str) else None


def _decoded(text: str) -> str | None:
    """Return `text` without the encodings of URLs, HTML, JavaScript and Unicode; None if they are nested too deeply."""
    for _ in range(_MOST_DECODINGS):
        plain = _ESCAPED.sub(lambda char: chr(int(char[1] or char[2], 16)), html.unescape(unquote(text)))
        plain = printable(unicodedata.normalize("NFKC", plain))
        if plain == text:
            return plain
        text = plain
    return None
