"""
Names of named versions, and what a user can choose about them.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_text, shown
from airflow_provider_itwin.api.redaction import printable

LONGEST_NAME = 255
"""Characters of the name of a named version, at most."""

LONGEST_DESCRIPTION = 255
"""Characters of the description of a named version, at most."""

IfNamed: TypeAlias = Literal["use", "fail"]
"""What to do about a changeset that has a named version of another name."""

OnNoChanges: TypeAlias = Literal["skip", "pass", "fail"]
"""What to do about a run that has pushed no changeset."""


def checked_name(value: object, *, is_rendered: bool = True) -> str:
    """
    Return the name of a named version if the service can accept it.

    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: for another type, an empty text, several lines, and more than 255 characters
    """
    return _checked(checked_text(value, "name", is_rendered=is_rendered), "name", LONGEST_NAME)


def checked_description(value: object) -> str | None:
    """
    Return the description of a named version if the service can accept it; None for none.

    It is not shortened: half a sentence can say the opposite of the whole one.

    :raises ITwinInputError: for another type, and more than 255 characters
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ITwinInputError(f"description must be a str or None, not {shown(value)}")
    return _checked(value, "description", LONGEST_DESCRIPTION, has_lines=True)


def _checked(text: str, name: str, longest: int, *, has_lines: bool = False) -> str:
    if len(text) > longest:
        raise ITwinInputError(
            f"{name} has {len(text)} characters; the service accepts {longest}. It begins with {shown(text)}. Shorten it."
        )
    line = " ".join(text.split("\n")) if has_lines else text
    if printable(line) != line:
        raise ITwinInputError(
            f"{name} is {shown(text)}: it contains line breaks, control characters or invisible characters. Remove them."
        )
    return text


def checked_if_named(value: object) -> IfNamed:
    """
    Return what to do about a changeset that has another name.

    :raises ITwinInputError: if it is none of the choices
    """
    if value == "use" or value == "fail":
        return value
    raise _no_choice("if_named", value, get_args(IfNamed))


def checked_on_no_changes(value: object) -> OnNoChanges:
    """
    Return what to do about a run that has pushed no changeset.

    :raises ITwinInputError: if it is none of the choices
    """
    if value == "skip" or value == "pass" or value == "fail":
        return value
    raise _no_choice("on_no_changes", value, get_args(OnNoChanges))


def _no_choice(name: str, value: object, choices: tuple[str, ...]) -> ITwinInputError:
    return ITwinInputError(f"invalid {name} {shown(value)}; expected one of {', '.join(choices)}")
