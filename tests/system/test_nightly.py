"""The example DAGs in a real Airflow: scheduler, worker, triggerer, DAG processor and API server, against the emulator."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from itwin_emulator import Emulator

    from .deployment import Deployment

pytestmark = pytest.mark.system

NIGHTLY = "itwin_nightly_sync"
MANY = "itwin_sync_many_connections"


@pytest.fixture(scope="module")
def command_lines() -> Iterator[set[str]]:
    """The command lines of all child processes since the start of the fixture, as any user of the machine can see them."""
    seen: set[str] = set()
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    seen.add(" ".join(process.cmdline()))

    poller = threading.Thread(target=poll, daemon=True)
    poller.start()
    yield seen
    stop.set()
    poller.join()


@pytest.fixture(scope="module")
def successful_run(deployment: Deployment, command_lines: set[str]) -> str:
    """The id of a DAG run that has succeeded."""
    api = deployment.api
    api.wait_for_dag(NIGHTLY)
    run_id = api.trigger(NIGHTLY, {"connection_id": "demo-storage-connection"})
    deferred = api.wait_for_task(NIGHTLY, run_id, "wait_for_synchronization", "deferred")
    assert deferred["trigger"]["classpath"] == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    assert api.wait_for_run(NIGHTLY, run_id) == "success", api.task_states(NIGHTLY, run_id)
    return run_id


@pytest.fixture(scope="module")
def failed_run(deployment: Deployment) -> str:
    """The id of a DAG run whose synchronization has failed."""
    api = deployment.api
    api.wait_for_dag(NIGHTLY)
    run_id = api.trigger(NIGHTLY, {"connection_id": "demo-failing-connection"})
    assert api.wait_for_run(NIGHTLY, run_id) == "failed", api.task_states(NIGHTLY, run_id)
    return run_id


def test_the_dag_succeeds(deployment: Deployment, successful_run: str) -> None:
    assert deployment.api.task_states(NIGHTLY, successful_run) == {
        "start_synchronization": "success",
        "wait_for_synchronization": "success",
        "tell_the_team": "success",
    }


def test_the_sensor_waits_in_the_triggerer(deployment: Deployment, successful_run: str) -> None:
    log = deployment.api.log(NIGHTLY, successful_run, "wait_for_synchronization")

    assert "Pausing task as DEFERRED" in log
    assert ".log.trigger." in log, "the triggerer writes its own log"
    assert "Waiting for run" in log
    assert "trigger completed" in log


def test_the_run_id_is_available_before_the_wait(
    deployment: Deployment, emulator: Emulator, successful_run: str
) -> None:
    run_id = deployment.api.xcom(NIGHTLY, successful_run, "start_synchronization")
    ref = deployment.api.xcom(NIGHTLY, successful_run, "start_synchronization", "run_ref")

    assert ref == {"kind": "storage", "connection_id": "demo-storage-connection", "run_id": run_id}
    assert any(str(run_id) in entry.path for entry in emulator.request_log), "the emulator has this run"


def test_the_report_is_available_to_downstream_tasks(deployment: Deployment, successful_run: str) -> None:
    report = deployment.api.xcom(NIGHTLY, successful_run, "wait_for_synchronization", "run_report")

    assert report == deployment.api.xcom(NIGHTLY, successful_run, "wait_for_synchronization")
    assert report["state"] == "Completed"
    assert report["result"] == "Success"
    assert report["totals"]["tasks"] == 12
    assert report["totals"]["tasks_by_result"] == {"Success": 12}
    assert report["totals"]["warnings"] == 23
    assert report["failing_tasks"] == []


def test_the_log_has_the_summary_of_the_run(deployment: Deployment, successful_run: str) -> None:
    log = deployment.api.log(NIGHTLY, successful_run, "wait_for_synchronization")
    line = deployment.api.xcom(NIGHTLY, successful_run, "tell_the_team")

    assert "Success: 12 files in" in log
    assert "23 warnings" in log
    assert line.startswith("Success: 12 files in")
    assert line in deployment.api.log(NIGHTLY, successful_run, "tell_the_team")


def test_a_failed_run_fails_the_sensor_and_its_downstream_tasks(deployment: Deployment, failed_run: str) -> None:
    assert deployment.api.task_states(NIGHTLY, failed_run) == {
        "start_synchronization": "success",
        "wait_for_synchronization": "failed",
        "tell_the_team": "upstream_failed",
    }


def test_the_log_of_a_failed_run_has_the_reason_and_the_advice(deployment: Deployment, failed_run: str) -> None:
    log = deployment.api.log(NIGHTLY, failed_run, "wait_for_synchronization")

    for name in ("PD-ARC-Deck.rvt", "PD-STR-Ramps.dgn", "PD-MEP-Sprinklers.ifc"):
        assert name in log
    assert "TAE_BRG_1021" in log
    assert "The file was saved by a version of Revit that is not supported." in log
    assert "https://kb.example.com/itwin/unsupported-file-version" in log
    assert "You can fix this." in log


def test_the_report_of_a_failed_run_is_available(deployment: Deployment, failed_run: str) -> None:
    report = deployment.api.xcom(NIGHTLY, failed_run, "wait_for_synchronization", "run_report")
    failing = {task["file_name"]: task for task in report["failing_tasks"]}

    assert report["result"] == "Error"
    assert set(failing) == {"PD-ARC-Deck.rvt", "PD-STR-Ramps.dgn", "PD-MEP-Sprinklers.ifc"}
    assert failing["PD-ARC-Deck.rvt"]["error_code"] == "TAE_BRG_1021"
    assert failing["PD-ARC-Deck.rvt"]["can_user_fix"] is True


def test_a_failed_run_is_not_waited_for_again(deployment: Deployment, failed_run: str) -> None:
    instance = deployment.api.task_instance(NIGHTLY, failed_run, "wait_for_synchronization")

    assert instance["try_number"] == 1


def test_no_log_has_the_secret(
    deployment: Deployment, emulator: Emulator, successful_run: str, failed_run: str
) -> None:
    written = [file.read_text(errors="replace") for file in deployment.home.rglob("*.log")]

    assert any("wait_for_synchronization" in text for text in written)
    assert not [text for text in written if emulator.client_secret in text]


def test_no_process_shows_the_secret(emulator: Emulator, successful_run: str, command_lines: set[str]) -> None:
    assert any("scheduler" in line for line in command_lines)
    assert any("triggerer" in line for line in command_lines)
    assert not [line for line in command_lines if emulator.client_secret in line]


def test_many_connections_each_have_a_task(deployment: Deployment) -> None:
    api = deployment.api
    connections = ["demo-storage-connection", "demo-second-connection"]
    api.wait_for_dag(MANY)
    run_id = api.trigger(MANY, {"connection_ids": connections})

    assert api.wait_for_run(MANY, run_id) == "success", api.task_states(MANY, run_id)
    assert api.task_states(MANY, run_id) == {
        "connections_to_synchronize": "success",
        "synchronize": ["success", "success"],
        "summary": "success",
    }
    reports: list[dict[str, Any]] = [
        api.xcom(MANY, run_id, "synchronize", "run_report", map_index=index) for index in range(len(connections))
    ]
    assert [report["ref"]["connection_id"] for report in reports] == connections
    assert [report["totals"]["tasks"] for report in reports] == [12, 5]
    assert api.xcom(MANY, run_id, "summary") == 2
