"""The ways in which Airflow waits for a run, each as one task that runs to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_itwin.exceptions import airflow_exceptions
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.operators.itwin import (
    ITwinCreateNamedVersionOperator,
    ITwinListSourceFilesOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from tests.airflow.sdk import BaseOperator

OPERATIONS = {
    "token": "token",
    "connection": "get-storage-connection",
    "start": "run-storage-connection",
    "run": "get-storage-connection-run",
    "runs": "get-storage-connection-runs",
    "files": "get-storage-connection-sourcefiles",
    "changesets": "get-imodel-changesets",
    "name": "create-imodel-named-version",
    "names": "get-imodel-named-versions",
}
"""The operations by their names in the table."""


EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class _ListRuns(BaseOperator):
    """A user-written task that lists runs with the hook."""

    def __init__(self, *, connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection_id = connection_id

    def execute(self, context: Any) -> list[str | None]:
        with airflow_exceptions():
            return [run.id for run in ITwinHook().list_runs(self.connection_id)]


@dataclass(frozen=True)
class Scenario:
    """
    One group of columns.

    :param make: creates the task for a connection, or for the reference of a run that has ended
    :param operations: the operations that it requests without a fault
    :param after_faults: the operations that it requests after faults only
    :param starts: whether it starts a run itself
    :param names: whether it names the state that a run has produced, which has ended
    :param faults_after: how many requests for an operation succeed first, so that the fault occurs in the triggerer
    """

    make: Callable[[str], BaseOperator]
    operations: tuple[str, ...]
    starts: bool = False
    names: bool = False
    after_faults: tuple[str, ...] = ()
    faults_after: dict[str, int] = field(default_factory=dict)


def _operator(**arguments: Any) -> Callable[[str], BaseOperator]:
    return lambda connection_id: ITwinRunStorageConnectionOperator(
        task_id="synchronize", connection_id=connection_id, wait_for_completion=True, **arguments
    )


def _sensor(**arguments: Any) -> Callable[[str], BaseOperator]:
    return lambda connection_id: ITwinStorageConnectionRunSensor(
        task_id="wait", connection_id=connection_id, started_after=EPOCH, poke_interval=30, timeout=1200, **arguments
    )


_STARTING = ("token", "connection", "start", "run", "files")
_SENSING = ("token", "connection", "run", "files")

SCENARIOS = {
    "worker": Scenario(_operator(), _STARTING, starts=True),
    "deferred": Scenario(_operator(deferrable=True), _STARTING, starts=True, faults_after={"token": 1, "run": 1}),
    "poke": Scenario(_sensor(), _SENSING),
    "reschedule": Scenario(_sensor(mode="reschedule"), _SENSING),
    "deferred sensor": Scenario(
        _sensor(deferrable=True), _SENSING, faults_after={"token": 1, "connection": 1, "run": 1}
    ),
    "list runs": Scenario(
        lambda connection_id: _ListRuns(task_id="list", connection_id=connection_id), ("token", "runs")
    ),
    "list files": Scenario(
        lambda connection_id: ITwinListSourceFilesOperator(task_id="list", connection_id=connection_id),
        ("token", "files"),
    ),
    "name version": Scenario(
        lambda run_ref: ITwinCreateNamedVersionOperator(task_id="name", run_ref=run_ref, name="Nightly"),
        ("token", "connection", "run", "changesets", "name"),
        names=True,
        after_faults=("names",),
    ),
}
