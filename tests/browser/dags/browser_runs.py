"""DAGs for the browser tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

with DAG(
    dag_id="browser_runs",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # Leaves CPU time for the browser and the processes of Airflow.
    max_active_tasks=3,
    params={
        "connection_id": Param("demo-storage-connection", type="string"),
        "itwin_conn_id": Param("itwin_default", type="string"),
    },
):
    synchronize = ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        itwin_conn_id="{{ params.itwin_conn_id }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=0.5,
        retries=1,
        retry_delay=timedelta(0),
    )

    @task(trigger_rule="all_done")
    def unrelated(ti: Any = None) -> str:
        """Push an XCom with the same key as an iTwin task."""
        ti.xcom_push(key="run_report", value={"summary": "How I ran to work"})
        return "done"

    synchronize >> unrelated()

with DAG(dag_id="browser_mapped", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    ITwinRunStorageConnectionOperator.partial(
        task_id="synchronize", wait_for_completion=True, deferrable=True, poll_interval=0.5
    ).expand(connection_id=["demo-second-connection", "demo-partial-connection"])
