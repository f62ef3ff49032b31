"""Runs to look at in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

with DAG(
    dag_id="browser_runs",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # The browser and Airflow's own processes want something of the machine, too.
    max_active_tasks=3,
    params={"connection_id": Param("demo-storage-connection", type="string")},
):
    synchronize = ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=0.5,
        retries=1,
        retry_delay=timedelta(0),
    )

    @task(trigger_rule="all_done")
    def somebody_elses(ti: Any = None) -> str:
        """Do something that has nothing to do with iTwin, and leave something by a name that is not ours alone."""
        ti.xcom_push(key="run_report", value={"summary": "How I ran to work"})
        return "done"

    synchronize >> somebody_elses()

with DAG(dag_id="browser_mapped", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    ITwinRunStorageConnectionOperator.partial(
        task_id="synchronize", wait_for_completion=True, deferrable=True, poll_interval=0.5
    ).expand(connection_id=["demo-second-connection", "demo-partial-connection"])
