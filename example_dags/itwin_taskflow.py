"""
Use the hook in your own tasks: start a run, wait for it, and return what the next task needs.

The hook returns objects. Return their ``as_dict()`` from a task, which is JSON and can be an XCom. ``multiple_outputs=False``
stores it as one XCom. Otherwise Airflow creates one XCom for each key, and Airflow 3.0 rejects values that are None.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_taskflow",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string")},
    tags=["itwin", "example"],
    doc_md=__doc__,
):

    @task(multiple_outputs=False)
    def start(params: Any = None) -> dict[str, Any]:
        """Start a run."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook().start_run(params["connection_id"]).as_dict()

    @task(multiple_outputs=False)
    def wait(started: Any) -> dict[str, Any]:
        """Wait for the run and return it without its jobs, which can be large."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        ref = started["ref"]
        run = ITwinHook().wait_for_run(ref["connection_id"], ref["run_id"], ref["kind"], timeout=3600)
        return {name: value for name, value in run.as_dict().items() if name != "jobs"}

    @task
    def tell(run: Any) -> str:
        """Print the result. Replace this with your own code."""
        line = f"Run {run['id']} ended with {run['result']} at {run['end_date_time']}"
        print(line)
        return line

    tell(wait(start()))
