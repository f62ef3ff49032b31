"""
Validation of ids and other strings.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.redaction import (
    excerpt,
    holds_secret,
    printable,
)

_PATH_BREAKERS = re.compile(r"[/\\?#%\s\x00-\x1f\x7f]")
_TEMPLATE_MARKS = re.compile(r"\{[{%#]")
_LONGEST_ID = 512
_LONGEST_VALUE = 80


def shown(value: object) -> str:
    """Return `value` and its type for an error text: bounded, in one line, and without secrets."""
    text = repr(value[: 4 * _LONGEST_VALUE] if isinstance(value, str) else value)
    return f"{' '.join(excerpt(text, _LONGEST_VALUE).split())} ({type(value).__name__})"


def name_meant(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that somebody probably meant with `name`: another spelling, or a typing error; None if none."""
    names = list(known)
    plain = {one.replace("_", "").lower(): one for one in names}
    return plain.get(name.replace("_", "").lower()) or next(iter(get_close_matches(name, names, 1, 0.75)), None)


def no_xcom(value: object) -> NoReturn:
    """
    Refuse to serialize an object, so that the task that returns it fails rather than the one that reads it.

    :raises TypeError: always; the text names what to return instead
    """
    raise TypeError(
        f"A {type(value).__name__} cannot be an XCom or an argument of a task; return its as_dict() instead, which is JSON."
    )


def checked_text(value: object, name: str, *, is_rendered: bool = True) -> str:
    """
    Return `value` if it is a non-empty str.

    :param name: name of the parameter, for the error text
    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: for another type, an empty str, and ``"None"``, which a template renders for a missing value
    """
    if not isinstance(value, str):
        raise ITwinInputError(f"{name} must be a str, not {shown(value)}.{_WHERE_FROM if is_rendered else ''}")
    if not value.strip() or value in ("None", "null"):
        raise ITwinInputError(f"{name} must not be {value[:_LONGEST_VALUE]!r}.{_WHERE_FROM if is_rendered else ''}")
    return value


def is_template(value: object) -> bool:
    """Return whether `value` is a str that Airflow renders."""
    return isinstance(value, str) and _TEMPLATE_MARKS.search(value) is not None


def checked_id(value: object, name: str, *, is_rendered: bool = True) -> str:
    """
    Return `value` if it can be one segment of the path of a URL.

    :param value: an id of the iTwin Platform; its format is opaque
    :param name: name of the parameter, for the error text
    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: as :func:`checked_text`, and for an id that would change the path, or contains a template
    """
    text = checked_text(value, name, is_rendered=is_rendered)
    if is_template(text):
        raise ITwinInputError(
            f"{name} is {shown(text)}, which is not a valid id of the iTwin Platform: it contains a template. A template is "
            "rendered once; a template in its result is not rendered."
        )
    breaks_path = _PATH_BREAKERS.search(text) or text in (".", "..") or len(text) > _LONGEST_ID
    if breaks_path or printable(text) != text or holds_secret(text):
        raise ITwinInputError(
            f"{name} is {shown(text)}, which is not a valid id of the iTwin Platform: it would change the path of the "
            "request, or is unsafe to display. Pass the id itself, not a link, and without surrounding spaces."
        )
    return text


def known_id(value: str | None) -> str | None:
    """Return an id from the service if it passes :func:`checked_id`; else None."""
    try:
        return None if value is None else checked_id(value, "id")
    except ITwinInputError:
        return None


_WHERE_FROM = " If it comes from an XCom or a template, check that the upstream task has pushed it."
