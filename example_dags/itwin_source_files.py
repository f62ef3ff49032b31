"""
List the source files of a connection and run one task for each file.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_source_files",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string")},
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    files = ITwinListSourceFilesOperator(
        task_id="list_drawings",
        connection_id="{{ params.connection_id }}",
        name_pattern="*.dgn",
        limit=50,
    )

    @task(max_active_tis_per_dagrun=8)
    def look_at(file: Any) -> str:
        """Process one file. Replace this with a check of its name, size or owner."""
        line = f"{file['name']} is read by the connector {file['connector_type']}"
        print(line)
        return line

    look_at.expand(file=files.output)
