"""Jobs in the state file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from itwin_emulator.admin import validation
from itwin_emulator.domain.job_plans import JobPlan
from itwin_emulator.domain.job_registry import PlannedJobs, TransformationConfiguration
from itwin_emulator.domain.jobs import Job
from itwin_emulator.domain.store import Store

_PLAIN = tuple(one.name for one in fields(Job) if one.name not in ("plan", "previous"))


def dump(store: Store) -> dict[str, Any]:
    """Return the jobs, plans and configurations."""
    registry = store.jobs
    return {
        "jobs": [_job_as_dict(one) for one in registry.jobs.values()],
        "plans": [
            {
                "kind": kind,
                "subject": subject,
                "default": None if planned.default is None else asdict(planned.default),
                "next": [asdict(one) for one in planned.next],
            }
            for (kind, subject), planned in registry.plans.items()
        ],
        "configurations": [asdict(one) for one in registry.configurations.values()],
    }


def restore(store: Store, data: Mapping[str, Any]) -> None:
    """Restore a dumped state into an empty store."""
    for one in data["configurations"]:
        configuration = validation.build(TransformationConfiguration, one, "configuration")
        store.jobs.configurations[configuration.id] = configuration
    for one in data["plans"]:
        default = None if one["default"] is None else _plan(one["default"])
        store.jobs.plans[one["kind"], one["subject"]] = PlannedJobs(default, [_plan(each) for each in one["next"]])
    for one in data["jobs"]:
        plain = {name: one[name] for name in _PLAIN}
        previous = store.jobs.jobs.get(one["previous"] or "")
        store.jobs.add(Job(**plain, plan=_plan(one["plan"]), previous=previous))


def _job_as_dict(job: Job) -> dict[str, Any]:
    plain = {name: getattr(job, name) for name in _PLAIN}
    return {**plain, "plan": asdict(job.plan), "previous": None if job.previous is None else job.previous.id}


def _plan(data: Mapping[str, Any]) -> JobPlan:
    return validation.build(JobPlan, data, "plan")
