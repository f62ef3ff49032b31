"""
Synchronize an iModel, and say so: the iModel is an asset, and the event of a new version of it tells of the run behind it.

Whatever depends on the iModel is scheduled on the asset, see ``itwin_asset_report``. With the package's extra ``openlineage``,
and a place where OpenLineage may send its events, the same task tells there which files went into which iModel. Set
``ITWIN_IMODEL_ID`` and ``ITWIN_CONNECTION_ID`` in the environment of the DAG processor, or use the emulator's.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_itwin.assets import imodel_asset
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

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
        wait_for_completion=True,
        deferrable=True,
        timeout=6 * 60 * 60,
        outlets=[MODEL],
    )
