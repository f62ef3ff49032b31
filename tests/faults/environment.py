"""Where the plays are given: one emulator, in leaping time, and an Airflow without a database."""

from __future__ import annotations

import json
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_itwin import exceptions
from tests.airflow.single_task import ExecutorSafeguard, Outcome, Runner

from .faults import Fault
from .scenarios import OPERATIONS, PLAYS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

OUTAGE_TOLERANCE = 100.0
LONGEST_IN_REAL_TIME = 60.0
"""Seconds that a cell may take; one that takes longer hangs."""
LONGEST_IN_LEAPING_TIME = 1500.0
"""Seconds that a task may seem to take: a run of a minute, and the patience of each of its steps."""
MOST_REQUESTS = 150

OK = "ok"
BY_IDS = "ids"
RETRY = "retry"
NEVER = "never"
LIMIT = "limit"

LEGEND = {
    OK: "succeeds as if nothing had been",
    BY_IDS: "succeeds; its report names files by their ids",
    RETRY: "fails, and a retry may help",
    NEVER: "fails for good: no retry helps",
    LIMIT: "fails when its time limit has passed",
}


@dataclass
class Execution:
    """What came of a play under a trouble: one half of a cell."""

    code: str
    problems: list[str]


class CrashDeployment:
    """
    Gives plays, each with a connection of its own.

    :param patch: what lives as long as the stage
    """

    def __init__(self, emulator: Emulator, clock: FakeClock, patch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.clock = clock
        self._patch = patch
        self._number = 0
        self._lasting: dict[tuple[str, str], Execution] = {}

    def perform(self, name: str, operation: str, failure: Fault, *, always: bool) -> Execution:
        """Give a play while an operation is in trouble, once or whenever it is asked for."""
        if not failure.is_lasting:
            return self._perform(name, operation, failure, always=always)
        # It is not about one operation, so that all cells of the play are one.
        if (name, failure.name) not in self._lasting:
            self._lasting[name, failure.name] = self._perform(name, operation, failure, always=True)
        return self._lasting[name, failure.name]

    def _perform(self, name: str, operation: str, failure: Fault, *, always: bool) -> Execution:
        play = PLAYS[name]
        self._number += 1
        connection_id = f"connection-{self._number}"
        emulator = self.emulator
        emulator.heal()
        emulator.journal.clear()
        emulator.add_connection(connection_id=connection_id, files=["Tower.dgn", "Roof.rvt"])
        emulator.plan_run(connection_id, "PartialSuccess", 60, failing=["Tower.dgn"])
        if not play.starts:
            emulator.start_run(connection_id)
        self._connect(failure)
        self._cause(play, operation, failure, always=always)
        before = self.clock.now()
        outcome = within(LONGEST_IN_REAL_TIME, lambda: Runner(self.clock).run(play.make(connection_id)))
        if not isinstance(outcome, Outcome):
            return Execution("HANGS" if outcome is None else "BREAKS", [str(outcome)])
        took = self.clock.now() - before
        problems = [*problems_of(outcome), *self._complaints(play, operation, failure, connection_id)]
        if took > LONGEST_IN_LEAPING_TIME:
            problems.append(f"It took {took:.0f} s of leaping time")
        return Execution(code_of(outcome), problems)

    def _connect(self, failure: Fault) -> None:
        fields = {
            "conn_type": "itwin",
            "host": self.emulator.url,
            "login": self.emulator.client_id,
            "password": self.emulator.client_secret,
            "extra": {"timeout": failure.timeout},
        }
        self._patch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", json.dumps(fields))

    def _cause(self, play: Scenario, operation: str, failure: Fault, *, always: bool) -> None:
        self.emulator.oddities.reset()
        for oddity, value in failure.oddities.items():
            setattr(self.emulator.oddities, oddity, value)
        self.clock.skew = failure.skew
        if failure.fault is not None:
            self.emulator.fail(
                OPERATIONS[operation],
                times=None if always else 1,
                after=play.spares.get(operation, 0),
                **failure.fault,
            )

    def _complaints(self, play: Scenario, operation: str, failure: Fault, connection_id: str) -> list[str]:
        """See that the service was asked what it should be, not too often, and started no more than one run."""
        problems = []
        entries = list(self.emulator.journal)
        asked = {name for name, id_ in OPERATIONS.items() if any(entry.operation == id_ for entry in entries)}
        if (
            failure.fault is not None
            and not any(entry.fault for entry in entries)
            and failure.fault.get("kind") != "delay"
        ):
            problems.append(f"The trouble was never met; asked for: {asked}")
        if strange := asked - set(play.asks):
            problems.append(f"Nobody expected it to ask for {strange}")
        if len(entries) > MOST_REQUESTS:
            problems.append(f"It sent {len(entries)} requests")
        runs = self.emulator.runs(connection_id)
        if len(runs) > 1:
            problems.append(f"There are {len(runs)} runs")
        hosts = {entry.authorized_host for entry in entries} - {None}
        if hosts - {self.emulator.url.removeprefix("http://")}:
            problems.append(f"A token went to {hosts}")
        return problems


def code_of(outcome: Outcome) -> str:
    """Give the code of an outcome."""
    if outcome.state == "success":
        report = outcome.xcoms.get("run_report") or outcome.value
        tasks = report.get("failing_tasks") if isinstance(report, dict) else None
        return BY_IDS if tasks and tasks[0].get("file_name") is None else OK
    if isinstance(outcome.error, AirflowSensorTimeout):
        return LIMIT
    return {"failed": NEVER, "up_for_retry": RETRY}.get(outcome.state, outcome.state.upper())


def problems_of(outcome: Outcome) -> list[str]:
    """See that what was raised is ours, and says something."""
    error = outcome.error
    if error is None:
        return []
    problems = []
    ours = type(error).__module__ == exceptions.__name__ or isinstance(error, AirflowSensorTimeout)
    if not ours:
        problems.append("".join(traceback.format_exception(error)))
    if not 20 < len(str(error)) < 5000:
        problems.append(f"It says {error!s:.200}")
    return problems


def within(seconds: float, action: Callable[[], Any]) -> Any:
    """Do something in a thread of its own; give what it gives, the exception that it raises, or None if it does not end."""
    ends: list[Any] = []

    def act() -> None:
        if (callers := getattr(ExecutorSafeguard, "_sentinel", None)) is not None:
            # Airflow 2.11 makes it for the main thread only.
            callers.callers = {}
        try:
            ends.append(action())
        except BaseException as error:  # noqa: BLE001 (handed over)
            ends.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ends:
        return None
    return ends[0]
