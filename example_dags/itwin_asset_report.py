"""
Whenever the iModel has a new version: say what the run behind it did.

Scheduled on the asset that ``itwin_asset_sync`` makes events for; the task reads the run's result, counts and times from them.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_itwin.assets import imodel_asset, triggering_runs

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
        """Say in one line what each run did; there is none if somebody started this DAG by hand."""
        runs = triggering_runs(get_current_context())
        lines = [f"{run['ref']['run_id']}, ended {run['ended']}: {run['summary']}" for run in runs]
        print("\n".join(lines) or "No run has started this.")
        return lines

    tell_the_team()
