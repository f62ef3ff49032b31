"""One DAG for each way to wait, as a crash test wants it: it can be stopped at chosen moments, and is retried soon."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.utils.task_state import Store, TaskState

CONN_ID = "{{ dag_run.conf['itwin_conn_id'] }}"
LONGEST_STALL = 120


class StallingOperator(ITwinRunStorageConnectionOperator):
    """Stops, in its first try, at the moment that the DAG run's conf names, so that its worker can be lost just then."""

    def pre_execute(self, context: Any) -> None:
        conf = context["dag_run"].conf
        self.timeout = conf.get("timeout")
        self._stall_at = conf.get("stall_at") if context["ti"].try_number == 1 else None
        self._sign = Path(conf["sign"]) if "sign" in conf else None

    def _own(self, context: Any, store: Store, memory: TaskState, ref: RunRef) -> TaskState:
        self._stall("answered")
        return super()._own(context, store, memory, ref)

    def _push_ref(self, context: Any, ref: RunRef) -> None:
        self._stall("kept")
        super()._push_ref(context, ref)

    def _judge(self, context: Any, store: Store, memory: TaskState) -> str:
        self._stall("judging")
        return super()._judge(context, store, memory)

    def _stall(self, moment: str) -> None:
        if self._stall_at == moment and self._sign is not None:
            self._sign.touch()
            time.sleep(LONGEST_STALL)


def make_dag(dag_id: str, *, retries: int, **arguments: Any) -> DAG:
    """Make a DAG whose only task synchronizes a connection and waits for the end."""
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


# One retry is for our own loss; Airflow takes one for each time that it starts a task while its API server is away, and on a busy
# machine that takes its time to come back.
MANY = 12

on_worker = make_dag("crash_on_worker", retries=MANY, deferrable=False)
on_worker_once = make_dag("crash_on_worker_once", retries=0, deferrable=False)
deferred = make_dag("crash_deferred", retries=MANY, deferrable=True)
deferred_once = make_dag("crash_deferred_once", retries=0, deferrable=True)

with DAG(dag_id="crash_sensor", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    start = ITwinRunStorageConnectionOperator(task_id="start", itwin_conn_id=CONN_ID, connection_id="night")
    ITwinStorageConnectionRunSensor(
        task_id="synchronize",
        itwin_conn_id=CONN_ID,
        connection_id="night",
        run_id=start.output,
        poll_interval=1,
        deferrable=True,
        retries=MANY,
        retry_delay=timedelta(seconds=1),
    )
