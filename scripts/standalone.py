"""An Airflow to click through: ``airflow standalone`` with the example DAGs, and the emulator for them to talk to."""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scripts.airflow_health import REPORTED, all_well, health_of
from scripts.airflow_home import (
    CHECKOUT,
    EXAMPLE_DAGS,
    airflow_command,
    airflow_environment,
    free_ports,
    server_environment,
    sole_use_of,
)
from scripts.console import CannotGoOnError, interruptible, not_just_now, say, undisturbed
from scripts.emulator_process import EmulatorProcess
from scripts.processes import ManagedProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOME = CHECKOUT / ".airflow" / "standalone"
PASSWORDS = HOME / "simple_auth_manager_passwords.json.generated"
USUAL_PORT = 8080
LONGEST_START = 300.0

# A night of 25 minutes passes in 50 seconds: long enough to see the sensor wait.
SPEED = 30.0


def main() -> int:
    """Run until Ctrl-C."""
    resources = ExitStack()
    try:
        with interruptible(), sole_use_of(HOME), resources:
            _run(resources)
    except CannotGoOnError as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("Everything is stopped.")
    return 0


def _run(resources: ExitStack) -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    say("Starting the emulator of the iTwin Platform, then Airflow; this takes about half a minute ...")
    resources.callback(say, "Everything is being stopped ...")
    with not_just_now():
        emulator = EmulatorProcess(HOME / "emulator.log", speed=SPEED)
        resources.callback(_stop, emulator.process)
    port, *log_ports = [USUAL_PORT if _is_free(USUAL_PORT) else free_ports(1)[0], *free_ports(2)]
    server = server_environment(port)
    url = server["AIRFLOW__API__BASE_URL"]
    started = datetime.now(UTC)
    log = HOME / "airflow.log"
    log.unlink(missing_ok=True)
    with not_just_now():
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
    wait_until(lambda: airflow.exit_code is not None or all_well(health_of(url), components), LONGEST_START, every=0.5)
    if airflow.exit_code is not None or not all_well(health_of(url), components):
        raise CannotGoOnError(f"Airflow has not come up. The end of {_short(log)}:\n{airflow.tail()}")
    _explain(url, emulator.url)
    while not airflow.wait(1.0):
        pass
    raise CannotGoOnError(f"Airflow has ended by itself (exit code {airflow.exit_code}):\n{airflow.tail()}")


def _explain(url: str, emulator_url: str) -> None:
    user, password = next(iter(json.loads(PASSWORDS.read_text(encoding="utf-8")).items()))
    rows = [
        ("Airflow", url),
        ("User", user),
        ("Password", password),
        ("iTwin Platform", f"{emulator_url} (emulated, {SPEED:g} times as fast; open it to watch its runs)"),
        ("DAGs", f"{_short(EXAMPLE_DAGS)}: {', '.join(file.stem for file in sorted(EXAMPLE_DAGS.glob('*.py')))}"),
        ("Logs", f"{_short(HOME / 'airflow.log')}, {_short(HOME / 'emulator.log')}"),
        ("Kept in", f"{_short(HOME)}; your own Airflow is not touched"),
    ]
    say("\nAirflow is ready.\n")
    for label, text in rows:
        say(f"  {label:<16}{text}")
    say(
        "\nTrigger itwin_nightly_sync (its first run may be under way already, for last night) and look at the log of"
        "\nwait_for_synchronization; with the parameter connection_id set to demo-failing-connection it shows a failure."
        "\n\nCtrl-C stops everything."
    )


def _stop(process: ManagedProcess) -> None:
    with undisturbed():
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
