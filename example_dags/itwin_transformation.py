"""
Synchronize a storage connection then copy what has changed into another iModel.

A configuration of the Transformations API says what is copied. Set both ids in the parameters of the DAG, or
``ITWIN_CONNECTION_ID`` and ``ITWIN_CONFIGURATION_ID`` in the environment of the DAG processor.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.jobs import ITwinTransformationOperator
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_transformation",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string"),
        "configuration_id": Param(
            os.environ.get("ITWIN_CONFIGURATION_ID", "demo-transformation-configuration"), type="string"
        ),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    synchronize = ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        deferrable=True,
        retries=2,
    )

    transform = ITwinTransformationOperator(
        task_id="transform",
        configuration_id="{{ params.configuration_id }}",
        queueing=True,
        deferrable=True,
        timeout=6 * 60 * 60,
        retries=2,
    )

    synchronize >> transform
