"""
What to wait for, and how a wait ended; both become JSON values on their way between a task and its trigger.

There are waits for runs and waits for jobs. They differ in what is polled and in the report; the limits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Self

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.moments import moment_text
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import Run
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import checked_id, shown
from airflow_provider_itwin.api.runs.endpoints import MOST_CACHED
from airflow_provider_itwin.api.wait.any_wait import (
    DEFAULT_OUTAGE_TOLERANCE as DEFAULT_OUTAGE_TOLERANCE,
)
from airflow_provider_itwin.api.wait.any_wait import (
    EVENT_VERSION as EVENT_VERSION,
)
from airflow_provider_itwin.api.wait.any_wait import (
    AnyWaitResult,
    WaitEventMembers,
    WaitLimits,
)
from airflow_provider_itwin.api.wait.any_wait import WaitEnd as WaitEnd
from airflow_provider_itwin.api.wait.schedule import PollSchedule


@lru_cache(maxsize=MOST_CACHED)
def _ref(kind: ConnectionKind, connection_id: str, run_id: str) -> RunRef:
    return RunRef(kind, connection_id, run_id)


@dataclass(frozen=True, slots=True)
class WaitSpec(WaitLimits["WaitResult"]):
    """
    A wait for a run. Triggers store it as JSON.

    :param kind: kind of the connection
    :param run_id: the run; or None, then the newest run that began at or after `started_after`
    :param started_after: with no `run_id` only: ISO 8601, a datetime, or a date, which is the beginning of that day; UTC if no
        zone is named; kept as ISO 8601
    """

    kind: ConnectionKind
    connection_id: str
    run_id: str | None = None
    started_after: str | None = None

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
    def from_dict(cls, values: object) -> Self:
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
    def unknown_members(values: object) -> set[str]:
        """Return the members of JSON values that :meth:`from_dict` ignores."""
        return set(values) - _SPEC_FIELDS if isinstance(values, Mapping) else set()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "kind": self.kind.value}

    @property
    def poll_target(self) -> tuple[object, ...]:
        """What is polled: a run, or the newest run of a connection, whatever `started_after` is."""
        return (self.kind, self.connection_id, self.run_id)

    @property
    def ref(self) -> RunRef | None:
        """The run, if it is known by its id."""
        return _ref(self.kind, self.connection_id, self.run_id) if self.run_id else None

    def matches(self, ref: RunRef) -> bool:
        """Return whether `ref` can be the run that is waited for."""
        return (ref.kind, ref.connection_id) == (self.kind, self.connection_id) and self.run_id in (None, ref.run_id)

    def result(
        self, end: WaitEnd | None, ref: RunRef | None = None, run: Run | None = None, **others: Any
    ) -> WaitResult:
        """Return a result of this wait; see :class:`WaitResult`."""
        return WaitResult(self, end, ref or self.ref, run=run, **others)

    @property
    def target(self) -> str:
        """What is waited for, in words."""
        if self.run_id:
            return f"run {self.run_id} of {self.kind} connection {self.connection_id}"
        return f"a run of {self.kind} connection {self.connection_id} that began at or after {self.started_after}"


_SPEC_FIELDS = frozenset(field.name for field in fields(WaitSpec))


class WaitEvent(WaitEventMembers):
    """The event of a wait for a run."""

    spec: WaitSpec
    ref: RunRef | None
    report: RunReport | None


@dataclass(slots=True)
class WaitResult(AnyWaitResult[WaitSpec, RunRef, Run, RunReport]):
    """How a wait for a run stands, or how it ended."""

    def made_report(self) -> RunReport | None:
        """Return the report of the run once it has ended, in the process that polled it."""
        return RunReport.of(self.ref, self.run) if self.ref and self.run else None

    @classmethod
    def _read(cls, event: object) -> Mapping[str, Any]:
        return converted(event, WaitEvent)
