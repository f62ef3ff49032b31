"""DAGs whose task instances tests write into the database, for the page *iTwin*. They never run."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

for name in ("nightly_sync", "weekly_sync"):
    with DAG(dag_id=name, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="not-used")
