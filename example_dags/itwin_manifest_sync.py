"""
Synchronize files from your own storage with a manifest connection.

The first task lists the files of the connection. The second task creates a pre-signed URL for each file. The run reads the
files from these URLs. The URLs are secrets and are passed between tasks as an XCom: use a short expiry or an XCom backend that
encrypts. Airflow masks them everywhere else.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator, ITwinRunManifestConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinManifestConnectionRunSensor

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_manifest_sync",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "connection_id": Param(
            os.environ.get("ITWIN_MANIFEST_CONNECTION_ID", "demo-manifest-connection"), type="string"
        )
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    files = ITwinListSourceFilesOperator(
        task_id="list_files",
        connection_id="{{ params.connection_id }}",
        kind="manifest",
    )

    @task
    def make_manifest(source_files: Any) -> dict[str, Any]:
        """Build the body of the run. Replace the URLs with pre-signed URLs of your storage."""
        return {
            "sourceFiles": [
                {
                    "id": file["file_id"],
                    "name": file["name"] or f"{file['file_id']}.dgn",
                    "action": "bridge",
                    "url": f"https://storage.example.com/{file['file_id']}?sig=made-for-this-run",
                    "connectorType": file["connector_type"] or "MSTN",
                }
                for file in source_files
            ]
        }

    start = ITwinRunManifestConnectionOperator(
        task_id="start_synchronization",
        connection_id="{{ params.connection_id }}",
        body=make_manifest(files.output),
        wait_for_completion=False,  # the sensor waits
    )

    ITwinManifestConnectionRunSensor(
        task_id="wait_for_synchronization",
        connection_id="{{ params.connection_id }}",
        run_id=start.output,
        deferrable=True,
        timeout=6 * 60 * 60,
    )
