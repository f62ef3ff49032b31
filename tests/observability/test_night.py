"""The metrics of one small night, from real Airflow processes, with each backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow's own processes are those of Airflow 3")

from itwin_emulator import Emulator
from scripts.airflow_home import itwin_connection
from scripts.processes import wait_until
from tests.system.deployment import Deployment

from .receivers import Key, OtlpReceiver, Receiver, StatsdListener, key

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

NIGHT = Path(__file__).parent / "dags" / "small_night.py"
DAG_ID = "small_night"
SPEED = 200.0

# What the DAG leads to, apart from polls.
RUNS: dict[Key, int] = {
    key("itwin.runs.started", kind="storage"): 3,
    key("itwin.runs.started", kind="export"): 1,
    key("itwin.runs.queued_behind", kind="storage"): 1,
    key("itwin.runs.adopted", kind="storage"): 1,
    key("itwin.runs.ended", kind="storage", result="success"): 2,
    key("itwin.runs.ended", kind="export", result="success"): 1,
    key("itwin.runs.ended", kind="storage", result="partial_success"): 1,
    key("itwin.runs.ended", kind="storage", result="error"): 1,
    key("itwin.runs.ended.success", kind="storage"): 2,
    key("itwin.runs.ended.success", kind="export"): 1,
    key("itwin.runs.ended.partial_success", kind="storage"): 1,
    key("itwin.runs.ended.error", kind="storage"): 1,
}
GETS = ("get-storage-connection-run", "get-export-connection-run")
ACTIVE = ("demo-storage-connection", "demo-second-connection")


def runs(receiver: Receiver) -> dict[Key, int]:
    return {metric: count for metric, count in receiver.counters().items() if ".runs." in metric[0]}


def durations(deployment: Deployment, run_id: str) -> dict[Key, float]:
    """Return the total duration in milliseconds by kind and result, from the reports of the tasks."""
    totals: dict[Key, float] = {}
    for instance in deployment.api.task_instances(DAG_ID, run_id):
        report = deployment.api.xcom(DAG_ID, run_id, instance["task_id"], "run_report")
        result = {"PartialSuccess": "partial_success"}.get(report["result"], report["result"].lower())
        metric = key("itwin.runs.duration", kind=report["ref"]["kind"], result=result)
        totals[metric] = totals.get(metric, 0.0) + report["duration"] * 1000
    return totals


@pytest.mark.parametrize("backend", [StatsdListener, OtlpReceiver], ids=["statsd", "otel"])
def test_a_night_is_counted(backend: Callable[[], Receiver], tmp_path: Path) -> None:
    with backend() as receiver, Emulator(speed=SPEED, scenario="demo") as emulator:
        for connection_id in ACTIVE:
            # Ended below, when the tasks wait for them.
            emulator.plan_run(connection_id, duration=SPEED * 600, times=1)
            emulator.start_run(connection_id)
        connection = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret)
        with Deployment(tmp_path / "airflow", [NIGHT], connection | receiver.environment) as deployment:
            api = deployment.api
            api.wait_for_dag(DAG_ID)
            run_id = api.trigger(DAG_ID)
            for task_id, connection_id in zip(("queued", "adopted"), ACTIVE, strict=True):
                api.wait_for_task(DAG_ID, run_id, task_id, "deferred")
                emulator.finish_run(connection_id)
            assert api.wait_for_run(DAG_ID, run_id) == "failed"
            states = api.task_states(DAG_ID, run_id)
            assert states == {
                "failing": "failed",
                "partial": "success",
                "queued": "success",
                "adopted": "success",
                "on_a_worker": "success",
            }

            wait_until(lambda: runs(receiver) == RUNS, 15.0)
            assert runs(receiver) == RUNS

            expected = durations(deployment, run_id)
            timers = receiver.timers()
            assert set(timers) == set(expected)
            assert {metric: total for metric, (_, total) in timers.items()} == pytest.approx(expected)
            assert timers[key("itwin.runs.duration", kind="storage", result="success")][0] == 2

            # Some requests for a run belong to its start, not to the wait.
            requests = sum(entry.operation in GETS for entry in emulator.request_log)
            polls = key("itwin.polls")
            wait_until(lambda: receiver.counters().get(polls, 0) > len(states), 40.0)
            assert len(states) < receiver.counters()[polls] <= requests
