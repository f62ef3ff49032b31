"""What to wait for, and how a wait ended; both become JSON values on their way between a task and its trigger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, NotRequired, Self, TypedDict

from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.moments import moment_text
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import Run
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.stored_version import (
    VERSION_KEY,
    UnknownVersionError,
    check_version,
)
from airflow_provider_itwin.api.models.validation import checked_id, shown
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs.endpoints import MOST_CACHED
from airflow_provider_itwin.api.wait.schedule import PollSchedule

DEFAULT_OUTAGE_TOLERANCE = 900.0

EVENT_VERSION = 1
"""The form of an event; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""

_LONGEST_ERROR = 2000
"""Characters of an error in an event; half as many where one can take twelve bytes of JSON."""


@lru_cache(maxsize=MOST_CACHED)
def _ref(kind: ConnectionKind, connection_id: str, run_id: str) -> RunRef:
    return RunRef(kind, connection_id, run_id)


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """
    What to wait for. Triggers store it as JSON.

    :param kind: kind of the connection
    :param run_id: the run; or None, then the newest run that began at or after `started_after`
    :param started_after: with no `run_id` only: ISO 8601, a datetime, or a date, which is the beginning of that day; UTC if no
        zone is named; kept as ISO 8601
    :param poll_interval: seconds between two polls; None: the adaptive schedule
    :param deadline: epoch seconds at which the wait ends; None: no limit
    :param began: epoch seconds at which the wait began
    :param outage_tolerance: seconds without a good response after which the wait ends
    :param queued: whether this is the run of another task, and a run is to be started after it
    :param seen: whether an earlier poll of this wait had a good response, so that a refusal must be confirmed
    :param is_known: whether the service itself has named the run: a 404 then means that it is not visible yet
    :param not_before: epoch seconds before which only the deadline ends the wait; None: no such time
    """

    kind: ConnectionKind
    connection_id: str
    run_id: str | None = None
    started_after: str | None = None
    poll_interval: float | None = None
    deadline: float | None = None
    began: float = 0.0
    outage_tolerance: float = DEFAULT_OUTAGE_TOLERANCE
    queued: bool = False
    seen: bool = False
    is_known: bool = False
    not_before: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ConnectionKind(self.kind))
        checked_id(self.connection_id, "connection_id")
        PollSchedule(self.poll_interval)
        if self.run_id is not None:
            checked_id(self.run_id, "run_id")
        object.__setattr__(self, "started_after", None if self.run_id is not None else moment_text(self.started_after))

    @classmethod
    def for_run(cls, ref: RunRef, **others: Any) -> Self:
        """Return the spec of a wait for `ref`; `others` are the remaining parameters."""
        return cls(ref.kind, ref.connection_id, ref.run_id, **others)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` returned; unknown members, as a later version of this package may store, are ignored.

        :raises ITwinInputError: for an invalid or a missing value
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, Mapping):
            raise ITwinInputError(f"A wait needs a mapping of parameters, not {shown(values)}")
        try:
            return cls(**{name: value for name, value in values.items() if name in _SPEC_FIELDS})
        except TypeError as error:
            raise ITwinInputError(f"The parameters of the wait are incomplete: {error}") from None

    @staticmethod
    def unknown_members(values: Any) -> set[str]:
        """Return the members of JSON values that :meth:`from_dict` ignores."""
        return set(values) - _SPEC_FIELDS if isinstance(values, Mapping) else set()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "kind": self.kind.value}

    @property
    def ref(self) -> RunRef | None:
        """The run, if it is known by its id."""
        return _ref(self.kind, self.connection_id, self.run_id) if self.run_id else None

    @property
    def may_not_exist(self) -> bool:
        """Whether neither the service nor an earlier poll has named the run, so that its id can be wrong."""
        return not (self.seen or self.is_known or self.queued)

    def matches(self, ref: RunRef) -> bool:
        """Return whether `ref` can be the run that is waited for."""
        return (ref.kind, ref.connection_id) == (self.kind, self.connection_id) and self.run_id in (None, ref.run_id)

    @property
    def target(self) -> str:
        """What is waited for, in words."""
        if self.run_id:
            return f"run {self.run_id} of {self.kind} connection {self.connection_id}"
        return f"a run of {self.kind} connection {self.connection_id} that began at or after {self.started_after}"


_SPEC_FIELDS = frozenset(field.name for field in fields(WaitSpec))


class WaitEnd(StrEnum):
    """
    How a wait can end.

    ``finished``: the run has ended. ``deadline``: it had not when the deadline passed. ``refused``: the service refuses to
    return the run, now and later. ``outage``: there was no good response for longer than the outage tolerance. ``unseen``: the
    run of another task cannot be polled.
    """

    FINISHED = "finished"
    DEADLINE = "deadline"
    REFUSED = "refused"
    OUTAGE = "outage"
    UNSEEN = "unseen"


class WaitEvent(TypedDict):
    """
    A :class:`WaitResult` as JSON values: the payload of a trigger's event.

    Members that are not required only inform people: an event of another version of this package may lack them.
    """

    end: WaitEnd
    spec: WaitSpec
    ref: RunRef | None
    report: RunReport | None
    state: NotRequired[str | None]
    error: NotRequired[str | None]
    elapsed: NotRequired[float]
    polls: NotRequired[int]
    memo: NotRequired[Mapping[str, Any] | None]


@dataclass(slots=True)
class WaitResult:
    """
    How a wait stands or how it ended.

    :param spec: what was waited for
    :param end: None while the wait continues
    :param ref: the run; None if none was found
    :param state: its state at the last good poll
    :param run: the whole run once it has ended, in the process that polled it
    :param report: the report of the run, in a result that was read from an event
    :param error: the error for ``refused`` and ``outage``, and the last error before a ``deadline``
    :param elapsed: seconds since the wait began
    :param polls: how often the run was polled
    :param memo: what the task has passed to its trigger
    """

    spec: WaitSpec
    end: WaitEnd | None
    ref: RunRef | None
    state: str | None = None
    run: Run | None = None
    report: RunReport | None = None
    error: ITwinError | None = None
    elapsed: float = 0.0
    polls: int = 0
    memo: Mapping[str, Any] | None = None

    def as_event(self, memo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Return the result as JSON values of at most 16 KiB, in the form of :class:`WaitEvent`.

        :param memo: what the task wants to find in the event
        """
        text = str(self.error) if self.error else None
        return {
            VERSION_KEY: EVENT_VERSION,
            "end": self.end.value if self.end else None,
            "spec": self.spec.as_dict(),
            "ref": self.ref.as_dict() if self.ref else None,
            "state": excerpt(self.state, 40) if self.state else None,
            "report": RunReport.of(self.ref, self.run).as_dict() if self.ref and self.run else None,
            "error": excerpt(text, _LONGEST_ERROR if text.isascii() else _LONGEST_ERROR // 2) if text else None,
            "elapsed": self.elapsed,
            "polls": self.polls,
            "memo": memo,
        }

    @classmethod
    def from_event(cls, event: Any) -> Self:
        """
        Read the event of a trigger.

        :raises UnknownVersionError: if a newer version of this package has sent it
        :raises ValueError: if :meth:`as_event` did not make it: an invalid event never counts as a success
        """
        try:
            if isinstance(event, Mapping):
                check_version(event, EVENT_VERSION, "The trigger's event")
            read = converted(event, WaitEvent)
        except UnknownVersionError:
            raise
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The trigger's event is invalid ({error}): {event!r:.300}") from None
        text = read.get("error")
        values: dict[str, Any] = {**read, "error": ITwinError(text) if text else None}
        result = cls(**values)
        if not result._is_consistent:
            raise ValueError(f"The trigger's event contradicts itself: {event!r:.300}")
        return result

    @property
    def _is_consistent(self) -> bool:
        if (self.end is WaitEnd.FINISHED) != (self.report is not None) or not math.isfinite(self.elapsed):
            return False
        if self.ref is None:
            return self.report is None
        return self.spec.matches(self.ref) and (self.report is None or self.report.ref == self.ref)


def error_event(error: Exception) -> dict[str, Any]:
    """Return the event of a trigger that could not begin its wait."""
    return {
        VERSION_KEY: EVENT_VERSION,
        "error": excerpt(str(error), _LONGEST_ERROR // 2),
        "retryable": isinstance(error, UnknownVersionError),
    }
