"""One DAG for each way to wait: its task can stall at chosen points, and is retried after one second."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG

from airflow_provider_itwin.jobs import ITwinRealityModelingOperator
from airflow_provider_itwin.operators.itwin import (
    ITwinCreateNamedVersionOperator,
    ITwinDownloadFileOperator,
    ITwinRunStorageConnectionOperator,
    ITwinUploadFilesOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.utils.task_state import TaskState, TaskStateStore

CONN_ID = "{{ dag_run.conf['itwin_conn_id'] }}"
LONGEST_STALL = 120


class StallingOperator(ITwinRunStorageConnectionOperator):
    """Stalls in its first attempt at the point that the conf of the DAG run names, so that the worker can be killed there."""

    def pre_execute(self, context: Any) -> None:
        conf = context["dag_run"].conf
        self.timeout = conf.get("timeout")
        self._stall_at = conf.get("stall_at") if context["ti"].try_number == 1 else None
        self._stall_file = Path(conf["stall_file"]) if "stall_file" in conf else None

    def _set_own_run(self, context: Any, store: TaskStateStore[TaskState], state: TaskState, ref: RunRef) -> TaskState:
        self._stall("answered")
        return super()._set_own_run(context, store, state, ref)

    def _publish_ref(self, context: Any, state: TaskState, ref: RunRef) -> None:
        self._stall("saved")
        super()._publish_ref(context, state, ref)

    def _finish(self, context: Any, store: TaskStateStore[TaskState], state: TaskState) -> str:
        self._stall("judging")
        return super()._finish(context, store, state)

    def _stall(self, point: str) -> None:
        if self._stall_at == point and self._stall_file is not None:
            self._stall_file.touch()
            time.sleep(LONGEST_STALL)


def make_dag(dag_id: str, *, retries: int, **arguments: Any) -> DAG:
    """Create a DAG whose only task synchronizes a connection and waits for the run to finish."""
    with DAG(dag_id=dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
        StallingOperator(
            task_id="synchronize",
            itwin_conn_id=CONN_ID,
            connection_id="night",
            wait_for_completion=True,
            poll_interval=1,
            retries=retries,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )
    return dag


# The killed attempt uses one retry. Airflow uses one more for each start of a task while its API server is down.
MANY_RETRIES = 12

on_worker = make_dag("crash_on_worker", retries=MANY_RETRIES, deferrable=False)
on_worker_once = make_dag("crash_on_worker_once", retries=0, deferrable=False)
deferred = make_dag("crash_deferred", retries=MANY_RETRIES, deferrable=True)
deferred_once = make_dag("crash_deferred_once", retries=0, deferrable=True)

with DAG(dag_id="crash_sensor", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    start = ITwinRunStorageConnectionOperator(
        task_id="start", itwin_conn_id=CONN_ID, connection_id="night", wait_for_completion=False
    )
    ITwinStorageConnectionRunSensor(
        task_id="synchronize",
        itwin_conn_id=CONN_ID,
        connection_id="night",
        run_id=start.output,
        poll_interval=1,
        deferrable=True,
        retries=MANY_RETRIES,
        retry_delay=timedelta(seconds=1),
    )

with DAG(dag_id="crash_name_version", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    # The crash tests know tasks by this id.
    ITwinCreateNamedVersionOperator(
        task_id="synchronize",
        itwin_conn_id=CONN_ID,
        run_ref="storage/night/{{ dag_run.conf['run'] }}",
        name="Nightly {{ dag_run.conf['run'] }}",
        retries=MANY_RETRIES,
        retry_delay=timedelta(seconds=1),
    )

with DAG(dag_id="crash_download", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    ITwinDownloadFileOperator(
        task_id="synchronize",
        itwin_conn_id=CONN_ID,
        file_id="tower-file",
        path="{{ dag_run.conf['path'] }}",
        retries=MANY_RETRIES,
        retry_delay=timedelta(seconds=1),
    )

with DAG(dag_id="crash_upload", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    ITwinUploadFilesOperator(
        task_id="synchronize",
        itwin_conn_id=CONN_ID,
        source="{{ dag_run.conf['source'] }}",
        itwin_id="sources",
        connection_id="night",
        retries=MANY_RETRIES,
        retry_delay=timedelta(seconds=1),
    )

for dag_id, deferrable in (("crash_job", False), ("crash_job_deferred", True)):
    with DAG(dag_id=dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        ITwinRealityModelingOperator(
            task_id="synchronize",
            itwin_conn_id=CONN_ID,
            itwin_id="survey",
            name="Bridge {{ run_id }}",
            type="Calibration",
            specifications={"inputs": {}},
            poll_interval=1,
            deferrable=deferrable,
            retries=MANY_RETRIES,
            retry_delay=timedelta(seconds=1),
        )
