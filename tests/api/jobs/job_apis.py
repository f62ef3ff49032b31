"""Definitions of job APIs for tests, and responses of their services."""

from __future__ import annotations

from typing import Any

from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.api.jobs.ref import JobRef
from tests.api.responses import response

API = "https://api.bentley.com"

USUAL: dict[str, Any] = {
    "name": "thing",
    "start": "POST /things",
    "poll": "GET /things/{job_id}",
    "id": "thing.id",
    "state": "thing.state",
    "passed": ("Done",),
    "failed": ("Failed", "Canceled"),
    "warned": ("Partial",),
    "running": ("Queued", "Active"),
}
REF = JobRef("thing", "t1")


def thing(**changes: Any) -> JobDefinition:
    """Return a definition that differs from the usual one by `changes`."""
    return JobDefinition(**{**USUAL, **changes})


def inputs(*names: str, **others: JobInput) -> dict[str, JobInput]:
    """Return required ids of these names, and other inputs."""
    return {**{name: JobInput(type="id", required=True) for name in names}, **others}


def state(text: Any, **members: Any) -> Response:
    """Make the response to a poll."""
    return response(200, {"thing": {"state": text, **members}})


def created(job_id: Any = "t1") -> Response:
    """Make the response to a start."""
    return response(202, {"thing": {"id": job_id}})
