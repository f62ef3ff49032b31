"""
Synchronize a storage connection, and write the elements that have changed since a changeset to a file.

Set the ids in the parameters of the DAG, or in the environment of the DAG processor. If no file had changed, there is nothing to
compare, and the comparison is skipped.
"""

from __future__ import annotations

import os

import pendulum

from airflow_provider_itwin.jobs import ITwinDiffOperator
from airflow_provider_itwin.operators.itwin import ITwinCreateNamedVersionOperator, ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow.models import DAG, Param

with DAG(
    dag_id="itwin_changed_elements",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "itwin_id": Param(os.environ.get("ITWIN_ID", "0f2c3f7e-58a4-4d0b-9d3e-6f1a54b8c001"), type="string"),
        "connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-storage-connection"), type="string"),
        "start_changeset": Param(1, type="integer", minimum=1),
        "result_path": Param(os.environ.get("ITWIN_RESULT_PATH", "/tmp/itwin-changes/"), type="string"),  # noqa: S108 (an example)
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

    version = ITwinCreateNamedVersionOperator(
        task_id="name_version",
        run_ref=synchronize.output["run_ref"],
        name="Compared {{ run_id }}",
        retries=2,
    )

    compare = ITwinDiffOperator(
        task_id="compare",
        itwin_id="{{ params.itwin_id }}",
        imodel_id="{{ ti.xcom_pull(task_ids='name_version')['imodel_id'] }}",
        start_changeset="{{ params.start_changeset }}",
        end_changeset="{{ ti.xcom_pull(task_ids='name_version')['changeset_index'] }}",
        result_path="{{ params.result_path }}",
        deferrable=True,
        timeout=60 * 60,
        retries=2,
    )

    version >> compare
