"""Synchronize one connection, and wait in a triggerer; there is one DAG run for each connection."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

with DAG(
    dag_id="nightly",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=1000,
    max_active_tasks=1000,
):
    ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ dag_run.conf['connection_id'] }}",
        wait_for_completion=True,
        deferrable=True,
        retries=10,
        retry_delay=timedelta(seconds=1),
    )
