"""
Synchronize many storage connections with dynamic task mapping, one mapped task for each connection.

The list of connections is a parameter of the DAG. It can come from any other task. Connections of the same iModel run one after
the other: the service allows one active run per iModel, and a task waits for an active run before it starts its own.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param
    from airflow.operators.python import get_current_context

with DAG(
    dag_id="itwin_sync_many_connections",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "connection_ids": Param(
            os.environ.get("ITWIN_CONNECTION_IDS", "demo-storage-connection,demo-second-connection").split(","),
            type="array",
            items={"type": "string"},
        )
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):

    @task
    def connections_to_synchronize() -> list[str]:
        """Return the ids of the connections."""
        return list(get_current_context()["params"]["connection_ids"])

    synchronize = ITwinRunStorageConnectionOperator.partial(
        task_id="synchronize",
        deferrable=True,
        timeout=6 * 60 * 60,
        max_active_tis_per_dagrun=16,
    ).expand(connection_id=connections_to_synchronize())

    @task(trigger_rule="all_done")
    def summary(run_ids: Any) -> int:
        """Count the synchronized connections."""
        done = [run_id for run_id in run_ids if run_id]
        print(f"{len(done)} connections synchronized")
        return len(done)

    summary(synchronize.output)
