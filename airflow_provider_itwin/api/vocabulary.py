"""
The words of the field: kinds of connection, states, results, and the name of a run.

Light on purpose: DAG files reach this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NoReturn, Self
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.redact import excerpt, holds_secret, printable

_PATH_BREAKERS = re.compile(r"[/\\?#%\s\x00-\x1f\x7f]")
_TEMPLATE_MARKS = re.compile(r"\{[{%#]")
_LONGEST_ID = 512
_LONGEST_VALUE = 80


class ConnectionKind(StrEnum):
    """What a connection reads its design files from, or writes them to."""

    STORAGE = "storage"
    MANIFEST = "manifest"
    EXPORT = "export"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ITwinInputError(f"invalid kind {value!r:.80}; expected one of {', '.join(map(repr, map(str, cls)))}")


class ExecutionState(StrEnum):
    """States of a run; only ``Completed`` is an end, and a state that is not listed here means "still running"."""

    NOT_STARTED = "NotStarted"
    IDLE = "Idle"
    QUEUED = "Queued"
    WAITING_TO_EXECUTE = "WaitingToExecute"
    WAITING_TO_RETRY = "WaitingToRetry"
    EXECUTING = "Executing"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"


class ExecutionResult(StrEnum):
    """Results of a run; a result that is not listed here counts as a failure."""

    SUCCESS = "Success"
    PARTIAL_SUCCESS = "PartialSuccess"
    SKIPPED = "Skipped"
    ERROR = "Error"
    TIMED_OUT = "TimedOut"
    CANCELED = "Canceled"
    UNDETERMINED = "Undetermined"


_RESULTS = {result.value.lower(): result for result in ExecutionResult} | {"cancelled": ExecutionResult.CANCELED}


_STATES = {state.value.lower(): state for state in ExecutionState}


def known_state(text: str | None) -> ExecutionState | None:
    """Return the state that `text` spells, without regard to case and blanks; None for an unknown one."""
    return _STATES.get(text.strip().lower()) if text else None


def known_result(text: str | None) -> ExecutionResult | None:
    """Give the result that `text` spells, in either spelling of Canceled and in any case; None if nobody knows it."""
    return _RESULTS.get(text.strip().lower()) if text else None


def shown(value: object) -> str:
    """Return `value` and its type for an error text: bounded, in one line, and without secrets."""
    text = repr(value[: 4 * _LONGEST_VALUE] if isinstance(value, str) else value)
    return f"{' '.join(excerpt(text, _LONGEST_VALUE).split())} ({type(value).__name__})"


def no_xcom(value: object) -> NoReturn:
    """
    Refuse to serialize an object, in the place of a failure in the task that reads it.

    :raises TypeError: always; the text says what to return instead
    """
    raise TypeError(
        f"A {type(value).__name__} cannot be an XCom or an argument of a task: return its as_dict() instead, which is JSON."
    )


def checked_text(value: object, name: str) -> str:
    """
    Return `value` if it is a text that can name something.

    :param name: the parameter, for the error text
    :raises ITwinInputError: for another type, an empty text, and the word None, which a template renders for a missing value
    """
    if not isinstance(value, str):
        raise ITwinInputError(f"{name} must be a str, not {shown(value)}. {_WHERE_FROM}")
    if not value.strip() or value in ("None", "null"):
        raise ITwinInputError(f"{name} is {value[:_LONGEST_VALUE]!r}, which names nothing. {_WHERE_FROM}")
    return value


def checked_id(value: object, name: str) -> str:
    """
    Return `value` if it can be one segment of a URL's path.

    :param value: an id of the iTwin Platform; these are opaque, so nothing is assumed of their form
    :param name: what the id is called where the user wrote it, for the error text
    :raises ITwinInputError: if it is no text, empty, the word None, would change the path, or holds a template
    """
    text = checked_text(value, name)
    if _TEMPLATE_MARKS.search(text):
        raise ITwinInputError(
            f"{name} is {shown(text)}, which cannot be an id of the iTwin Platform: it holds a template. A template is rendered "
            "once; a value that is itself a template is never evaluated."
        )
    breaks_path = _PATH_BREAKERS.search(text) or text in (".", "..") or len(text) > _LONGEST_ID
    if breaks_path or printable(text) != text or holds_secret(text):
        raise ITwinInputError(
            f"{name} is {shown(text)}, which cannot be an id of the iTwin Platform: it would change the path of the "
            "request, or be unsafe to show. Give the bare id, not a link, and no surrounding spaces."
        )
    return text


def known_id(value: str | None) -> str | None:
    """Return an id that the service gave if :func:`checked_id` would take it; None if it is none."""
    try:
        return None if value is None else checked_id(value, "id")
    except ITwinInputError:
        return None


_WHERE_FROM = "If it comes from an XCom or a template, check that the task it is pulled from has pushed it."


@dataclass(frozen=True, slots=True)
class RunRef:
    """The full name of a run: ``str(ref)`` is ``kind/connection_id/run_id``, and :meth:`parse` reads that back."""

    kind: ConnectionKind
    connection_id: str
    run_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ConnectionKind(self.kind))
        checked_id(self.connection_id, "connection_id")
        checked_id(self.run_id, "run_id")

    def __str__(self) -> str:
        return f"{self.kind}/{self.connection_id}/{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read what ``str(ref)`` wrote.

        :raises ValueError: if `text` is not of that form
        """
        parts = text.split("/")
        if len(parts) != 3:
            raise ITwinInputError(f"A run is named kind/connection_id/run_id, not {text!r}")
        return cls(ConnectionKind(parts[0]), parts[1], parts[2])

    def is_same(self, other: RunRef | None) -> bool:
        """Tell whether `other` names the same run: the service is not particular about the case in which it spells ids."""
        return other is not None and str(self).lower() == str(other).lower()

    def spelt_for(self, connection_id: str) -> Self:
        """Give the name with the id of its connection as `connection_id` spells it, if it is that but for the case."""
        if self.connection_id.lower() != connection_id.lower():
            return self
        return replace(self, connection_id=connection_id)

    def as_dict(self) -> dict[str, str]:
        """Give the three parts as JSON values, the form that the XCom ``run_ref`` has."""
        return {"kind": self.kind.value, "connection_id": self.connection_id, "run_id": self.run_id}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Self:
        """Read what :meth:`as_dict` gave."""
        return cls(ConnectionKind(parts["kind"]), parts["connection_id"], parts["run_id"])

    @classmethod
    def from_link(cls, href: str | None, kind: ConnectionKind, connection_id: str | None = None) -> Self | None:
        """
        Take the ids out of a link to a run: a ``location`` header, or ``_links.lastRun.href``.

        Absolute or relative, in any case, with a trailing slash or a query: only the path is read, and never the host.
        Two shapes are known: ``…connections/{connection}/runs/{run}`` and ``…/runs/{connection}/{run}``.

        :param kind: the kind of the connection that was asked, for a link that does not tell
        :param connection_id: the connection that was asked; a link that names it in another case is read as it is spelt here
        :return: None if the link names no run
        """
        if not isinstance(href, str):
            return None
        try:
            segments = [unquote(part) for part in urlsplit(href.strip()).path.split("/") if part]
        except ValueError:
            return None
        lowered = [part.lower() for part in segments]
        if "runs" not in lowered:
            return None
        at = len(lowered) - 1 - lowered[::-1].index("runs")
        after = segments[at + 1 :]
        if len(after) == 1 and at >= 1:
            root, owner, run_id = lowered[: at - 1], segments[at - 1], after[0]
        elif len(after) == 2:
            root, owner, run_id = lowered[:at], *after
        else:
            return None
        try:
            ref = cls(_kind_of_path(root, kind), owner, run_id)
        except ValueError:
            return None
        return ref.spelt_for(connection_id) if connection_id else ref


def _kind_of_path(segments: list[str], otherwise: ConnectionKind) -> ConnectionKind:
    if "storageconnections" in segments:
        return ConnectionKind.STORAGE
    if "manifestconnections" in segments:
        return ConnectionKind.MANIFEST
    if "export" in segments[:1]:
        return ConnectionKind.EXPORT
    return otherwise
