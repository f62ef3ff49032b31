"""What a typed DAG file does with jobs: each type checker accepts every line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_itwin.exceptions import ITwinJobFailedError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import (
    EXTRACTION,
    TRANSFORMATION,
    ITwinExtractionOperator,
    ITwinTransformationOperator,
    JobDefinition,
    JobInput,
    JobMessages,
    JobSearch,
)
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor
from airflow_provider_itwin.types import JobMessageDict, JobRefDict, JobReportDict

MESH_EXPORT = JobDefinition(
    name="mesh export",
    start="POST /mesh-export/",
    inputs={
        "imodel_id": JobInput(type="id", required=True),
        "export_type": JobInput(values=("3DFT", "CESIUM"), default="3DFT"),
    },
    id="export.id",
    poll="GET /mesh-export/{job_id}",
    state="export.status",
    running=("NotStarted", "InProgress"),
    passed=("Complete",),
    failed=("Invalid",),
    messages=JobMessages(errors=("export.error",)),
    find=JobSearch(get="GET /mesh-export/?iModelId={imodel_id}", jobs="exports"),
    repeatable=True,
)


@task
def count_errors(report: JobReportDict) -> int:
    first: JobMessageDict | None = report["messages"][0] if report["messages"] else None
    progress: float | None = report["progress"]
    errors = [message for message in report["messages"] if message["level"] == "error"]
    return len(errors) + report["messages_left_out"] + len(f"{first} {progress} {report['result']} {report['state']}")


@task
def look(ref: JobRefDict) -> str:
    hook = ITwinHook()
    started = hook.start_job(TRANSFORMATION, {"configuration_id": "c"})
    found = hook.get_job(TRANSFORMATION, started.ref)
    hook.cancel_job(TRANSFORMATION, started.ref)
    path: str = hook.download_job_result(TRANSFORMATION, started.ref, Path("/delivery/result.json"))
    return f"{ref['job_id']} {found.run} {path}"


def tell(error: ITwinJobFailedError) -> str:
    return error.report["outcome"] if error.report else "unknown"


with DAG("typed_jobs", schedule=None):
    transform = ITwinTransformationOperator(
        task_id="transform",
        configuration_id="{{ params.configuration }}",
        poll_interval=timedelta(minutes=1),
        timeout=pendulum.duration(hours=4),
        result_path="s3://bucket/transformation.json",
        strict=True,
        deferrable=True,
        retries=2,
    )
    extract = ITwinExtractionOperator(
        task_id="extract", inputs={"imodel_id": "m", "mappings": [{"id": "x"}]}, cancel_on_kill=False
    )
    mesh = ITwinJobOperator(task_id="mesh", job=MESH_EXPORT, imodel_id="m", wait_for_completion=False)
    wait = ITwinJobSensor(task_id="wait", job=MESH_EXPORT, job_ref=mesh.output["job_ref"], timeout=3600)
    again = ITwinJobSensor(task_id="again", job=EXTRACTION, job_ref=extract.output)
    mapped = ITwinExtractionOperator.partial(task_id="mapped").expand(inputs=[{"imodel_id": "m", "mappings": []}])
    transform >> [extract, mesh] >> wait >> again >> mapped
