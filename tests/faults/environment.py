"""Where the scenarios run: one emulator, in simulated time, and an Airflow without a database."""

from __future__ import annotations

import json
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin import exceptions
from tests.airflow.sdk import AirflowSensorTimeout
from tests.airflow.single_task import ExecutorSafeguard, Outcome, Runner

from .faults import Fault
from .scenarios import OPERATIONS, SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

OUTAGE_TOLERANCE = 100.0
MAX_REAL_SECONDS = 60.0
"""Seconds that a scenario may take; one that takes longer hangs."""
MAX_SIMULATED_SECONDS = 1500.0
"""Simulated seconds that a task may take: a run of one minute, and the outage tolerance of each of its steps."""
MOST_REQUESTS = 150

OK = "ok"
BY_IDS = "ids"
RETRY = "retry"
NEVER = "never"
LIMIT = "limit"

LEGEND = {
    OK: "succeeds as without the fault",
    BY_IDS: "succeeds; its report has file ids instead of names",
    RETRY: "fails, and a retry may help",
    NEVER: "fails permanently; no retry helps",
    LIMIT: "fails when its timeout has passed",
}


@dataclass
class Execution:
    """The outcome of a scenario under a fault: one half of a cell."""

    code: str
    problems: list[str]


class FaultEnvironment:
    """
    Runs scenarios, each with a connection of its own.

    :param patch: undone at the end of the tests
    """

    def __init__(self, emulator: Emulator, clock: FakeClock, patch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.clock = clock
        self._patch = patch
        self._number = 0
        self._lasting: dict[tuple[str, str], Execution] = {}

    def run(self, name: str, operation: str, failure: Fault, *, always: bool) -> Execution:
        """Run a scenario while an operation fails, once or always."""
        if not failure.is_lasting:
            return self._run(name, operation, failure, always=always)
        # A lasting fault is not bound to one operation, so all cells of the scenario are the same.
        if (name, failure.name) not in self._lasting:
            self._lasting[name, failure.name] = self._run(name, operation, failure, always=True)
        return self._lasting[name, failure.name]

    def _run(self, name: str, operation: str, failure: Fault, *, always: bool) -> Execution:
        scenario = SCENARIOS[name]
        self._number += 1
        connection_id = f"connection-{self._number}"
        emulator = self.emulator
        emulator.clear_faults()
        emulator.request_log.clear()
        emulator.add_connection(connection_id=connection_id, files=["Tower.dgn", "Roof.rvt"])
        emulator.plan_run(connection_id, "PartialSuccess", 60, failing=["Tower.dgn"])
        target = connection_id
        if not scenario.starts:
            run_id = emulator.start_run(connection_id)
            if scenario.names:
                target = f"storage/{connection_id}/{run_id}"
                self.clock.sleep(120.0)
        self._connect(failure)
        self._cause(scenario, operation, failure, always=always)
        before = self.clock.now()
        outcome = run_in_thread(MAX_REAL_SECONDS, lambda: Runner(self.clock).run(scenario.make(target)))
        if not isinstance(outcome, Outcome):
            return Execution("HANGS" if outcome is None else "BREAKS", [str(outcome)])
        took = self.clock.now() - before
        problems = [*problems_of(outcome), *self._problems_at_the_service(scenario, operation, failure, connection_id)]
        if scenario.names:
            problems += self._problems_with_names(connection_id, outcome)
        if took > MAX_SIMULATED_SECONDS:
            problems.append(f"It took {took:.0f} s of simulated time")
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

    def _cause(self, scenario: Scenario, operation: str, failure: Fault, *, always: bool) -> None:
        self.emulator.quirks.reset()
        for quirk, value in failure.quirks.items():
            setattr(self.emulator.quirks, quirk, value)
        self.clock.skew = failure.skew
        if failure.fault is not None:
            self.emulator.fail(
                OPERATIONS[operation],
                times=None if always else 1,
                after=scenario.faults_after.get(operation, 0),
                **failure.fault,
            )

    def _problems_at_the_service(
        self, scenario: Scenario, operation: str, failure: Fault, connection_id: str
    ) -> list[str]:
        """List unexpected requests, too many requests, and a second run."""
        problems = []
        entries = list(self.emulator.request_log)
        requested = {name for name, id_ in OPERATIONS.items() if any(entry.operation == id_ for entry in entries)}
        if (
            failure.fault is not None
            and not any(entry.fault for entry in entries)
            and failure.fault.get("kind") != "delay"
        ):
            problems.append(f"The fault never occurred; requested: {requested}")
        if unexpected := requested - {*scenario.operations, *scenario.after_faults}:
            problems.append(f"Unexpected requests for {unexpected}")
        if len(entries) > MOST_REQUESTS:
            problems.append(f"It sent {len(entries)} requests")
        runs = self.emulator.runs(connection_id)
        if len(runs) > 1:
            problems.append(f"There are {len(runs)} runs")
        hosts = {entry.authorized_host for entry in entries} - {None}
        if hosts - {self.emulator.url.removeprefix("http://")}:
            problems.append(f"A token went to {hosts}")
        return problems

    def _problems_with_names(self, connection_id: str, outcome: Outcome) -> list[str]:
        """List more than one name, a name of another state than that of the run, and a success without a name."""
        imodel_id = self.emulator.store.connection(connection_id).imodel_id
        newest = self.emulator.changesets(imodel_id)[-1]["id"]
        named = [version["changesetId"] for version in self.emulator.named_versions(imodel_id)]
        if named not in ([], [newest]):
            return [f"The changesets {named} have names, instead of {newest}"]
        return ["It succeeded without a name"] if outcome.state == "success" and not named else []


def code_of(outcome: Outcome) -> str:
    """Return the code of an outcome."""
    if outcome.state == "success":
        report = outcome.xcoms.get("run_report") or outcome.value
        tasks = report.get("failing_tasks") if isinstance(report, dict) else None
        return BY_IDS if tasks and tasks[0].get("file_name") is None else OK
    if isinstance(outcome.error, AirflowSensorTimeout):
        return LIMIT
    return {"failed": NEVER, "up_for_retry": RETRY}.get(outcome.state, outcome.state.upper())


def problems_of(outcome: Outcome) -> list[str]:
    """List what is wrong with the error: not a class of this package, or no useful text."""
    error = outcome.error
    if error is None:
        return []
    problems = []
    is_expected = type(error).__module__ == exceptions.__name__ or isinstance(error, AirflowSensorTimeout)
    if not is_expected:
        problems.append("".join(traceback.format_exception(error)))
    if not 20 < len(str(error)) < 5000:
        problems.append(f"The text is {error!s:.200}")
    return problems


def run_in_thread(seconds: float, action: Callable[[], Any]) -> Any:
    """Call `action` in a thread of its own; return its result, the exception that it raises, or None if it does not end."""
    results: list[Any] = []

    def target() -> None:
        if (callers := getattr(ExecutorSafeguard, "_sentinel", None)) is not None:
            # Airflow 2.11 creates it for the main thread only.
            callers.callers = {}
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 (returned to the caller)
            results.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        return None
    return results[0]
