"""
Export an iModel to IFC, and deliver the file to a folder or an object store.

The path can be a folder on the worker, or a URL of any object store that Airflow knows, such as ``s3://aws_default@bucket/exports/``.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import ITwinRunExportConnectionOperator

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_export_delivery",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "connection_id": Param(os.environ.get("ITWIN_EXPORT_CONNECTION_ID", "demo-export-connection"), type="string"),
        "path": Param(os.environ.get("ITWIN_DELIVERY_PATH", "/tmp/itwin-exports/"), type="string"),  # noqa: S108
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    export = ITwinRunExportConnectionOperator(
        task_id="export",
        connection_id="{{ params.connection_id }}",
        body={
            "exportType": "IFC",
            "ifcVersion": "IFC4.3",
            "outputOptions": {
                "location": "ITWIN_STORAGE",
                "folderId": "{{ var.value.get('itwin_export_folder', 'exports') }}",
            },
        },
        deferrable=True,
        strict=True,
        timeout=2 * 60 * 60,
    )

    deliver = ITwinDownloadFileOperator(
        task_id="deliver",
        run_ref=export.output["run_ref"],
        path="{{ params.path }}",
        retries=3,
    )

    export >> deliver
