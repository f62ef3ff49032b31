"""The controls of jobs: plans of the next ones, their ends, and the configurations of transformations. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from itwin_emulator.admin import validation
from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.job_kinds import JOB_KINDS, JobKindName
from itwin_emulator.domain.job_plans import JobError, JobMessage, JobPlan
from itwin_emulator.domain.job_registry import TransformationConfiguration
from itwin_emulator.domain.jobs import Job
from itwin_emulator.domain.store import Store

MAX_PLANS = 10_000


@dataclass(frozen=True, slots=True)
class JobControls:
    """
    The controls of jobs.

    :param on_change: called after a change of the store
    """

    store: Store
    on_change: Callable[[], None]

    def plan_job(
        self,
        kind: JobKindName,
        outcome: str | None = None,
        duration: float = 600.0,
        *,
        times: int | None = None,
        subject: str | None = None,
        progress: Iterable[float] = (),
        error: str | JobError | Mapping[str, Any] | None = None,
        messages: Iterable[str | JobMessage | Mapping[str, Any]] = (),
        states: Iterable[tuple[str, float]] | None = None,
    ) -> None:
        """
        Plan the next jobs of a kind.

        :param kind: ``transformation``, ``changed-elements``, ``extraction``, ``reality-modeling``, ``reality-analysis`` or
            ``reality-conversion``
        :param outcome: last state; None: the success of the kind. Any name is allowed.
        :param duration: emulated seconds from the start to the outcome
        :param times: number of jobs, after those planned already; None: all jobs from now on
        :param subject: id of an iTwin, an iModel or a configuration; None: jobs of any
        :param progress: percentages in equal parts of the duration; empty: it grows evenly
        :param error: message of the error of a job that fails, or ``message`` and ``code``
        :param messages: errors, or dicts with ``message``, ``level`` (``information``, ``warning``, ``error``), ``code``,
            ``title``, ``params``
        :param states: states before the outcome, each with its share of the duration
        """
        _check_kind(kind)
        data: dict[str, Any] = {
            "outcome": outcome,
            "duration": duration,
            "progress": list(progress),
            "error": {"message": error} if isinstance(error, str) else error,
            "messages": [{"message": one} if isinstance(one, str) else one for one in messages],
            "states": None if states is None else list(states),
        }
        plan = validation.build(JobPlan, data, "plan")
        plan.check(JOB_KINDS[kind])
        if times is not None and not 1 <= times <= MAX_PLANS:
            raise ValueError(f"times must be between 1 and {MAX_PLANS}, or None for all jobs")
        with self.store.lock:
            self.store.jobs.plan((kind, subject), plan, times)
        self.on_change()

    def finish_job(self, job_id: str, outcome: str | None = None) -> None:
        """
        End a job now.

        :param outcome: None: the planned outcome
        """
        with self.store.lock:
            job = self._job(job_id)
            now = self.store.clock.now()
            if not job.is_active(now):
                raise ValueError(f"job {job_id!r} has ended already")
            job.finish(now, outcome)
        self.on_change()

    def jobs(self, kind: JobKindName | None = None) -> list[dict[str, Any]]:
        """Return the jobs of a kind, or of all kinds, oldest first; the shape is the same for all kinds."""
        if kind is not None:
            _check_kind(kind)
        with self.store.lock:
            self.store.collect_job_results()
            now, skew = self.store.clock.now(), self.store.clock.skew
            return [describe(one, now, skew) for one in self.store.jobs.jobs.values() if kind in (None, one.kind_name)]

    def add_configuration(
        self,
        source_imodel_id: str,
        target_imodel_id: str,
        configuration_id: str | None = None,
        name: str | None = None,
        transform_type: str = "ImportIModel",
    ) -> str:
        """Add a configuration of transformations and return its id. Both iModels must exist."""
        key = configuration_id or ids.guid()
        with self.store.lock:
            for imodel_id in (source_imodel_id, target_imodel_id):
                if imodel_id not in self.store.imodels:
                    raise LookupError(f"no iModel {imodel_id!r}")
            if not ids.is_valid(key) or key in self.store.jobs.configurations:
                raise ValueError(f"configuration id {key!r} is invalid, or exists already")
            self.store.jobs.configurations[key] = TransformationConfiguration(
                key, name or key, source_imodel_id, target_imodel_id, self.store.clock.now(), transform_type
            )
        self.on_change()
        return key

    def _job(self, job_id: str) -> Job:
        if job_id not in self.store.jobs.jobs:
            raise LookupError(f"no job {job_id!r}")
        return self.store.jobs.jobs[job_id]


def describe(job: Job, now: float, skew: float) -> dict[str, Any]:
    """Return a job in a shape that is the same for all kinds, without its inputs."""
    ended = not job.is_active(now)
    error = job.error if ended else None
    return {
        "id": job.id,
        "kind": job.kind_name,
        "state": job.state(now),
        "active": not ended,
        "waiting": job.is_waiting(now),
        "percentage": round(job.percentage(now), 1),
        "iTwinId": job.itwin_id,
        "iModelId": job.imodel_id,
        "subject": job.subject,
        "name": job.inputs.get("name"),
        "type": job.inputs.get("type"),
        "created": timestamp(job.created + skew),
        "seconds": round(min(now, job.ended) - job.created, 1),
        "error": None if error is None else error.message,
    }


def _check_kind(kind: str) -> None:
    if kind not in JOB_KINDS:
        raise ValueError(f"kind must be one of {', '.join(JOB_KINDS)}, not {kind!r}")
