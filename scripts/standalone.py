"""
A local Airflow: ``airflow standalone`` with the example DAGs and the emulator.

The DAGs start paused. When all components are healthy, one run of ``itwin_nightly_sync`` comes first, so that there is a report
to open. Then all DAGs are unpaused. Each start begins with an empty Airflow, because the runs of an earlier emulator are gone.

``DEMO_HOME`` selects another folder for Airflow's files.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from scripts.airflow_api import FINAL_RUN_STATES, AirflowApi
from scripts.airflow_health import REPORTED, health_of, is_healthy
from scripts.airflow_home import (
    EXAMPLE_DAGS,
    airflow_command,
    airflow_environment,
    create_home,
    exclusive_lock,
    free_ports,
    private_home,
    server_environment,
    short_path,
)
from scripts.console import AbortError, deferring_interrupts, ignoring_interrupts, interruptible, write_line
from scripts.demo_night import NightFolders
from scripts.emulator_process import STORAGE_CONNECTION, EmulatorProcess
from scripts.processes import ManagedProcess, wait_until

HOME = private_home("standalone")
LOG = HOME / "airflow.log"
PASSWORDS = HOME / "simple_auth_manager_passwords.json.generated"
USUAL_PORT = 8080
LONGEST_START = 300.0
LONGEST_FIRST_RUN = 180.0
LONGEST_PARSING = 60.0
LONGEST_UNHEALTHY = 60.0
"""Seconds for which Airflow may report a problem: its SQLite database is locked for a moment when many tasks start."""

# A 25-minute run takes 50 seconds: long enough to see the sensor wait.
SPEED = 30.0

NIGHTLY = "itwin_nightly_sync"
WAITING_TASK = "wait_for_synchronization"

# The first run ends before the sensor polls for the second time, after 10 seconds.
FIRST_RUN = {"duration": 8.0 * SPEED, "warnings": 23, "other_issues": 4}

SETTINGS = {
    "AIRFLOW__API__DEFAULT_WRAP": "True",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    # Airflow's defaults are for many workers. With these, a task starts a few seconds earlier.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


@dataclass(frozen=True)
class _Airflow:
    """The processes of ``airflow standalone``."""

    process: ManagedProcess
    url: str
    started: datetime

    @property
    def is_healthy(self) -> bool:
        """Whether the API server responds, and all components have sent a heartbeat since the start."""
        return is_healthy(health_of(self.url), dict.fromkeys(REPORTED, self.started))

    def becomes_healthy(self, seconds: float) -> bool:
        """Wait until Airflow is healthy; return False if it exits first, or is not healthy in time."""
        settled = wait_until(lambda: self.process.exit_code is not None or self.is_healthy, seconds, every=0.5)
        return settled and self.process.exit_code is None

    def failure(self, reason: str) -> AbortError:
        """Return an error with the reason and the end of the log."""
        return AbortError(f"{reason} The end of {short_path(LOG)}:\n{self.process.tail()}")


def main() -> int:
    """Run until Ctrl-C is pressed."""
    resources = ExitStack()
    try:
        with interruptible(), exclusive_lock(HOME), resources:
            _run(resources)
    except AbortError as error:
        write_line(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        write_line("All processes are stopped.")
    return 0


def _run(resources: ExitStack) -> None:
    began = time.monotonic()
    _create_home()
    write_line("Starting the emulator of the iTwin Platform and Airflow; this takes up to a minute ...")
    with deferring_interrupts():
        emulator = EmulatorProcess(HOME / "emulator.log", speed=SPEED)
        resources.callback(_stop, emulator.process)
    with deferring_interrupts():
        airflow = _start_airflow()
        resources.callback(_stop, airflow.process)
        # Callbacks run in reverse order: this one first.
        resources.callback(write_line, "\nStopping all processes ...")
    if not airflow.becomes_healthy(LONGEST_START):
        raise airflow.failure("Airflow did not start.")
    seconds = time.monotonic() - began
    write_line(f"All components of Airflow are healthy after {seconds:.0f} s. The first run of {NIGHTLY} starts ...")
    try:
        run_id = _first_green_run(airflow.url, emulator)
    except OSError as error:  # requests and timeouts
        raise airflow.failure(f"The first run of {NIGHTLY} did not succeed: {error}") from error
    if not airflow.becomes_healthy(LONGEST_UNHEALTHY):
        raise airflow.failure("Airflow is no longer healthy.")
    _explain(airflow.url, run_id, emulator.url, time.monotonic() - began)
    while not airflow.process.wait(1.0):
        pass
    raise airflow.failure(f"Airflow exited with code {airflow.process.exit_code}.")


def _create_home() -> None:
    """Create an empty home, with the password of the last start, which a browser may have stored."""
    passwords = PASSWORDS.read_bytes() if PASSWORDS.exists() else None
    create_home(HOME)
    if passwords is not None:
        PASSWORDS.write_bytes(passwords)


def _start_airflow() -> _Airflow:
    port, *log_ports = [USUAL_PORT if _is_free(USUAL_PORT) else free_ports(1)[0], *free_ports(2)]
    server = server_environment(port)
    log_servers = {
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
    }
    # For the example of a whole night.
    folders = NightFolders(HOME)
    folders.create_designs()
    started = datetime.now(UTC)
    process = ManagedProcess(
        "airflow standalone",
        airflow_command("standalone"),
        environment=airflow_environment(HOME, EXAMPLE_DAGS) | server | log_servers | folders.environment | SETTINGS,
        log=LOG,
        stop_signal=signal.SIGINT,
    )
    return _Airflow(process, server["AIRFLOW__API__BASE_URL"], started)


def _first_green_run(url: str, emulator: EmulatorProcess) -> str:
    """
    Create the connection, run the nightly DAG, unpause all DAGs, and return the id of the DAG run.

    :raises OSError: if the run has not succeeded, or Airflow's API does not respond
    """
    api = AirflowApi(url, _user())
    api.login()
    # In the database, not in the environment: the UI lists, tests and edits only connections of the database.
    api.create_connection(emulator.stored_connection)
    emulator.plan_next_run(STORAGE_CONNECTION, **FIRST_RUN)
    api.wait_for_dag(NIGHTLY, LONGEST_PARSING)
    api.trigger(NIGHTLY)
    api.pause(NIGHTLY, False)
    # At night, its schedule can start a run before the one above.
    wait_until(lambda: bool(_ended_runs(api)), LONGEST_FIRST_RUN, every=0.5)
    runs = _ended_runs(api) or dict.fromkeys(api.runs(NIGHTLY)[:1], "running")
    run_id, state = next(iter(runs.items()))
    if state != "success":
        raise OSError(f"{run_id} is {state}; tasks: {api.task_states(NIGHTLY, run_id)}")
    files = len(list(EXAMPLE_DAGS.glob("*.py")))
    wait_until(lambda: len(api.dag_ids()) + len(api.import_errors()) >= files, LONGEST_PARSING, every=0.5)
    api.unpause_all()
    return run_id


def _ended_runs(api: AirflowApi) -> dict[str, str]:
    states = {run_id: api.run_state(NIGHTLY, run_id) for run_id in api.runs(NIGHTLY)}
    return {run_id: state for run_id, state in states.items() if state in FINAL_RUN_STATES}


def _explain(url: str, run_id: str, emulator_url: str, seconds: float) -> None:
    user, password = _user()
    tab = f"{url}/dags/{NIGHTLY}/runs/{quote(run_id)}/tasks/{WAITING_TASK}/plugin/itwin-run"
    rows = [
        ("Open first", tab),
        ("", f"the report of the first run of {NIGHTLY}, which has succeeded"),
        ("Airflow", url),
        ("User", user),
        ("Password", password),
        ("iTwin Platform", f"{emulator_url} (emulator, {SPEED:g} times real time; open it to see its runs)"),
        ("DAGs", f"{short_path(EXAMPLE_DAGS)}: {', '.join(file.stem for file in sorted(EXAMPLE_DAGS.glob('*.py')))}"),
        ("Logs", f"{short_path(LOG)}, {short_path(HOME / 'emulator.log')}"),
        ("Files", f"{short_path(HOME)}, emptied at each start; your own Airflow is not affected"),
    ]
    write_line(f"\nAirflow is ready after {seconds:.0f} s.\n")
    for label, text in rows:
        write_line(f"  {label:<16}{text}")
    write_line(
        f"\nThen trigger {NIGHTLY} with the parameter connection_id demo-failing-connection, to see a failure. Under"
        "\nAdmin, Connections, itwin_default, the button Test checks the connection."
        "\n\nPress Ctrl-C to stop all processes."
    )


def _user() -> tuple[str, str]:
    """Return the name and the password of the admin."""
    passwords: dict[str, str] = json.loads(PASSWORDS.read_text(encoding="utf-8"))
    return next(iter(passwords.items()))


def _stop(process: ManagedProcess) -> None:
    with ignoring_interrupts():
        process.stop()


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
