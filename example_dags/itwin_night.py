"""
Upload the design files that have changed, synchronize them, name the version, export it, and deliver the exported file.

If no file has changed, the steps after the synchronization are skipped. With the scenario ``demo`` of the emulator, set only the
folders ``ITWIN_NIGHT_SOURCE`` and ``ITWIN_NIGHT_DELIVERY`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.night import itwin_night

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models import DAG

with DAG(
    dag_id="itwin_night",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "deferrable": True},
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    itwin_night(
        source=os.environ.get("ITWIN_NIGHT_SOURCE", "/mnt/projects/hospital"),
        folder_path="Design",
        connection_id=os.environ.get("ITWIN_CONNECTION_ID", "demo-night-connection"),
        version_name="Nightly {{ run_id }}",
        export_connection_id=os.environ.get("ITWIN_EXPORT_CONNECTION_ID", "demo-night-export-connection"),
        export_body={"exportType": "IFC", "ifcVersion": "IFC4.3"},
        deliver_to=os.environ.get("ITWIN_NIGHT_DELIVERY", "/mnt/deliveries/"),
    )
