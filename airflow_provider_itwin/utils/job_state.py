"""The state of a job operator that survives a deferral and, with the task state store of Airflow 3.3, a lost worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.start import JobStart
from airflow_provider_itwin.api.models.stored_version import VERSION_KEY, check_version

STORE_KEY = "itwin_job"

JOB_STATE_VERSION = 1
"""The version of what is stored; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""


@dataclass(frozen=True, slots=True)
class JobTaskState:
    """
    What is known about the job of a task so far.

    :param asked_at: epoch seconds at which this attempt of the task began
    :param start: what is known about the start of the job
    :param ref: the job; None if none is known yet
    """

    asked_at: float
    start: JobStart = field(default_factory=JobStart)
    ref: JobRef | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what has to survive, as JSON values."""
        return {
            VERSION_KEY: JOB_STATE_VERSION,
            "asked_at": self.asked_at,
            "ref": self.ref.as_dict() if self.ref else None,
            **self.start.as_dict(),
        }

    def restored(self, now: float) -> Self:
        """Return the state of a previous attempt as that of this one, which began at `now`."""
        return replace(self, asked_at=now)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises UnknownVersionError: if a newer version of this package has written it
        :raises ValueError: if it is something else
        """
        if isinstance(values, Mapping):
            check_version(values, JOB_STATE_VERSION, "The stored state of the task")
        try:
            ref = values["ref"]
            return cls(float(values["asked_at"]), JobStart.from_dict(values), JobRef.from_dict(ref) if ref else None)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            raise ValueError(f"The stored state of the task is unreadable: {values!r:.300}") from None
