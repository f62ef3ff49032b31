"""
Start a job of Reality Modeling, wait for it, and show what it has used.

The ``specifications`` depend on the type of the job: see Bentley's documentation. Set the ids in the parameters of the DAG, or
``ITWIN_ID`` and ``ITWIN_SCENE_ID`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum

from airflow_provider_itwin.jobs import ITwinRealityModelingOperator

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_reality_modeling",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "itwin_id": Param(os.environ.get("ITWIN_ID", "0f2c3f7e-58a4-4d0b-9d3e-6f1a54b8c001"), type="string"),
        "scene_id": Param(os.environ.get("ITWIN_SCENE_ID", "3fa85f64-5717-4562-b3fc-2c963f66afa6"), type="string"),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    calibrate = ITwinRealityModelingOperator(
        task_id="calibrate",
        itwin_id="{{ params.itwin_id }}",
        # The operator finds a job by its name if the response to the start was lost.
        name="Bridge {{ run_id }}",
        type="Calibration",
        specifications={"inputs": {"scene": "{{ params.scene_id }}"}, "outputs": ["scene", "report"]},
        deferrable=True,
        timeout=24 * 60 * 60,
    )

    @task
    def show_costs(report: Any) -> float | None:
        """Return the processing units that the job has used."""
        units: float | None = report["details"]["job"]["executionInfo"].get("processingUnits")
        print(f"Job {report['job_id']} is {report['state']}, and has used {units} processing units")
        return units

    show_costs(calibrate.output["job_report"])
