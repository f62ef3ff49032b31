"""A local Airflow: ``airflow standalone`` with the example DAGs and the emulator."""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scripts.airflow_health import REPORTED, health_of, is_healthy
from scripts.airflow_home import (
    CHECKOUT,
    EXAMPLE_DAGS,
    airflow_command,
    airflow_environment,
    exclusive_lock,
    free_ports,
    server_environment,
)
from scripts.console import AbortError, deferring_interrupts, ignoring_sigint, interruptible, write_line
from scripts.emulator_process import EmulatorProcess
from scripts.processes import ManagedProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOME = CHECKOUT / ".airflow" / "standalone"
PASSWORDS = HOME / "simple_auth_manager_passwords.json.generated"
USUAL_PORT = 8080
LONGEST_START = 300.0

# A 25-minute run takes 50 seconds: long enough to see the sensor wait.
SPEED = 30.0


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
    HOME.mkdir(parents=True, exist_ok=True)
    write_line("Starting the emulator of the iTwin Platform and Airflow; this takes about half a minute ...")
    resources.callback(write_line, "Stopping all processes ...")
    with deferring_interrupts():
        emulator = EmulatorProcess(HOME / "emulator.log", speed=SPEED)
        resources.callback(_stop, emulator.process)
    port, *log_ports = [USUAL_PORT if _is_free(USUAL_PORT) else free_ports(1)[0], *free_ports(2)]
    server = server_environment(port)
    url = server["AIRFLOW__API__BASE_URL"]
    started = datetime.now(UTC)
    log = HOME / "airflow.log"
    log.unlink(missing_ok=True)
    with deferring_interrupts():
        airflow = ManagedProcess(
            "airflow standalone",
            airflow_command("standalone"),
            environment=airflow_environment(HOME, EXAMPLE_DAGS)
            | server
            | emulator.connection
            | {
                "AIRFLOW__API__DEFAULT_WRAP": "True",
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
                "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
            },
            log=log,
            stop_signal=signal.SIGINT,
        )
        resources.callback(_stop, airflow)
    components = dict.fromkeys(REPORTED, started)
    wait_until(
        lambda: airflow.exit_code is not None or is_healthy(health_of(url), components), LONGEST_START, every=0.5
    )
    if airflow.exit_code is not None or not is_healthy(health_of(url), components):
        raise AbortError(f"Airflow did not start. The end of {_short(log)}:\n{airflow.tail()}")
    _explain(url, emulator.url)
    while not airflow.wait(1.0):
        pass
    raise AbortError(f"Airflow exited with code {airflow.exit_code}:\n{airflow.tail()}")


def _explain(url: str, emulator_url: str) -> None:
    user, password = next(iter(json.loads(PASSWORDS.read_text(encoding="utf-8")).items()))
    rows = [
        ("Airflow", url),
        ("User", user),
        ("Password", password),
        ("iTwin Platform", f"{emulator_url} (emulator, {SPEED:g} times real time; open it to see its runs)"),
        ("DAGs", f"{_short(EXAMPLE_DAGS)}: {', '.join(file.stem for file in sorted(EXAMPLE_DAGS.glob('*.py')))}"),
        ("Logs", f"{_short(HOME / 'airflow.log')}, {_short(HOME / 'emulator.log')}"),
        ("Files", f"{_short(HOME)}; your own Airflow is not affected"),
    ]
    write_line("\nAirflow is ready.\n")
    for label, text in rows:
        write_line(f"  {label:<16}{text}")
    write_line(
        "\nTrigger itwin_nightly_sync (its first run may already be active, for last night) and open the log of"
        "\nwait_for_synchronization. Set the parameter connection_id to demo-failing-connection to see a failure."
        "\n\nPress Ctrl-C to stop all processes."
    )


def _stop(process: ManagedProcess) -> None:
    with ignoring_sigint():
        process.stop()


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _short(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


if __name__ == "__main__":
    sys.exit(main())
