"""
Export an iModel to IFC and list the exported files.

Bentley's Export API is a technology preview. Some export runs report ``Success`` although their job failed. ``strict=True`` fails
the task in this case.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinRunExportConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinExportConnectionRunSensor

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_export_ifc",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "connection_id": Param(os.environ.get("ITWIN_EXPORT_CONNECTION_ID", "demo-export-connection"), type="string"),
        "ifc_version": Param("IFC4.3", enum=["IFC4.3", "IFC2x3", "IFC2x3 CV 2.0", "IFC4 RV 1.2"]),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    export = ITwinRunExportConnectionOperator(
        task_id="start_export",
        connection_id="{{ params.connection_id }}",
        body={
            "exportType": "IFC",
            "ifcVersion": "{{ params.ifc_version }}",
            "outputOptions": {
                "location": "ITWIN_STORAGE",
                "folderId": "{{ var.value.get('itwin_export_folder', 'exports') }}",
            },
        },
        wait_for_completion=False,  # the sensor waits
    )

    exported = ITwinExportConnectionRunSensor(
        task_id="wait_for_export",
        connection_id="{{ params.connection_id }}",
        run_id=export.output,
        deferrable=True,
        strict=True,
        timeout=2 * 60 * 60,
    )

    @task
    def name_the_files(report: Any) -> list[str]:
        """Return the ids of the exported files."""
        files: list[str] = report["output_files"]
        print(f"{report['summary']}; exported files: {', '.join(files) or 'none reported'}")
        return files

    name_the_files(exported.output)
