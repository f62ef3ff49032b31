"""
What a wait is for, and what it ends with: an order that can be written down, and an outcome that travels as an event.

Both are plain JSON values on their way between a task and a trigger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import Run, read_moment
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.stored_version import (
    VERSION_KEY,
    UnknownVersionError,
    check_version,
)
from airflow_provider_itwin.api.models.validation import checked_id, shown
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs.endpoints import MOST_WATCHED
from airflow_provider_itwin.api.wait.schedule import PollSchedule

DEFAULT_OUTAGE_TOLERANCE = 900.0

EVENT_VERSION = 1
"""The form of an event; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""

_LONGEST_ERROR = 2000
"""Characters of an error in an event; half as many where one can take twelve bytes of JSON."""


@lru_cache(maxsize=MOST_WATCHED)
def _ref(kind: ConnectionKind, connection_id: str, run_id: str) -> RunRef:
    return RunRef(kind, connection_id, run_id)


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """
    What to wait for, in values that can be written down as JSON.

    :param kind: kind of the connection
    :param run_id: the run; or None, then the newest run that began at or after `started_after`
    :param started_after: with no `run_id` only: ISO 8601, a datetime, or a date, which is the beginning of that day; UTC if no
        zone is named; kept as ISO 8601
    :param poll_interval: seconds between two looks, None for the adaptive schedule
    :param deadline: epoch seconds after which the wait ends, None for never
    :param began: epoch seconds at which the wait began
    :param outage_tolerance: seconds without one good answer after which the wait is given up
    :param queued: whether this is another task's run, whose end is waited for only to start a run of our own
    :param seen: whether an earlier poll of this wait had a good answer, so that a refusal is confirmed before it counts
    :param not_before: epoch seconds before which the wait ends for no other reason than its deadline, None for no such moment
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
    not_before: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ConnectionKind(self.kind))
        checked_id(self.connection_id, "connection_id")
        PollSchedule(self.poll_interval)
        if self.run_id is not None:
            checked_id(self.run_id, "run_id")
        object.__setattr__(self, "started_after", None if self.run_id is not None else _moment_text(self.started_after))

    def as_dict(self) -> dict[str, Any]:
        """Give the order as JSON values."""
        return {**asdict(self), "kind": self.kind.value}

    @property
    def ref(self) -> RunRef | None:
        """The run, if it is known by its id."""
        return _ref(self.kind, self.connection_id, self.run_id) if self.run_id else None

    def concerns(self, ref: RunRef) -> bool:
        """Tell whether `ref` can be the run that is waited for."""
        return (ref.kind, ref.connection_id) == (self.kind, self.connection_id) and self.run_id in (None, ref.run_id)

    @property
    def target(self) -> str:
        """What is waited for, in words."""
        if self.run_id:
            return f"run {self.run_id} of {self.kind} connection {self.connection_id}"
        return f"a run of {self.kind} connection {self.connection_id} that began at or after {self.started_after}"


def _moment_text(value: object) -> str:
    """
    Return a moment as ISO 8601; a template can render one as text, as a datetime or as a date.

    :raises ValueError: if it is something else
    """
    if isinstance(value, datetime):
        value = (value.replace(tzinfo=UTC) if value.tzinfo is None else value).isoformat()
    elif isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str) or read_moment(value) is None:
        raise ITwinInputError(
            f"With no run_id, started_after must be a moment in ISO 8601, a datetime or a date, not {shown(value)}"
        )
    return value


class WaitEnd(StrEnum):
    """How a wait can end."""

    FINISHED = "finished"
    DEADLINE = "deadline"
    REFUSED = "refused"
    OUTAGE = "outage"
    UNSEEN = "unseen"


@dataclass(slots=True)
class WaitResult:
    """
    How a wait ended, or stands.

    :param end: None: it goes on; ``finished``: the run has ended; ``deadline``: it had not when the time limit passed;
        ``refused``: the service will not tell, now or later; ``outage``: no good answer for longer than tolerated; ``unseen``:
        another task's run that we may not look at
    :param ref: the run, None if none was found
    :param state: its state when last seen
    :param run: the whole run, when it has ended
    :param error: what was in the way, for ``refused`` and ``outage``, and the last trouble before a ``deadline``
    :param elapsed: seconds since the wait began
    :param polls: how often was looked
    """

    end: WaitEnd | None
    ref: RunRef | None
    state: str | None = None
    run: Run | None = None
    error: ITwinError | None = None
    elapsed: float = 0.0
    polls: int = 0

    def as_event(self, spec: WaitSpec, memo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Give the outcome as JSON values, at most 16 KiB of them.

        :param spec: what was waited for
        :param memo: whatever the task wants to find again when the event reaches it
        """
        text = str(self.error) if self.error else None
        return {
            VERSION_KEY: EVENT_VERSION,
            "end": self.end.value if self.end else None,
            "spec": spec.as_dict(),
            "ref": self.ref.as_dict() if self.ref else None,
            "state": excerpt(self.state, 40) if self.state else None,
            "report": RunReport.of(self.ref, self.run).as_dict() if self.ref and self.run else None,
            "error": excerpt(text, _LONGEST_ERROR if text.isascii() else _LONGEST_ERROR // 2) if text else None,
            "elapsed": self.elapsed,
            "polls": self.polls,
            "memo": memo,
        }


def event_of_error(error: Exception) -> dict[str, Any]:
    """Return the event of a trigger that could not begin its wait."""
    return {
        VERSION_KEY: EVENT_VERSION,
        "error": excerpt(str(error), _LONGEST_ERROR // 2),
        "retryable": isinstance(error, UnknownVersionError),
    }


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """
    What an event says, once it has been found to be one of ours; see :class:`WaitResult`.

    Members with a default inform people only: an event of another version of this package may lack them.
    """

    end: WaitEnd
    spec: WaitSpec
    ref: RunRef | None
    report: RunReport | None
    state: str | None = None
    error: str | None = None
    elapsed: float = 0.0
    polls: int = 0
    memo: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, event: Any) -> Self:
        """
        Read an event.

        :raises UnknownVersionError: if a newer version of this package has sent it
        :raises ValueError: if it is not one that :meth:`WaitResult.as_event` gave, so that nothing strange passes for success
        """
        try:
            if isinstance(event, Mapping):
                check_version(event, EVENT_VERSION, "The trigger's event")
            read = converted(event, cls)
        except UnknownVersionError:
            raise
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The trigger's event cannot be understood ({error}): {event!r:.300}") from None
        if not read._is_consistent:
            raise ValueError(f"The trigger's event contradicts itself: {event!r:.300}")
        return read

    @property
    def _is_consistent(self) -> bool:
        if (self.end is WaitEnd.FINISHED) != (self.report is not None) or not math.isfinite(self.elapsed):
            return False
        if self.ref is None:
            return self.report is None
        return self.spec.concerns(self.ref) and (self.report is None or self.report.ref == self.ref)
