"""Job reports: what a task stores and logs about a job that has ended, bounded and without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, NoReturn, Self, TypedDict

import msgspec

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobOutcome
from airflow_provider_itwin.api.jobs.inputs import camel_case
from airflow_provider_itwin.api.jobs.json_path import read_path
from airflow_provider_itwin.api.jobs.polling import JobSnapshot
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.models.job_types import JobMessageDict, JobReportDict
from airflow_provider_itwin.api.models.json_types import JsonValue
from airflow_provider_itwin.api.models.validation import no_xcom
from airflow_provider_itwin.api.redaction import excerpt, web_address

_MOST_MESSAGES = 50
_LARGEST_MESSAGES = 4_500
"""Bytes of all messages, at most, as Airflow stores them: characters beyond ASCII take up to twelve."""

_MOST_IN_LOG = 10
_MOST_MEMBERS = 40
_MOST_ENTRIES = 20
_DEEPEST = 6
_LONGEST_TEXT = 300
_LARGEST_DETAILS = 3_000
"""Bytes of the details, and of the result, at most."""

_MOST_READ = 4_096
"""Characters of a text that are read: masking secrets takes time, and responses can be large."""

_MOST_MADE = 4 * _MOST_MESSAGES
_LARGEST_INTEGER = 2**64

_TITLES = ("title", "category")
_TEXTS = ("message", "text", "description", "detail", "errorMessage")
_CODES = ("code", "errorCode", "errorKey")
_PLACE = re.compile(r"\{(\d)\}|%([1-9])(?!\d)")


@dataclass(frozen=True, slots=True)
class JobMessage:
    """
    A message about a job.

    :param level: whether it is an error or a warning
    :param text: its title and its text
    :param code: its code
    """

    level: Literal["error", "warning"]
    text: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.code})" if self.code and self.code not in self.text else self.text


@dataclass(frozen=True, slots=True)
class JobReport:
    """
    The report of a job.

    :param ref: the job
    :param state: its last state, as the service spells it
    :param outcome: what the state means
    :param progress: percentage at the last poll; None if the service reports none
    :param messages: errors and warnings, errors first
    :param messages_left_out: how many more there are
    :param details: what the service says about the job, shortened, without pre-signed URLs and secrets
    :param result: the result, if it is small enough
    :param result_path: where the result was written
    """

    ref: JobRef
    state: str | None
    outcome: JobOutcome
    progress: float | None = None
    messages: tuple[JobMessage, ...] = ()
    messages_left_out: int = 0
    details: JsonValue = None
    result: JsonValue = None
    result_path: str | None = None

    @classmethod
    def of(cls, definition: JobDefinition, ref: JobRef, snapshot: JobSnapshot) -> Self:
        """Return the report of a job that has ended."""
        result = snapshot.result
        # Whoever has the link may read the file, signed or not.
        hidden = _Hidden(_secret_names(definition), (result,) if is_link(result) else ())
        found, count = _messages(definition, snapshot, hidden)
        kept = _fitting(found)
        return cls(
            ref,
            snapshot.summary.state,
            snapshot.summary.outcome or "running",
            snapshot.summary.progress,
            kept,
            count - len(kept),
            _bounded(snapshot.details, hidden),
            None if result is None or is_link(result) else _bounded(result, hidden),
        )

    def as_dict(self) -> JobReportDict:
        """Return JSON values, as in the XCom ``job_report``."""
        return {
            "name": self.ref.name,
            "job_id": self.ref.job_id,
            "state": self.state,
            "outcome": self.outcome,
            "progress": self.progress,
            "messages": [{"level": one.level, "code": one.code, "text": one.text} for one in self.messages],
            "messages_left_out": self.messages_left_out,
            "details": self.details,
            "result": self.result,
            "result_path": self.result_path,
        }

    @classmethod
    def from_dict(cls, values: object, ref: JobRef) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises ValueError: if it is something else
        """
        try:
            read: Any = msgspec.convert(values, _StoredReport)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if (read["name"], read["job_id"]) != (ref.name, ref.job_id):
            raise ValueError(f"the report is about {read['name']} {read['job_id']}, not {ref}")
        messages = tuple(JobMessage(one["level"], one["text"], one["code"]) for one in read["messages"])
        return cls(ref, messages=messages, **{name: read[name] for name in _PLAIN})

    def with_result_path(self, path: str) -> Self:
        """Return the report with the place of the result."""
        return replace(self, result_path=path)

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @property
    def text(self) -> str:
        """The report for people: what became of the job, and its messages."""
        verb = {"passed": "has succeeded", "warned": "has succeeded in part", "failed": "has failed"}.get(
            self.outcome, "runs"
        )
        name = str(self.ref)
        lines = [f"{name[0].upper()}{name[1:]} {verb}: its state is {self.state}."]
        lines += [f"  {one.level}: {one}" for one in self.messages[:_MOST_IN_LOG]]
        more = len(self.messages) + self.messages_left_out - _MOST_IN_LOG
        if more > 0:
            lines.append(f"  and {more} more; the first {len(self.messages)} are in the XCom job_report")
        return "\n".join(lines)


