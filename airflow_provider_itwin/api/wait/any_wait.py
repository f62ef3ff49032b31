"""
What waits for runs and waits for jobs have in common: their limits, and the forms of their results and events.

Both become JSON values on their way between a task and its trigger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NotRequired, Protocol, Self, TypeAlias, TypedDict, TypeVar

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.models.stored_version import (
    VERSION_KEY,
    UnknownVersionError,
    check_version,
)
from airflow_provider_itwin.api.redaction import excerpt

DEFAULT_OUTAGE_TOLERANCE = 900.0

EVENT_VERSION = 1
"""The form of an event; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""

LONGEST_ERROR = 2000
"""Characters of an error in an event; half as many where one can take twelve bytes of JSON."""

ResultT = TypeVar("ResultT", bound="AnyWaitResult[Any, Any, Any, Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLimits(Generic[ResultT]):
    """
    How to wait, whatever for.

    :param poll_interval: seconds between two polls; None: the adaptive schedule
    :param deadline: epoch seconds at which the wait ends; None: no limit
    :param began: epoch seconds at which the wait began
    :param outage_tolerance: seconds without a good response after which the wait ends
    :param queued: whether this is the run of another task, and a run is to be started after it
    :param seen: whether an earlier poll of this wait had a good response, so that a refusal must be confirmed
    :param is_known: whether the service itself has named what is waited for: a 404 then means that it is not visible yet
    :param not_before: epoch seconds before which only the deadline ends the wait; None: no such time
    """

    poll_interval: float | None = None
    deadline: float | None = None
    began: float = 0.0
    outage_tolerance: float = DEFAULT_OUTAGE_TOLERANCE
    queued: bool = False
    seen: bool = False
    is_known: bool = False
    not_before: float | None = None

    @property
    def may_not_exist(self) -> bool:
        """Whether neither the service nor an earlier poll has named what is waited for, so that its id can be wrong."""
        return not (self.seen or self.is_known or self.queued)

    @property
    def poll_target(self) -> tuple[object, ...]:
        """What is polled: waits with the same target share their polls."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """What is waited for, in words."""
        raise NotImplementedError

    def result(self, end: WaitEnd | None, ref: Any = None, run: Any = None, **others: Any) -> ResultT:
        """Return a result of this wait."""
        raise NotImplementedError

    def matches(self, ref: Any) -> bool:
        """Return whether `ref` can be what is waited for."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        raise NotImplementedError


class WaitEnd(StrEnum):
    """
    How a wait can end.

    ``finished``: the run or the job has ended. ``deadline``: it had not when the deadline passed. ``refused``: the service
    refuses to return it, now and later. ``outage``: there was no good response for longer than the outage tolerance.
    ``unseen``: the run of another task cannot be polled.
    """

    FINISHED = "finished"
    DEADLINE = "deadline"
    REFUSED = "refused"
    OUTAGE = "outage"
    UNSEEN = "unseen"


class WaitEventMembers(TypedDict):
    """
    The result of a wait as JSON values: the payload of a trigger's event.

    Members that are not required only inform people: an event of another version of this package may lack them.
    """

    end: WaitEnd
    state: NotRequired[str | None]
    error: NotRequired[str | None]
    elapsed: NotRequired[float]
    polls: NotRequired[int]
    memo: NotRequired[Mapping[str, Any] | None]


class _Ref(Protocol):
    def as_dict(self) -> Any: ...


class _Report(Protocol):
    @property
    def ref(self) -> Any: ...

    def as_dict(self) -> Any: ...


SpecT = TypeVar("SpecT", bound="WaitLimits[Any]")
RefT = TypeVar("RefT", bound=_Ref)
WholeT = TypeVar("WholeT")
ReportT = TypeVar("ReportT", bound=_Report)


@dataclass(slots=True)
class AnyWaitResult(Generic[SpecT, RefT, WholeT, ReportT]):
    """
    How a wait stands or how it ended.

    :param spec: what was waited for
    :param end: None while the wait continues
    :param ref: the run or the job; None if none was found
    :param state: its state at the last good poll
    :param run: the whole run or job once it has ended, in the process that polled it
    :param report: its report, in a result that was read from an event
    :param error: the error for ``refused`` and ``outage``, and the last error before a ``deadline``
    :param elapsed: seconds since the wait began
    :param polls: how often it was polled
    :param memo: what the task has passed to its trigger
    """

    spec: SpecT
    end: WaitEnd | None
    ref: RefT | None
    state: str | None = None
    run: WholeT | None = None
    report: ReportT | None = None
    error: ITwinError | None = None
    elapsed: float = 0.0
    polls: int = 0
    memo: Mapping[str, Any] | None = None

    def made_report(self) -> ReportT | None:
        """Return the report once the run or the job has ended, in the process that polled it."""
        raise NotImplementedError

    @classmethod
    def _read(cls, event: object) -> Mapping[str, Any]:
        """
        Read the members of an event.

        :raises ValueError: if it is something else
        """
        raise NotImplementedError

    def as_event(self, memo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Return the result as JSON values of at most 16 KiB.

        :param memo: what the task wants to find in the event
        """
        text = str(self.error) if self.error else None
        report = self.made_report()
        return {
            VERSION_KEY: EVENT_VERSION,
            "end": self.end.value if self.end else None,
            "spec": self.spec.as_dict(),
            "ref": self.ref.as_dict() if self.ref else None,
            "state": excerpt(self.state, 40) if self.state else None,
            "report": report.as_dict() if report else None,
            "error": excerpt(text, LONGEST_ERROR if text.isascii() else LONGEST_ERROR // 2) if text else None,
            "elapsed": self.elapsed,
            "polls": self.polls,
            "memo": memo,
        }

    @classmethod
    def from_event(cls, event: object) -> Self:
        """
        Read the event of a trigger.

        :raises UnknownVersionError: if a newer version of this package has sent it
        :raises ValueError: if :meth:`as_event` did not make it: an invalid event never counts as a success
        """
        try:
            if isinstance(event, Mapping):
                check_version(event, EVENT_VERSION, "The trigger's event")
            read = cls._read(event)
        except UnknownVersionError:
            raise
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The trigger's event is invalid ({error}): {event!r:.300}") from None
        text = read.get("error")
        result = cls(**{**read, "error": ITwinError(text) if text else None})
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


AnyResult: TypeAlias = AnyWaitResult[Any, Any, Any, Any]
"""The result of a wait, for a run or for a job."""


def error_event(error: Exception) -> dict[str, Any]:
    """Return the event of a trigger that could not begin its wait."""
    return {
        VERSION_KEY: EVENT_VERSION,
        "error": excerpt(str(error), LONGEST_ERROR // 2),
        "retryable": isinstance(error, UnknownVersionError),
    }
