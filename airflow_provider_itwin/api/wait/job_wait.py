"""Waits for jobs, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.polling import JobSnapshot
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.report import JobReport
from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.validation import shown
from airflow_provider_itwin.api.wait.any_wait import AnyWaitResult, WaitEnd, WaitEventMembers, WaitLimits
from airflow_provider_itwin.api.wait.schedule import PollSchedule


@dataclass(frozen=True, slots=True)
class JobWaitSpec(WaitLimits["JobWaitResult"]):
    """
    A wait for a job. Triggers store it as JSON.

    :param definition: the job API
    :param ref: the job
    """

    definition: JobDefinition
    ref: JobRef

    def __post_init__(self) -> None:
        PollSchedule(self.poll_interval)
        missing = [name for name in self.definition.stored_inputs if name not in self.ref.inputs]
        if missing:
            raise ITwinInputError(f"The reference of {self.ref} lacks {' and '.join(missing)}, which its requests need")

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
            limits = converted({name: value for name, value in values.items() if name in _LIMITS}, _Limits)
        except ValueError as error:
            raise ITwinInputError(f"The parameters of the wait are invalid: {error}") from None
        return cls(JobDefinition.from_dict(values.get("definition")), JobRef.from_dict(values.get("ref")), **limits)

    @staticmethod
    def unknown_members(values: object) -> set[str]:
        """Return the members of JSON values that :meth:`from_dict` ignores."""
        return set(values) - _LIMITS - {"definition", "ref"} if isinstance(values, Mapping) else set()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        limits = {name: getattr(self, name) for name in _LIMIT_NAMES}
        return {**limits, "definition": self.definition.as_dict(), "ref": self.ref.as_dict()}

    @property
    def poll_target(self) -> tuple[object, ...]:
        """What is polled: a job."""
        return (self.definition.poll, self.definition.version, self.ref.job_id)

    def matches(self, ref: object) -> bool:
        """Return whether `ref` is the job that is waited for."""
        return ref == self.ref

    @property
    def target(self) -> str:
        """What is waited for, in words."""
        return str(self.ref)

    def result(
        self, end: WaitEnd | None, ref: JobRef | None = None, run: JobSnapshot | None = None, **others: Any
    ) -> JobWaitResult:
        """Return a result of this wait; see :class:`JobWaitResult`."""
        return JobWaitResult(self, end, self.ref, run=run, **others)


class _Limits(TypedDict, total=False):
    """The limits of a wait, as they are stored."""

    poll_interval: float | None
    deadline: float | None
    began: float
    outage_tolerance: float
    queued: bool
    seen: bool
    is_known: bool
    not_before: float | None


class JobWaitEvent(WaitEventMembers):
    """The event of a wait for a job."""

    spec: Mapping[str, Any]
    ref: Mapping[str, Any]
    report: Mapping[str, Any] | None


@dataclass(slots=True)
class JobWaitResult(AnyWaitResult[JobWaitSpec, JobRef, JobSnapshot, JobReport]):
    """How a wait for a job stands, or how it ended."""

    def made_report(self) -> JobReport | None:
        """Return the report of the job once it has ended, in the process that polled it."""
        return JobReport.of(self.spec.definition, self.spec.ref, self.run) if self.run else None

    @classmethod
    def _read(cls, event: object) -> Mapping[str, Any]:
        values = converted(event, JobWaitEvent)
        spec, report = JobWaitSpec.from_dict(values["spec"]), values["report"]
        read = None if report is None else JobReport.from_dict(report, spec.ref)
        return {**values, "spec": spec, "ref": JobRef.from_dict(values["ref"]), "report": read}

    @property
    def _is_consistent(self) -> bool:
        # A class with slots is made twice, so super() without arguments does not work.
        is_consistent = super(JobWaitResult, self)._is_consistent
        if not is_consistent or self.report is None:
            return is_consistent
        # The state of a report can be cut, and is then unknown.
        meaning = self.spec.definition.outcome_of(self.report.state)
        return self.report.outcome in ("passed", "warned", "failed") and meaning in (None, self.report.outcome)


_LIMIT_NAMES = tuple(one.name for one in fields(WaitLimits))
_LIMITS = frozenset(_LIMIT_NAMES)