_PLAIN = ("state", "outcome", "progress", "messages_left_out", "details", "result", "result_path")


def is_link(value: object) -> bool:
    """Return whether a result is the address of a file, which may be pre-signed, and so a secret."""
    return isinstance(value, str) and value.lower().startswith(("https://", "http://"))


class _StoredReport(TypedDict):
    """The type :class:`JobReportDict` as msgspec reads it: it does not know types that contain themselves."""

    name: str
    job_id: str
    state: str | None
    outcome: JobOutcome
    progress: float | None
    messages: list[JobMessageDict]
    messages_left_out: int
    details: Any
    result: Any
    result_path: str | None


class _Hidden(NamedTuple):
    """What must not be in a report: members with these names in lower case, and these texts."""

    names: frozenset[str]
    texts: tuple[str, ...]


class _RawMessage(NamedTuple):
    """A message as the service has sent it, cut to what is read."""

    level: Literal["error", "warning"]
    title: str
    text: str
    code: str


def _secret_names(definition: JobDefinition) -> frozenset[str]:
    return frozenset(
        part.lower()
        for name, one in definition.inputs.items()
        if one.secret
        for part in (name, camel_case(name), one.member_for(name).split(".")[-1])
    )


def _messages(definition: JobDefinition, snapshot: JobSnapshot, hidden: _Hidden) -> tuple[list[JobMessage], int]:
    """Return the first messages, errors first, and how many there are."""
    if definition.messages is None:
        return [], 0
    levels: tuple[tuple[Literal["error", "warning"], tuple[str, ...]], ...] = (
        ("error", definition.messages.errors),
        ("warning", definition.messages.warnings),
    )
    raw: dict[_RawMessage, None] = {}
    for level, paths in levels:
        for path in paths:
            for source in (snapshot.details, snapshot.messages):
                raw.update(dict.fromkeys(_read_messages(read_path(source, path), level, 0)))
    first = sorted(raw, key=lambda one: one.level)[:_MOST_MADE]
    return list(dict.fromkeys(_made(one, hidden) for one in first)), len(raw)


def _made(raw: _RawMessage, hidden: _Hidden) -> JobMessage:
    text = ": ".join(dict.fromkeys(part for part in (raw.title, raw.text) if part)) or raw.code
    code = excerpt(raw.code, 100, hidden.texts) if raw.code else None
    return JobMessage(raw.level, excerpt(text, _LONGEST_TEXT, hidden.texts), code)


def _fitting(found: list[JobMessage]) -> tuple[JobMessage, ...]:
    """Return the first messages, as many as fit into a report."""
    size = 0
    for count, message in enumerate(found[:_MOST_MESSAGES]):
        size += len(json.dumps([message.level, message.text, message.code])) + _NAMES_OF_MESSAGE
        if size > _LARGEST_MESSAGES:
            return tuple(found[:count])
    return tuple(found[:_MOST_MESSAGES])


