"""All jobs, the plans of the next ones, and the configurations of transformations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from itwin_emulator.domain.job_kinds import JobKindName
from itwin_emulator.domain.job_plans import JobPlan
from itwin_emulator.domain.jobs import Job

PlanKey = tuple[JobKindName, str | None]
"""A kind of job, and the id of an iTwin, an iModel or a configuration; None: any."""


@dataclass(frozen=True, slots=True)
class TransformationConfiguration:
    """What a transformation does: from which iModel to which other one."""

    id: str
    name: str
    source_imodel_id: str
    target_imodel_id: str
    created: float
    transform_type: str = "ImportIModel"
    changeset_description: str = ""


@dataclass(slots=True)
class PlannedJobs:
    """The plans of the next jobs of a kind."""

    default: JobPlan | None = None
    """None: no plan."""
    next: list[JobPlan] = field(default_factory=list)
    """Plans of the next jobs, one each; after them the default plan applies."""


@dataclass(slots=True)
class JobRegistry:
    """All jobs. The lock of the store protects it."""

    jobs: dict[str, Job] = field(default_factory=dict)
    """By id, oldest first."""
    plans: dict[PlanKey, PlannedJobs] = field(default_factory=dict)
    configurations: dict[str, TransformationConfiguration] = field(default_factory=dict)
    _uncollected: dict[str, Job] = field(default_factory=dict)

    def add(self, job: Job) -> None:
        """Add a job."""
        self.jobs[job.id] = job
        if not job.collected:
            self._uncollected[job.id] = job

    def remove(self, job: Job) -> None:
        """Remove a job."""
        del self.jobs[job.id]
        self._uncollected.pop(job.id, None)

    def find(self, kind: JobKindName, job_id: str) -> Job | None:
        """Return a job of a kind by id, or None."""
        found = self.jobs.get(job_id)
        return found if found is not None and found.kind_name == kind else None

    def of_kind(self, kind: JobKindName) -> list[Job]:
        """Return the jobs of a kind, oldest first."""
        return [one for one in self.jobs.values() if one.kind_name == kind]

    def last_on(self, kind: JobKindName, imodel_id: str, now: float) -> Job | None:
        """Return the active job of a kind on an iModel that ends last, or None."""
        active = [one for one in self.of_kind(kind) if one.imodel_id == imodel_id and one.is_active(now)]
        return max(active, key=lambda one: one.ended, default=None)

    def plan(self, key: PlanKey, plan: JobPlan, times: int | None) -> None:
        """Plan the next jobs; ``times`` None: all from now on."""
        planned = self.plans.setdefault(key, PlannedJobs())
        if times is None:
            planned.default = plan
            planned.next.clear()
        else:
            planned.next.extend([plan] * times)

    def next_plan(self, kind: JobKindName, subjects: Iterable[str | None]) -> JobPlan:
        """Return the plan of a new job; plans for one of its subjects come before those for any."""
        for subject in (*(one for one in subjects if one is not None), None):
            planned = self.plans.get((kind, subject))
            if planned is not None and planned.next:
                return planned.next.pop(0)
            if planned is not None and planned.default is not None:
                return planned.default
        return JobPlan()

    def take_ended(self, now: float) -> list[Job]:
        """Return the jobs that have ended since the last call, in the order of their ends."""
        ended = sorted((one for one in self._uncollected.values() if not one.is_active(now)), key=lambda one: one.ended)
        for job in ended:
            del self._uncollected[job.id]
            job.collected = True
        return ended
