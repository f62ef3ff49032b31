"""Sensors that start and end in the triggerer."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

with DAG(
    dag_id="triggerer_only",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    params={"connection_id": Param("demo-second-connection", type="string")},
):
    start = ITwinRunStorageConnectionOperator(
        task_id="start",
        connection_id="{{ params.connection_id }}",
        if_active="queue",
        poll_interval=0.5,
        wait_for_completion=False,
    )
    common: dict[str, Any] = {
        "connection_id": "{{ params.connection_id }}",
        "run_id": start.output,
        "deferrable": True,
        "poll_interval": 0.5,
        "retries": 2,
    }
    ITwinStorageConnectionRunSensor(task_id="both", start_from_trigger=True, end_from_trigger=True, **common)
    ITwinStorageConnectionRunSensor(task_id="only_the_start", start_from_trigger=True, **common)
    ITwinStorageConnectionRunSensor(task_id="only_the_end", end_from_trigger=True, **common)
    ITwinStorageConnectionRunSensor(
        task_id="too_short", start_from_trigger=True, soft_fail=True, timeout=1, **common | {"run_id": "no-such-run"}
    )
