"""
Trigger a DAG when a run finishes that something else started.

Bentley's own scheduler or a colleague starts the run. A watcher in the triggerer detects its end and triggers this DAG. Watchers
need Airflow 3 or newer. On Airflow 2, this file defines no DAG.

Set ``ITWIN_WATCHED_IMODEL_ID`` and ``ITWIN_WATCHED_CONNECTION_ID`` in the environment of the DAG processor. The defaults are
those of the emulator.
"""

from __future__ import annotations

import os

import pendulum
from airflow import __version__

from airflow_provider_itwin.assets import imodel_asset, triggering_runs

try:
    from airflow.sdk import DAG, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG
    from airflow.operators.python import get_current_context

if not __version__.startswith("2."):
    from airflow.sdk import AssetWatcher

    from airflow_provider_itwin.triggers.itwin import ITwinRunEventTrigger

    MODEL = imodel_asset(
        os.environ.get("ITWIN_WATCHED_IMODEL_ID", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1002"),
        watchers=[
            AssetWatcher(
                name="runs_that_somebody_else_started",
                trigger=ITwinRunEventTrigger(
                    itwin_conn_id="itwin_default",
                    kind="storage",
                    connection_id=os.environ.get("ITWIN_WATCHED_CONNECTION_ID", "demo-second-connection"),
                    fire_on=["Success", "PartialSuccess"],
                ),
            )
        ],
    )

    with DAG(
        dag_id="itwin_watcher",
        schedule=[MODEL],
        start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
        catchup=False,
        tags=["itwin", "example"],
        doc_md=__doc__,
    ):

        @task
        def go_on_with_the_imodel() -> list[str]:
            """Return the ids of the runs that triggered this DAG. Replace this with the tasks that depend on the iModel."""
            runs = triggering_runs(get_current_context())
            for run in runs:
                print(f"{run['ref']['run_id']}, ended {run['ended']}: {run['summary']}")
            return [run["ref"]["run_id"] for run in runs]

        go_on_with_the_imodel()
