"""
The demo: two whole nights, from changed design files to a delivered export.

Starts the emulator of the iTwin Platform, creates a private Airflow with SQLite, and runs the example DAG ``itwin_night`` in it,
twice. Before the second night, one of the design files changes.

``DEMO_CONNECTION`` selects a connection of the emulator that ``itwin_nightly_sync`` runs instead, from start to report. With
``ITWIN_CLIENT_ID``, ``ITWIN_CLIENT_SECRET`` and ``ITWIN_CONNECTION_ID`` in the environment (and optionally ``ITWIN_HOST`` and
``ITWIN_ISSUER_URL``), this DAG uses the real iTwin Platform. ``DEMO_HOME`` selects another folder for Airflow's files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scripts.airflow_home import (
    EXAMPLE_DAGS,
    airflow_command,
    airflow_environment,
    create_home,
    exclusive_lock,
    itwin_connection,
    private_home,
    short_path,
)
from scripts.airflow_log import LogEntry, LogFollower
from scripts.console import AbortError, deferring_interrupts, ignoring_interrupts, interruptible, write_line
from scripts.demo_night import CHANGED, NightFolders, night_table
from scripts.demo_night import DAG_ID as NIGHT
from scripts.emulator_process import FAILING_CONNECTION, NIGHT_CONNECTION, NIGHT_EXPORT_CONNECTION, EmulatorProcess
from scripts.processes import POLL_SECONDS, ManagedProcess
from scripts.report_table import report_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NIGHTLY_SYNC = "itwin_nightly_sync"
HOME = private_home("demo")

# A 25-minute run takes 18 seconds; the provider polls every 10.
SPEED = 85.0
# Only the first run takes so long that its task is deferred: the demo has four runs.
SHORT_RUN = {"duration": 1.0}
QUIET_SECONDS = 15.0
LONGEST_EMULATED = 600.0
LONGEST_REAL = 7 * 3600.0


@dataclass(frozen=True)
class Target:
    """The iTwin Platform that the demo uses."""

    description: str
    connection_id: str
    environment: dict[str, str]
    longest: float
    failure_expected: bool
    dag_id: str = NIGHTLY_SYNC
    emulator: EmulatorProcess | None = None

    @property
    def dag_file(self) -> Path:
        """The file of the DAG."""
        return EXAMPLE_DAGS / f"{self.dag_id}.py"


def main() -> int:
    """Run the demo; return 0 if it ended as expected."""
    resources = ExitStack()
    try:
        with interruptible(), exclusive_lock(HOME), resources:
            return _run_demo(resources)
    except AbortError as error:
        write_line(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        write_line("\nInterrupted; all processes of the demo are stopped.")
        if os.environ.get("ITWIN_CLIENT_ID"):
            write_line(
                "A run started on the real iTwin Platform continues: the platform has no operation to cancel a run."
            )
        return 130


def _run_demo(resources: ExitStack) -> int:
    began = time.monotonic()
    create_home(HOME)
    write_line(f"A night in Apache Airflow {version('apache-airflow')}, with airflow-provider-itwin.\n")
    target = _real_platform() or _emulated_platform(resources)
    _write_row("iTwin Platform", target.description)
    _write_row("Connection", target.connection_id)
    _write_row("DAG", f"{target.dag_id}, in {short_path(target.dag_file)}")
    _write_row("Airflow", f"a private Airflow with SQLite, in {short_path(HOME)}; your own Airflow is not affected")
    _write_row("Airflow's log", short_path(HOME / "airflow.log"))
    write_line()
    if target.dag_id == NIGHT:
        return _run_nights(target, resources, began)
    runs = _Runs(target, resources)
    runs.create_database()
    outcome = runs.outcome()
    write_line()
    for report in list(outcome["reports"].values())[-1:]:
        write_line(report_table(report) + "\n")
    return _finish(target, outcome, time.monotonic() - began)


def _run_nights(target: Target, resources: ExitStack, began: float) -> int:
    """Run two nights; return 0 if both succeeded."""
    folders = NightFolders(HOME)
    folders.create_designs()
    runs = _Runs(target, resources, folders.environment)
    runs.create_database()
    tables = []
    for number in (1, 2):
        if number == 2:
            folders.change_design()
            write_line(f"\n  The file {CHANGED} changes. The next night begins.\n")
        _shorten_runs(target, NIGHT_EXPORT_CONNECTION, *([NIGHT_CONNECTION] if number == 2 else []))
        outcome = runs.outcome()
        tables.append(night_table(number, outcome, folders.deliveries))
        if outcome["state"] != "success":
            break
    write_line("\n" + "\n\n".join(tables) + "\n")
    return _finish(target, outcome, time.monotonic() - began)


def _shorten_runs(target: Target, *connection_ids: str) -> None:
    for connection_id in connection_ids:
        if target.emulator is not None:
            target.emulator.plan_next_run(connection_id, **SHORT_RUN)


def _real_platform() -> Target | None:
    names = ("ITWIN_CLIENT_ID", "ITWIN_CLIENT_SECRET", "ITWIN_CONNECTION_ID")
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    if not given:
        return None
    if missing := [name for name in names if name not in given]:
        raise AbortError(
            f"for the real iTwin Platform {', '.join(missing)} must be set too; for the emulator, set none of them"
        )
    host, issuer = os.environ.get("ITWIN_HOST", ""), os.environ.get("ITWIN_ISSUER_URL")
    client_id, client_secret, connection_id = (given[name] for name in names)
    return Target(
        f"THE REAL SERVICE at {host or 'https://api.bentley.com'}, from your environment; this starts a real run",
        connection_id,
        itwin_connection(host, client_id, client_secret, issuer),
        longest=LONGEST_REAL,
        failure_expected=False,
    )


def _emulated_platform(resources: ExitStack) -> Target:
    with deferring_interrupts():
        emulator = EmulatorProcess(HOME / "emulator.log", speed=SPEED)
        resources.callback(_undisturbed, emulator.stop)
    connection_id = os.environ.get("DEMO_CONNECTION")
    return Target(
        f"emulator at {emulator.url}, {SPEED:g} times real time",
        connection_id or NIGHT_CONNECTION,
        emulator.connection,
        longest=LONGEST_EMULATED,
        failure_expected=connection_id == FAILING_CONNECTION,
        dag_id=NIGHTLY_SYNC if connection_id else NIGHT,
        emulator=emulator,
    )


class _Runs:
    """
    Runs of the DAG, each in a process of its own, with its log printed line by line.

    :param environment: further environment variables for the DAG
    """

    def __init__(self, target: Target, resources: ExitStack, environment: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._resources = resources
        self._environment = airflow_environment(HOME, EXAMPLE_DAGS) | target.environment | dict(environment or {})
        # A failed attempt is retried after 5 seconds instead of Airflow's default of 5 minutes.
        self._environment |= {"AIRFLOW__LOGGING__JSON_LOGS": "True", "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5"}
        self._json_log = HOME / "airflow.jsonl"
        self._follower = LogFollower(self._json_log, HOME / "airflow.log")
        self._task = ""
        self._is_running = False
        self._waiting_since: float | None = None
        self.errors: dict[str, str] = {}

    def create_database(self) -> None:
        """Create the database of Airflow."""
        _stamp("Airflow creates its database")
        self._follow(airflow_command("db", "migrate"), 300.0, "airflow db migrate")

    def outcome(self) -> dict[str, Any]:
        """Run the DAG and return its outcome."""
        dag_id, dag_file = self._target.dag_id, self._target.dag_file
        _stamp(f"Airflow runs the DAG {dag_id}")
        result = HOME / "outcome.json"
        conf = json.dumps({"connection_id": self._target.connection_id} if dag_id == NIGHTLY_SYNC else {})
        command = [sys.executable, "-m", "scripts.run_dag", str(dag_file), dag_id, conf, str(result)]
        self._follow(command, self._target.longest, "the DAG run", self._show_entry)
        outcome: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        _stamp(f"DAG run: {outcome['state']}")
        return outcome | {"errors": self.errors}

    def _follow(
        self, command: list[str], longest: float, what: str, show: Callable[[LogEntry], bool] | None = None
    ) -> None:
        # Not SIGTERM: Airflow handles it as a request to stop a task, and continues.
        with deferring_interrupts():
            process = ManagedProcess(
                what, command, environment=self._environment, log=self._json_log, stop_signal=signal.SIGINT
            )
            self._resources.callback(_undisturbed, lambda: process.stop(grace=3.0))
        deadline = time.monotonic() + longest
        quiet_since = time.monotonic()
        ended = False
        while not ended:
            ended = process.wait(POLL_SECONDS)
            # The log is read once more after the process has ended, because it may have grown in the meantime.
            shown = [show(entry) for entry in self._follower.new_entries() if show]
            if any(shown):
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_SECONDS:
                _stamp("... still running")
                quiet_since = time.monotonic()
            if time.monotonic() > deadline:
                raise AbortError(f"{what} did not end within {longest:.0f} s. {_log_hint()}")
        if process.exit_code != 0:
            raise AbortError(f"{what} ended with exit code {process.exit_code}. {_log_hint()}")

    def _show_entry(self, entry: LogEntry) -> bool:
        """Print an entry if it is of interest; return whether it was printed."""
        if entry.logger == "demo.task":
            self._show_task_state(str(entry.more["task"]), entry)
        elif entry.event.startswith("Pausing task as DEFERRED"):
            _stamp(f"{self._task}: deferred; it holds no worker while it waits", entry)
            self._waiting_since = time.monotonic()
        elif "airflow_provider_itwin" in entry.logger or (self._is_running and not entry.logger):
            for line in entry.event.splitlines():
                _stamp(f"    {line}", entry)
        else:
            return False
        return True

    def _show_task_state(self, task: str, entry: LogEntry) -> None:
        state = entry.event
        self._is_running = state == "running"
        if state == "running":
            state = "back on a worker" if task == self._task and self._waiting_since else "running"
            self._waiting_since = None
            self._task = task
        elif state == "failed":
            self.errors[task] = str(entry.more["error"])
        _stamp(f"{task}: {state}", entry)


def _finish(target: Target, outcome: dict[str, Any], seconds: float) -> int:
    errors: dict[str, str] = outcome["errors"]
    for task, error in errors.items():
        write_line(f"Error of the task {task}:\n\n{error}\n")
    write_line(f"Tasks: {', '.join(f'{task} {state}' for task, state in sorted(outcome['tasks'].items()))}.")
    write_line(f"The whole demo took {seconds:.0f} s. {_log_hint()}")
    failed = outcome["state"] != "success"
    if target.failure_expected:
        if not failed:
            raise AbortError("the run of this connection was expected to fail, but succeeded")
        write_line("The failure was expected: a run that fails also fails the task, and downstream tasks do not start.")
        return 0
    if failed:
        raise AbortError(f"the DAG run ended as {outcome['state']}")
    write_line(
        '"make airflow" shows it in a browser; "DEMO_CONNECTION=demo-failing-connection make demo" shows a failure.'
    )
    return 0


def _write_row(label: str, text: str) -> None:
    write_line(f"  {label:<16}{text}")


def _stamp(text: str, entry: LogEntry | None = None) -> None:
    moment = entry.moment.astimezone() if entry else datetime.now().astimezone()
    write_line(f"  {moment:%H:%M:%S}  {text}")


def _log_hint() -> str:
    return f"Airflow's log: {short_path(HOME / 'airflow.log')}"


def _undisturbed(action: Callable[[], None]) -> None:
    with ignoring_interrupts():
        action()


if __name__ == "__main__":
    sys.exit(main())
