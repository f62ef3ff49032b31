"""
Use a job API with a definition of your own, here Mesh Export, which makes tiles of an iModel for viewers.

Bentley has announced the end of this API; it serves as an example here. The emulator does not have it. Set the iModel in the
parameters of the DAG, or ``ITWIN_IMODEL_ID`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.jobs import JobDefinition, JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow.models import DAG, Param

MESH_EXPORT = JobDefinition(
    name="mesh export",
    start="POST /mesh-export/",
    inputs={
        "imodel_id": JobInput(type="id", required=True),
        "changeset_id": JobInput(type="id"),
        "export_type": JobInput(values=("3DFT", "CESIUM", "IMODEL", "3DTiles"), required=True),
    },
    id="export.id",
    poll="GET /mesh-export/{job_id}",
    state="export.status",
    running=("NotStarted", "InProgress"),
    passed=("Complete",),
    failed=("Invalid",),
)

with DAG(
    dag_id="itwin_own_job",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "imodel_id": Param(os.environ.get("ITWIN_IMODEL_ID", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"), type="string"),
        "export_type": Param("3DTiles", enum=["3DFT", "CESIUM", "IMODEL", "3DTiles"]),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    ITwinJobOperator(
        task_id="export_mesh",
        job=MESH_EXPORT,
        imodel_id="{{ params.imodel_id }}",
        export_type="{{ params.export_type }}",
        deferrable=True,
        timeout=2 * 60 * 60,
    )
