"""DAGs whose task instances tests write into the database, for the page *iTwin*. They never run."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_itwin.jobs import ITwinRealityModelingOperator
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.operators.named_version import ITwinCreateNamedVersionOperator
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator

for name in ("nightly_sync", "weekly_sync", "hourly_sync"):
    with DAG(dag_id=name, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="not-used")

with DAG(dag_id="steps", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    synchronize = ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="not-used")
    ref = synchronize.output["run_ref"]
    upload = ITwinUploadFilesOperator(task_id="upload", source="/not/used", connection_id="not-used")
    version = ITwinCreateNamedVersionOperator(task_id="version", run_ref=ref, name="Not used")
    download = ITwinDownloadFileOperator(task_id="download", file_id="not-used", path="/not/used")
    model = ITwinRealityModelingOperator(
        task_id="model", itwin_id="not-used", name="Not used", type="Calibration", specifications={}
    )
    upload >> synchronize >> version >> download >> model
