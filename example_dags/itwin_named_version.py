"""
Synchronize a storage connection every night, and name the state of the iModel that the run has produced.

If no file had changed, there is no new state: the task that names it is skipped, and with it the tasks that depend on the name.
Set the connection in the parameters of the DAG, or ``ITWIN_CONNECTION_ID`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinCreateNamedVersionOperator, ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_named_version",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
    catchup=False,
    max_active_runs=1,
    params={"connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string")},
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    synchronize = ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        deferrable=True,
        retries=2,
    )

    version = ITwinCreateNamedVersionOperator(
        task_id="name_version",
        run_ref=synchronize.output["run_ref"],
        name="Nightly {{ run_id }}",
        description="{{ run_report.result }}: {{ run_report.totals.tasks }} files of {{ run_report.connection_name }}",
        retries=2,
    )

    @task
    def deliver(version: Any) -> str:
        """Announce the version. Replace this with the tasks that use it, such as an export."""
        line = f"Version {version['name']} is changeset {version['changeset_index']} of iModel {version['imodel_id']}"
        print(line)
        return line

    deliver(version.output)
