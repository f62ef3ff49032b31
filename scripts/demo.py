"""
One nightly synchronization from start to report, for people who see this project for the first time.

Starts the emulator of the iTwin Platform, makes a private Airflow with its embedded database, and runs the example DAG
``itwin_nightly_sync`` in it. With ``ITWIN_CLIENT_ID``, ``ITWIN_CLIENT_SECRET`` and ``ITWIN_CONNECTION_ID`` in the environment
(and ``ITWIN_HOST``, ``ITWIN_ISSUER_URL`` if need be) it talks to the real iTwin Platform instead.

``DEMO_CONNECTION`` names another connection of the emulator, ``DEMO_HOME`` another place for Airflow's files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.airflow_home import (
    CHECKOUT,
    EXAMPLE_DAGS,
    airflow_command,
    airflow_environment,
    itwin_connection,
    sole_use_of,
)
from scripts.airflow_log import LogEntry, LogFollower
from scripts.console import CannotGoOnError, interruptible, not_just_now, say, undisturbed
from scripts.emulator_process import FAILING_CONNECTION, STORAGE_CONNECTION, EmulatorProcess
from scripts.processes import POLL_SECONDS, ManagedProcess
from scripts.report_table import report_table

if TYPE_CHECKING:
    from collections.abc import Callable

DAG_ID = "itwin_nightly_sync"
DAG_FILE = EXAMPLE_DAGS / f"{DAG_ID}.py"
USUAL_HOME = CHECKOUT / ".airflow" / "demo"
HOME = Path(os.environ.get("DEMO_HOME") or USUAL_HOME)

# A night of 25 minutes passes in 18 seconds; the provider looks every ten.
SPEED = 85.0
PATIENCE = 15.0
LONGEST_EMULATED = 600.0
LONGEST_REAL = 7 * 3600.0


@dataclass(frozen=True)
class Target:
    """The iTwin Platform that the demo talks to."""

    description: str
    connection_id: str
    environment: dict[str, str]
    longest: float
    failure_expected: bool


def main() -> int:
    """Show the demo; 0 if it went as it should."""
    resources = ExitStack()
    try:
        with interruptible(), sole_use_of(HOME), resources:
            return _show(resources)
    except CannotGoOnError as error:
        say(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything that was started here is stopped.")
        if os.environ.get("ITWIN_CLIENT_ID"):
            say(
                "A run that has been started in the real iTwin Platform goes on there: it has no operation to cancel one."
            )
        return 130


def _show(resources: ExitStack) -> int:
    began = time.monotonic()
    if HOME == USUAL_HOME:
        shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    if any(HOME.iterdir()):
        raise CannotGoOnError(f"DEMO_HOME is to be an empty folder, and {HOME} is not")
    say(f"A nightly synchronization in Apache Airflow {version('apache-airflow')}, with airflow-provider-itwin.\n")
    target = _real_platform() or _emulated_platform(resources)
    _tell("iTwin Platform", target.description)
    _tell("Connection", target.connection_id)
    _tell("DAG", f"{DAG_ID}, in {_short(DAG_FILE)}")
    _tell("Airflow", f"a private one with SQLite, in {_short(HOME)}; your own is not touched")
    _tell("Airflow's log", _short(HOME / "airflow.log"))
    say()
    outcome = _Run(target, resources).outcome()
    say()
    if report := outcome["report"]:
        say(report_table(report) + "\n")
    return _conclude(target, outcome, time.monotonic() - began)


def _real_platform() -> Target | None:
    names = ("ITWIN_CLIENT_ID", "ITWIN_CLIENT_SECRET", "ITWIN_CONNECTION_ID")
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    if not given:
        return None
    if missing := [name for name in names if name not in given]:
        raise CannotGoOnError(
            f"for the real iTwin Platform {', '.join(missing)} must be set too; for the emulator none of them"
        )
    host, issuer = os.environ.get("ITWIN_HOST", ""), os.environ.get("ITWIN_ISSUER_URL")
    client_id, client_secret, connection_id = (given[name] for name in names)
    return Target(
        f"THE REAL ONE at {host or 'https://api.bentley.com'}, as your environment says; this starts a real run",
        connection_id,
        itwin_connection(host, client_id, client_secret, issuer),
        longest=LONGEST_REAL,
        failure_expected=False,
    )


def _emulated_platform(resources: ExitStack) -> Target:
    with not_just_now():
        emulator = EmulatorProcess(HOME / "emulator.log", speed=SPEED)
        resources.callback(_undisturbed, emulator.stop)
    connection_id = os.environ.get("DEMO_CONNECTION") or STORAGE_CONNECTION
    return Target(
        f"emulator at {emulator.url}, {SPEED:g} times as fast as the real one",
        connection_id,
        emulator.connection,
        longest=LONGEST_EMULATED,
        failure_expected=connection_id == FAILING_CONNECTION,
    )


class _Run:
    """One run of the DAG in a process of its own, told line by line."""

    def __init__(self, target: Target, resources: ExitStack) -> None:
        self._target = target
        self._resources = resources
        self._environment = airflow_environment(HOME, DAG_FILE.parent) | target.environment
        # A task whose first try meets trouble is not left alone for the usual five minutes.
        self._environment |= {"AIRFLOW__LOGGING__JSON_LOGS": "True", "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5"}
        self._json_log = HOME / "airflow.jsonl"
        self._follower = LogFollower(self._json_log, HOME / "airflow.log")
        self._task = ""
        self._at_work = False
        self._waiting_since: float | None = None
        self.errors: dict[str, str] = {}

    def outcome(self) -> dict[str, Any]:
        """Run the DAG to its end, and tell what came of it."""
        _stamp("Airflow makes its database")
        self._follow(airflow_command("db", "migrate"), 300.0, "airflow db migrate")
        _stamp(f"Airflow runs the DAG {DAG_ID}")
        result = HOME / "outcome.json"
        conf = json.dumps({"connection_id": self._target.connection_id})
        command = [sys.executable, "-m", "scripts.run_dag", str(DAG_FILE), DAG_ID, conf, str(result)]
        self._follow(command, self._target.longest, "the DAG run", self._tell)
        outcome: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        _stamp(f"DAG run: {outcome['state']}")
        return outcome | {"errors": self.errors}

    def _follow(
        self, command: list[str], longest: float, what: str, tell: Callable[[LogEntry], bool] | None = None
    ) -> None:
        # Not SIGTERM: Airflow takes that for the wish to end a task, and goes on.
        with not_just_now():
            process = ManagedProcess(
                what, command, environment=self._environment, log=self._json_log, stop_signal=signal.SIGINT
            )
            self._resources.callback(_undisturbed, lambda: process.stop(grace=3.0))
        deadline = time.monotonic() + longest
        quiet_since = time.monotonic()
        ended = False
        while not ended:
            ended = process.wait(POLL_SECONDS)
            # After the last look at the process comes one more at its log, which may have grown meanwhile.
            told = [tell(entry) for entry in self._follower.new_entries() if tell]
            if any(told):
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > PATIENCE:
                _stamp("... still at it")
                quiet_since = time.monotonic()
            if time.monotonic() > deadline:
                raise CannotGoOnError(f"{what} has not ended after {longest:.0f} s. {_where_to_look()}")
        if process.exit_code != 0:
            raise CannotGoOnError(f"{what} ended with exit code {process.exit_code}. {_where_to_look()}")

    def _tell(self, entry: LogEntry) -> bool:
        """Tell what people want to know of the log; False for the rest of it."""
        if entry.logger == "demo.task":
            self._tell_of_task(str(entry.more["task"]), entry)
        elif entry.event.startswith("Pausing task as DEFERRED"):
            _stamp(f"{self._task}: deferred; from here on it holds no worker", entry)
            self._waiting_since = time.monotonic()
        elif "airflow_provider_itwin" in entry.logger or (self._at_work and not entry.logger):
            for line in entry.event.splitlines():
                _stamp(f"    {line}", entry)
        else:
            return False
        return True

    def _tell_of_task(self, task: str, entry: LogEntry) -> None:
        state = entry.event
        self._at_work = state == "running"
        if state == "running":
            state = "back on a worker" if task == self._task and self._waiting_since else "running"
            self._waiting_since = None
            self._task = task
        elif state == "failed":
            self.errors[task] = str(entry.more["error"])
        _stamp(f"{task}: {state}", entry)


def _conclude(target: Target, outcome: dict[str, Any], seconds: float) -> int:
    errors: dict[str, str] = outcome["errors"]
    for task, error in errors.items():
        say(f"What the task {task} says of its failure, and so Airflow to whoever is on call:\n\n{error}\n")
    say(f"Tasks: {', '.join(f'{task} {state}' for task, state in sorted(outcome['tasks'].items()))}.")
    say(f"The whole demo took {seconds:.0f} s. {_where_to_look()}")
    failed = outcome["state"] != "success"
    if target.failure_expected:
        if not failed:
            raise CannotGoOnError("a run of this connection was to fail, and it did not")
        say("The failure was the point: a run that ends badly fails the task, and nothing that depends on it starts.")
        return 0
    if failed:
        raise CannotGoOnError(f"the DAG run ended as {outcome['state']}")
    say(
        '"make airflow" shows the same in a browser; "DEMO_CONNECTION=demo-failing-connection make demo" shows a failure.'
    )
    return 0


def _tell(label: str, text: str) -> None:
    say(f"  {label:<16}{text}")


def _stamp(text: str, entry: LogEntry | None = None) -> None:
    moment = entry.moment.astimezone() if entry else datetime.now().astimezone()
    say(f"  {moment:%H:%M:%S}  {text}")


def _where_to_look() -> str:
    return f"Airflow's log: {_short(HOME / 'airflow.log')}"


def _short(path: Path) -> str:
    return str(path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path)


def _undisturbed(action: Callable[[], None]) -> None:
    with undisturbed():
        action()


if __name__ == "__main__":
    sys.exit(main())
