"""
Report each run that updated an iModel.

This DAG is scheduled on the asset that ``itwin_asset_sync`` updates. The task reads the report of each run from the asset events.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.assets import imodel_asset, triggering_runs

try:
    from airflow.sdk import DAG, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG
    from airflow.operators.python import get_current_context

MODEL = imodel_asset(os.environ.get("ITWIN_IMODEL_ID", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"))

with DAG(
    dag_id="itwin_asset_report",
    schedule=[MODEL],
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
    catchup=False,
    tags=["itwin", "example"],
    doc_md=__doc__,
):

    @task
    def tell_the_team() -> list[str]:
        """Return one line for each run; the list is empty if this DAG was triggered manually."""
        runs = triggering_runs(get_current_context())
        lines = [f"{run['ref']['run_id']}, ended {run['ended']}: {run['summary']}" for run in runs]
        print("\n".join(lines) or "No run triggered this DAG.")
        return lines

    tell_the_team()
