"""A run that was not started by Airflow starts a DAG exactly once, even if the triggerer is restarted or lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from itwin_emulator import Emulator
from scripts.airflow_home import EXAMPLE_DAGS, itwin_connection
from scripts.processes import wait_until

from .deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

WATCHER, SYNC, REPORT = "itwin_watcher", "itwin_asset_sync", "itwin_asset_report"
WATCHED = "demo-second-connection"
# More polls than a watcher needs to save its cursor.
SEVERAL_POLLS = 3
LINEAGE = "lineage"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulated iTwin Platform for these tests only."""
    with Emulator(speed=2000.0, scenario="demo") as emulator:
        # Runs that finished before the watcher starts.
        emulator.finish_run(WATCHED, emulator.start_run(WATCHED))
        yield emulator


@pytest.fixture(scope="module")
def deployment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow for these tests only, in which assets start DAGs."""
    home = tmp_path_factory.mktemp("watching")
    settings = {
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        # On a busy machine the start of a worker can fail, which is not tested here.
        "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(home / LINEAGE), "append": False}
        ),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "itwin-tests",
    }
    connection = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret)
    files = [EXAMPLE_DAGS / f"{name}.py" for name in (WATCHER, SYNC, REPORT)]
    with Deployment(home, files, connection | settings) as deployment:
        yield deployment


def polls(emulator: Emulator) -> int:
    return sum(entry.operation == "get-storage-connection" and WATCHED in entry.path for entry in emulator.request_log)


def wait_for_polls(emulator: Emulator, times: int) -> None:
    expected = polls(emulator) + times
    assert wait_until(lambda: polls(emulator) >= expected, 180, every=0.5), "the watcher does not poll"


def started_by(deployment: Deployment, number: int) -> list[list[str]]:
    """Wait until the watcher has started `number` DAG runs; return the iTwin runs that each was started for."""
    api = deployment.api
    assert wait_until(lambda: len(api.runs(WATCHER)) >= number, 120, every=0.5), api.runs(WATCHER)
    runs = api.runs(WATCHER)
    assert [api.wait_for_run(WATCHER, run) for run in runs] == ["success"] * number
    return [api.xcom(WATCHER, run, "go_on_with_the_imodel") for run in runs]


def test_a_run_that_airflow_did_not_start_starts_a_dag_exactly_once(deployment: Deployment, emulator: Emulator) -> None:
    deployment.api.wait_for_dag(WATCHER)
    wait_for_polls(emulator, 2)
    assert deployment.api.runs(WATCHER) == [], "runs that finished before start nothing"

    first = emulator.start_run(WATCHED)
    assert started_by(deployment, 1) == [[first]]
    wait_for_polls(emulator, SEVERAL_POLLS)

    # A regular restart, without a new run.
    deployment.restart("triggerer")
    wait_for_polls(emulator, SEVERAL_POLLS)
    assert started_by(deployment, 1) == [[first]]

    # A kill, with new runs until the restart.
    deployment.kill("triggerer")
    second = emulator.start_run(WATCHED)
    emulator.finish_run(WATCHED, second, "PartialSuccess")
    failed = emulator.start_run(WATCHED)
    emulator.finish_run(WATCHED, failed, "Error")
    deployment.restart("triggerer")
    assert started_by(deployment, 2) == [[first], [second]]
    wait_for_polls(emulator, SEVERAL_POLLS)
    assert started_by(deployment, 2) == [[first], [second]]


@pytest.fixture(scope="module")
def synchronized(deployment: Deployment) -> str:
    """The id of the run that the task of the asset example has started."""
    api = deployment.api
    api.wait_for_dag(SYNC)
    api.wait_for_dag(REPORT)
    run_id = api.trigger(SYNC)
    assert api.wait_for_run(SYNC, run_id) == "success", api.task_states(SYNC, run_id)
    return str(api.xcom(SYNC, run_id, "synchronize"))


def test_the_asset_event_of_a_task_passes_its_run_to_the_next_dag(deployment: Deployment, synchronized: str) -> None:
    api = deployment.api

    def reported_lines() -> list[str]:
        # The schedule may have started the first DAG too.
        return [line for run in api.runs(REPORT) for line in api.xcom(REPORT, run, "tell_the_team") or ()]

    assert wait_until(lambda: any(synchronized in line for line in reported_lines()), 120, every=1.0), reported_lines()
    [line] = [line for line in reported_lines() if synchronized in line]
    assert "Success: 12 files" in line


def test_openlineage_gets_the_same_run(deployment: Deployment, emulator: Emulator, synchronized: str) -> None:
    def completed() -> list[Any]:
        written = [json.loads(file.read_text()) for file in deployment.home.glob(f"{LINEAGE}*.json")]
        return [
            event
            for event in written
            if event["eventType"] == "COMPLETE"
            and event["run"]["facets"].get("itwin_run", {}).get("runId") == synchronized
        ]

    assert wait_until(lambda: bool(completed()), 60, every=1.0)
    [event] = completed()
    assert event["run"]["facets"]["itwin_run"]["result"] == "Success"
    assert len(event["inputs"]) == 12
    assert "imodels/7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001" in {dataset["name"] for dataset in event["outputs"]}
    assert emulator.client_secret not in json.dumps(event)


def test_no_log_has_the_secret(deployment: Deployment, emulator: Emulator) -> None:
    written = [file.read_text(errors="replace") for file in deployment.home.rglob("*.log")]
    assert any("Polling storage connection" in text for text in written)
    assert not [text for text in written if emulator.client_secret in text]