_NAMES_OF_MESSAGE = 32


def _read_messages(value: Any, level: Literal["error", "warning"], depth: int) -> Iterator[_RawMessage]:
    if isinstance(value, list) and depth < _DEEPEST:
        for one in value:
            yield from _read_messages(one, level, depth + 1)
    elif isinstance(value, str) and value.strip():
        yield _RawMessage(level, "", _cut(value), "")
    elif isinstance(value, Mapping):
        own = value.get("level")
        own = own.lower() if isinstance(own, str) and own else level
        if own not in ("error", "critical", "fatal", "warning"):
            return
        title, text, code = (_first(value, names) for names in (_TITLES, _TEXTS, _CODES))
        if title or text or code:
            filled = _filled(text, value.get("params"))
            yield _RawMessage("warning" if own == "warning" else "error", title, filled, code)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first member that is a text or an integer, as text; an empty text if there is none."""
    for name in names:
        one = value.get(name)
        if isinstance(one, str) and one.strip():
            return _cut(one)
        if isinstance(one, int) and not isinstance(one, bool) and abs(one) < _LARGEST_INTEGER:
            return str(one)
    return ""


def _filled(text: str, params: Any) -> str:
    """Return a message with its first parameters in their places: ``{0}``, ``{1}`` and so on, or ``%1``, ``%2`` and so on."""
    if not isinstance(params, list) or not params:
        return text
    texts = [_cut(str(param), _LONGEST_TEXT) for param in params[:10]]

    def value(place: re.Match[str]) -> str:
        index = int(place[1]) if place[1] else int(place[2]) - 1
        return texts[index] if index < len(texts) else place[0]

    return _cut(_PLACE.sub(value, text[:1000]) + text[1000:])


def _cut(text: str, longest: int = _MOST_READ) -> str:
    """Return the beginning of a text, up to the end of a word: a part of a secret would not be recognized."""
    if len(text) <= longest:
        return text
    return f"{text[:longest].rpartition(' ')[0]} …"


def _bounded(value: Any, hidden: _Hidden) -> JsonValue:
    """Return JSON values of limited size without secrets; None if they are too large even after that."""
    for texts, members, leaves in ((_LONGEST_TEXT, _MOST_MEMBERS, 300), (80, 20, 80), (40, 10, 30)):
        kept = _Shortening(hidden, texts, members, leaves).of(value, 0)
        if len(json.dumps(kept)) <= _LARGEST_DETAILS:
            return kept
    return None


class _Shortening:
    """
    Shortens JSON values.

    :param longest: characters of a text, at most
    :param most: members of an object, at most
    :param leaves: values in all, at most
    """

    def __init__(self, hidden: _Hidden, longest: int, most: int, leaves: int) -> None:
        self._hidden, self._longest, self._most, self._left = hidden, longest, most, leaves

    def of(self, value: Any, depth: int) -> JsonValue:
        """Return a value, shortened."""
        self._left -= 1
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if abs(value) < _LARGEST_INTEGER else "…"
        if depth >= _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, list):
            kept: list[JsonValue] = []
            for one in value[: min(self._most, _MOST_ENTRIES)]:
                if self._left <= 0:
                    break
                kept.append(self.of(one, depth + 1))
            return kept
        return self._text(str(value))

    def _object(self, value: Mapping[str, Any], depth: int) -> JsonValue:
        members: dict[str, JsonValue] = {}
        for name, one in value.items():
            if self._left <= 0 or len(members) >= self._most:
                break
            if name.lower() not in self._hidden.names:
                members[excerpt(_cut(name), 100)] = self.of(one, depth + 1)
        return members

    def _text(self, text: str) -> str:
        if is_link(text) and not any(hidden in text for hidden in self._hidden.texts):
            # A link without a signature stays whole; any other text passes the gate for texts from outside.
            whole = web_address(text)
            if whole is not None:
                return whole
        return excerpt(_cut(text), self._longest, self._hidden.texts)
