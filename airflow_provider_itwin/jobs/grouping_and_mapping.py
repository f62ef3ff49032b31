"""Grouping and Mapping API v1: extract data of an iModel into tables."""

from __future__ import annotations

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator

__all__ = ["EXTRACTION", "ITwinExtractionOperator"]

_EXTRACTIONS = "/grouping-and-mapping/datasources/imodel-mappings/extractions"

EXTRACTION = JobDefinition(
    name="extraction",
    start=f"POST {_EXTRACTIONS}",
    inputs={
        "imodel_id": JobInput(type="id", required=True, help="id of the iModel"),
        "mappings": JobInput(type="array", required=True, shortest=1, help="the mappings, as in [{'id': '…'}]"),
        "changeset_id": JobInput(type="id", help="id of the changeset; default: the newest one"),
        "ec_instance_ids": JobInput(type="array", help="ids of the elements; default: all"),
    },
    id="extraction.id",
    poll=f"GET {_EXTRACTIONS}/{{job_id}}",
    state="extraction.state",
    running=("Queued", "Running"),
    passed=("Succeeded",),
    warned=("PartiallySucceeded",),
    failed=("Failed",),
    messages=JobMessages(get=f"GET {_EXTRACTIONS}/{{job_id}}/logs?$top=1000", warnings=("logs",)),
    repeatable=True,
    url="https://developer.bentley.com/apis/grouping-and-mapping/",
)
"""An extraction. It cannot be canceled, and changes nothing but its own tables."""


class ITwinExtractionOperator(ITwinJobOperator):
    """
    Extract data of an iModel, and wait for the end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``run-extraction``. Inputs: ``imodel_id`` and ``mappings`` (required), ``changeset_id``, ``ec_instance_ids``.
    """

    job = EXTRACTION
