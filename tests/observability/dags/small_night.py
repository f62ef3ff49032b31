"""One small night: runs with different results, one queued behind an active run, and one that is adopted."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunStorageConnectionOperator,
)

with DAG("small_night", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    for name in ("failing", "partial"):
        ITwinRunStorageConnectionOperator(
            task_id=name, connection_id=f"demo-{name}-connection", wait_for_completion=True, deferrable=True
        )
    ITwinRunStorageConnectionOperator(
        task_id="queued", connection_id="demo-storage-connection", wait_for_completion=True, deferrable=True
    )
    ITwinRunStorageConnectionOperator(
        task_id="adopted",
        connection_id="demo-second-connection",
        if_active="attach",
        wait_for_completion=True,
        deferrable=True,
    )
    ITwinRunExportConnectionOperator(
        task_id="on_a_worker",
        connection_id="demo-export-connection",
        body={
            "exportType": "IFC",
            "ifcVersion": "IFC4.3",
            "outputOptions": {"location": "ITWIN_STORAGE", "folderId": "exports"},
        },
        wait_for_completion=True,
        poll_interval=1,
    )
