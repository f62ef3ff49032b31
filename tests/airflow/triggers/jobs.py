"""What a triggerer does with the triggers of jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
from airflow_provider_itwin.triggers.jobs import ITwinJobTrigger

if TYPE_CHECKING:
    from airflow_provider_itwin.jobs import JobDefinition


def cancel_in_triggerer(definition: JobDefinition, job_id: str) -> None:
    """End the waiting task of a job, as a triggerer of Airflow 3.3 does."""
    spec = JobWaitSpec(definition, JobRef(definition.name, job_id))
    asyncio.run(ITwinJobTrigger("itwin_default", spec, cancel_on_kill=True).on_kill())
