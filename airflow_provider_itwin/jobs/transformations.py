"""Transformations API v2: fill an iModel from others, as a configuration says."""

from __future__ import annotations

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator

__all__ = ["TRANSFORMATION", "ITwinTransformationOperator"]

TRANSFORMATION = JobDefinition(
    name="transformation",
    version="v2",
    start="POST /transformations/",
    inputs={
        "configuration_id": JobInput(type="id", required=True, help="id of the configuration"),
        "queueing": JobInput(
            type="boolean",
            place="header",
            member="Enable-Transformation-Queueing",
            help="whether to wait while another transformation with the same target iModel runs; else it is refused",
        ),
    },
    id="transformation.id",
    poll="GET /transformations/{job_id}",
    state="transformation.status",
    running=("Created", "Initializing", "Started", "Queued"),
    passed=("Succeeded",),
    failed=("Failed", "Aborted"),
    progress=("transformation.processedEntityCount", "transformation.totalEntityCount"),
    messages=JobMessages(errors=("transformation.errorMessage",)),
    result="GET /transformations/{job_id}/report#report._links.download.href",
    cancel="DELETE /transformations/{job_id}",
    find=JobSearch(get="GET /transformations/?configurationId={configuration_id}", jobs="transformations"),
    url="https://developer.bentley.com/apis/transformations-v2/",
)
"""A transformation. Only one runs on a target iModel at a time; a repeated one only processes what has changed since."""


class ITwinTransformationOperator(ITwinJobOperator):
    """
    Start a transformation, and wait for its end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``create-transformation``. Inputs: ``configuration_id`` (required), ``queueing``.
    """

    job = TRANSFORMATION
