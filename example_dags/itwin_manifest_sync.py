"""
Synchronize files from a storage of one's own: a manifest connection is told with each run where to read them.

The files of the connection are listed, a pre-signed URL is made for each that is to be synchronized, and the run gets them
as its manifest. The URLs are secrets: they travel from task to task as an XCom, so give them a short life or an XCom backend
that encrypts, and nothing else shows them.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator, ITwinRunManifestConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinManifestConnectionRunSensor

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
        """Make the body of the run; a real one asks its storage for the URLs, and each file for its connector."""
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
    )

    ITwinManifestConnectionRunSensor(
        task_id="wait_for_synchronization",
        connection_id="{{ params.connection_id }}",
        run_id=start.output,
        deferrable=True,
        timeout=6 * 60 * 60,
    )
