"""Reality Modeling, Reality Analysis and Reality Conversion API v2, which have one shape."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator

__all__ = [
    "REALITY_ANALYSIS",
    "REALITY_CONVERSION",
    "REALITY_MODELING",
    "ITwinRealityAnalysisOperator",
    "ITwinRealityConversionOperator",
    "ITwinRealityModelingOperator",
]


def _definition(name: str, api: str) -> JobDefinition:
    jobs = f"/{api}/jobs"
    return JobDefinition(
        name=name,
        version="v2",
        start=f"POST {jobs}",
        inputs={
            "itwin_id": JobInput(type="id", required=True, help="id of the iTwin"),
            "type": JobInput(required=True, help="type of the job"),
            "specifications": JobInput(
                type="object", required=True, help="inputs, options and outputs of this type of job"
            ),
            "name": JobInput(
                shortest=3,
                required=True,
                help="name of the job; with {{ run_id }} in it, a retry finds a job whose start had no response",
            ),
        },
        id="job.id",
        poll=f"GET {jobs}/{{job_id}}/progress",
        state="progress.state",
        running=("Queued", "Active", "TerminatingOnCancel", "TerminatingOnFailure"),
        passed=("Success",),
        failed=("Failed", "Cancelled"),
        progress="progress.percentage",
        details=f"GET {jobs}/{{job_id}}",
        messages=JobMessages(
            get=f"GET {jobs}/{{job_id}}/messages", errors=("messages.errors",), warnings=("messages.warnings",)
        ),
        result="job.specifications.outputs",
        cancel=f"DELETE {jobs}/{{job_id}}",
        find=JobSearch(
            get=f"GET {jobs}?$filter=iTwinId eq {{itwin_id}} and name eq '{{name}}'",
            jobs="jobs",
            same={"name": "name", "type": "type"},
        ),
        url=f"https://developer.bentley.com/apis/{api}-v2/",
    )


_MODELING = _definition("reality modeling job", "reality-modeling")

REALITY_MODELING = replace(
    _MODELING,
    inputs={
        **_MODELING.inputs,
        "type": JobInput(
            required=True,
            values=(
                "FillImageProperties",
                "ImportPointCloud",
                "Calibration",
                "Tiling",
                "Production",
                "Reconstruction",
                "Constraints",
                "TouchUpExport",
                "TouchUpImport",
                "WaterConstraints",
                "GaussianSplats",
            ),
            help="type of the job",
        ),
    },
)
"""A job of Reality Modeling. Each job costs processing units, so a start is never repeated in doubt."""

REALITY_ANALYSIS = _definition("reality analysis job", "reality-analysis")
"""A job of Reality Analysis."""

REALITY_CONVERSION = replace(
    _definition("reality conversion job", "reality-conversion"), result="job.specifications.output"
)
"""A job of Reality Conversion. It has one output, and its specifications contain no ``outputs``."""


class ITwinRealityModelingOperator(ITwinJobOperator):
    """
    Start a job of Reality Modeling, and wait for its end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``create-job``. Inputs: ``itwin_id``, ``type``, ``specifications``, ``name`` (all required).
    """

    job = REALITY_MODELING


class ITwinRealityAnalysisOperator(ITwinJobOperator):
    """
    Start a job of Reality Analysis, and wait for its end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``create-job``. Inputs: ``itwin_id``, ``type``, ``specifications``, ``name`` (all required).
    """

    job = REALITY_ANALYSIS


class ITwinRealityConversionOperator(ITwinJobOperator):
    """
    Start a job of Reality Conversion, and wait for its end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``create-job``. Inputs: ``itwin_id``, ``type``, ``specifications``, ``name`` (all required).
    """

    job = REALITY_CONVERSION
