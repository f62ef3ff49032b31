"""
``make airflow`` in a new checkout: ready means healthy, with a successful run and its report; nothing is left after the end.

The checkout has no environment, so the time until *ready* is that of a newcomer whose packages are in the cache.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import psutil  # type: ignore[import-untyped]
import pytest

from scripts.airflow_api import AirflowApi
from scripts.airflow_health import health_of
from scripts.airflow_home import CHECKOUT, EXAMPLE_DAGS
from scripts.processes import wait_until
from tests.browser.chromium import chromium
from tests.package.conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

LONGEST = 480.0
NIGHTLY = "itwin_nightly_sync"
TAB = re.compile(r"Open first +(\S+)/dags/(\w+)/runs/([^/]+)/tasks/(\w+)/plugin/itwin-run\n")


@dataclass
class Started:
    """A local Airflow that has printed that it is ready."""

    process: subprocess.Popen[bytes]
    output_file: Path
    health: dict[str, Any]
    seconds: float
    """From the command to the message that Airflow is ready."""

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def tab(self) -> list[str]:
        """URL, DAG id, run id and task id of the tab to open first."""
        found = TAB.search(self.output)
        assert found, self.output
        return [unquote(part) for part in found.groups()]

    @property
    def user(self) -> tuple[str, str]:
        """Name and password."""
        found = re.search(r"User +(\S+)\n +Password +(\S+)\n", self.output)
        assert found, self.output
        return found[1], found[2]

    @property
    def api(self) -> AirflowApi:
        api = AirflowApi(self.tab[0], self.user)
        api.login()
        return api


def copy_checkout(folder: Path) -> None:
    """Copy the files that a commit of this checkout would contain."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)


def settled_health(url: str) -> dict[str, Any]:
    """Return the health report; of a few seconds later if the database is locked at this moment."""
    reports: list[dict[str, Any]] = []

    def is_healthy() -> bool:
        reports.append(health_of(url))
        return bool(reports[-1]) and all(part["status"] == "healthy" for part in reports[-1].values())

    wait_until(is_healthy, 20.0, every=0.5)
    return reports[-1]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("standalone")
    output_file = folder / "output"
    copy_checkout(folder / "checkout")
    began = time.monotonic()
    with output_file.open("w") as output:
        process = subprocess.Popen(
            ["make", "airflow"],
            cwd=folder / "checkout",
            env={
                # Without the options of a make that runs these tests.
                name: value
                for name, value in environment().items()
                if not name.startswith(("MAKE", "MFLAGS", "DEMO_HOME"))
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or "Press Ctrl-C" in output_file.read_text(), LONGEST)
        seconds = time.monotonic() - began
        found = TAB.search(output_file.read_text())
        # The health soon after the message, not in a later test.
        health = settled_health(found[1]) if found else {}
        yield Started(process, output_file, health, seconds)
    finally:
        # All processes of the group, as a terminal does it.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(120)
        # Its environment has 800 MB, and pytest keeps the folders of three runs.
        shutil.rmtree(folder / "checkout", ignore_errors=True)


def test_ready_means_that_all_components_are_healthy(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Airflow is ready" in started.output
    assert {name: component["status"] for name, component in started.health.items()} == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }
    seconds = re.search(r"Airflow is ready after (\d+) s", started.output)
    assert seconds
    with capsys.disabled():
        environment_seconds = started.seconds - int(seconds[1])
        print(
            f"\nmake airflow in a new checkout: environment created after {environment_seconds:.0f} s, Airflow healthy and the"
            f" first run successful after {started.seconds:.0f} s"
        )


def test_the_first_run_has_succeeded(started: Started) -> None:
    _, dag_id, run_id, task_id = started.tab
    assert (dag_id, task_id) == (NIGHTLY, "wait_for_synchronization")
    assert started.api.run_state(NIGHTLY, run_id) == "success"
    assert set(started.api.task_states(NIGHTLY, run_id).values()) == {"success"}


def test_the_sensor_of_the_first_run_has_waited_in_the_triggerer(started: Started) -> None:
    assert "Pausing task as DEFERRED" in started.api.log(NIGHTLY, started.tab[2], "wait_for_synchronization")


def test_the_tab_to_open_first_has_its_report(started: Started) -> None:
    report = started.api.xcom(NIGHTLY, started.tab[2], "wait_for_synchronization", "run_report")
    assert report["result"] == "Success"
    assert report["totals"]["tasks"] == 12


def test_the_printed_link_leads_through_the_login_to_the_report(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    link = re.search(r"Open first +(\S+)", started.output)
    assert link
    name, password = started.user
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        began = time.monotonic()
        page.goto(link[1])
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        content = page.get_by_test_id("itwin-run").locator(".page")
        content.get_by_role("heading").first.wait_for()
        assert "12 files" in content.inner_text(), content.inner_text()
        with capsys.disabled():
            print(f"\nThe report of the first run is visible {time.monotonic() - began:.1f} s after its link is opened")


def test_all_example_dags_are_unpaused(started: Started) -> None:
    dags = {file.stem: started.api.dag(file.stem) for file in EXAMPLE_DAGS.glob("*.py")}
    assert dags
    assert [dag_id for dag_id, dag in dags.items() if dag is None or dag["is_paused"]] == []


def test_the_button_test_works(started: Started) -> None:
    connection = started.api.connection("itwin_default")
    assert connection["conn_type"] == "itwin"
    # The form sends the fields that it shows, with the secret masked.
    answer = started.api.test_connection(
        {name: connection[name] for name in ("connection_id", "conn_type", "host", "port", "login", "password")}
    )
    assert answer["status"] is True, answer
    assert "storage connection" in answer["message"]


def test_the_secret_is_not_printed(started: Started) -> None:
    from itwin_emulator.emulator import DEFAULT_CLIENT_SECRET

    assert DEFAULT_CLIENT_SECRET not in started.output


def is_alive(process: psutil.Process) -> bool:
    # In a container, nobody may collect the exit code of an orphan.
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def test_an_interrupt_stops_all_processes(started: Started) -> None:
    """The last test of the module, because it stops Airflow."""
    processes = psutil.Process(started.process.pid).children(recursive=True)
    assert len(processes) > 4, "emulator, and the components of Airflow"
    [script] = [process for process in processes if process.cmdline()[1:] == ["-m", "scripts.standalone"]]

    script.send_signal(signal.SIGINT)
    assert wait_until(lambda: "Stopping" in started.output, 10.0)
    running_at_message = [process for process in processes if is_alive(process)]
    script.send_signal(signal.SIGTERM)  # A second signal does not interrupt the cleanup.

    assert started.process.wait(120) == 0
    assert len(running_at_message) > 1, "the message comes before the end of the processes"
    assert started.output.index("Stopping all processes") < started.output.index("All processes are stopped.")
    assert not [process for process in processes if is_alive(process)]
