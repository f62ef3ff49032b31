"""
Synchronize a storage connection then extract data of its iModel into tables.

Mappings of the Grouping and Mapping API say which data. Set the ids in the parameters of the DAG, or ``ITWIN_CONNECTION_ID``,
``ITWIN_IMODEL_ID`` and ``ITWIN_MAPPING_ID`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.jobs import ITwinExtractionOperator
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_extraction",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string"),
        "imodel_id": Param(os.environ.get("ITWIN_IMODEL_ID", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"), type="string"),
        "mapping_id": Param(os.environ.get("ITWIN_MAPPING_ID", "8d2f6a14-6f0c-4a54-9d3e-2f6f0c5b7001"), type="string"),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    synchronize = ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        deferrable=True,
        retries=2,
    )

    extract = ITwinExtractionOperator(
        task_id="extract",
        imodel_id="{{ params.imodel_id }}",
        mappings=[{"id": "{{ params.mapping_id }}"}],
        deferrable=True,
        timeout=2 * 60 * 60,
        retries=2,
    )

    @task
    def summarize(report: Any) -> str:
        """Return a line about the extraction. Replace this with the tasks that read the tables."""
        line = f"Extraction {report['job_id']} is {report['state']}, with {len(report['messages'])} messages"
        print(line)
        return line

    synchronize >> extract
    summarize(extract.output["job_report"])
