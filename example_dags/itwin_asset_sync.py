"""
Synchronize an iModel and update it as an asset.

Schedule DAGs that depend on the iModel on this asset, as in ``itwin_asset_report``. The asset event contains the report of the
run. With the extra ``openlineage`` and a configured OpenLineage transport, the task also reports which files went into the
iModel.

Set ``ITWIN_IMODEL_ID`` and ``ITWIN_CONNECTION_ID`` in the environment of the DAG processor. The defaults are those of the
emulator.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.assets import imodel_asset
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models import DAG

MODEL = imodel_asset(os.environ.get("ITWIN_IMODEL_ID", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"))

with DAG(
    dag_id="itwin_asset_sync",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
    catchup=False,
    max_active_runs=1,
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id=os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"),
        deferrable=True,
        timeout=6 * 60 * 60,
        outlets=[MODEL],
    )
