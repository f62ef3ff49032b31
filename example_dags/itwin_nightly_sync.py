"""
Synchronize a storage connection every night, and continue only if the run succeeded.

The first task starts the run. The sensor waits for the run in the triggerer, without holding a worker. The last task reads the
report of the run. Set the connection in the parameters of the DAG, or ``ITWIN_CONNECTION_ID`` in the environment of the DAG
processor.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_nightly_sync",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
    catchup=False,
    max_active_runs=1,
    params={"connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string")},
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    start = ITwinRunStorageConnectionOperator(
        task_id="start_synchronization",
        connection_id="{{ params.connection_id }}",
        wait_for_completion=False,  # the sensor waits
        retries=2,
    )

    wait = ITwinStorageConnectionRunSensor(
        task_id="wait_for_synchronization",
        connection_id="{{ params.connection_id }}",
        run_id=start.output,
        deferrable=True,
        timeout=6 * 60 * 60,
    )

    @task
    def tell_the_team(report: Any) -> str:
        """Summarize the run. Replace this with the tasks that depend on the iModel."""
        line: str = report["summary"]
        for file in report["failing_tasks"]:
            line += f"\n- {file['file_name'] or file['file_id']}: {file['result']}, {file['message']}"
        print(line)
        return line

    tell_the_team(wait.output)
