"""The ways in which Airflow waits for a run, each played by one task to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_itwin.exceptions import airflow_exceptions
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator, ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

OPERATIONS = {
    "token": "token",
    "connection": "get-storage-connection",
    "start": "run-storage-connection",
    "run": "get-storage-connection-run",
    "runs": "get-storage-connection-runs",
    "files": "get-storage-connection-sourcefiles",
}
"""The operations by the names that they have in the table."""


EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class _ListRuns(BaseOperator):
    """What somebody writes who wants to know what ran: the hook in a task of one's own."""

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

    :param make: makes the task for a connection
    :param asks: the operations that it asks for when all goes well
    :param starts: whether it starts a run itself
    :param spares: how many requests for an operation go well, so that it is the triggerer that meets the trouble
    """

    make: Callable[[str], BaseOperator]
    asks: tuple[str, ...]
    starts: bool = False
    spares: dict[str, int] = field(default_factory=dict)


def _operator(**arguments: Any) -> Callable[[str], BaseOperator]:
    return lambda connection_id: ITwinRunStorageConnectionOperator(
        task_id="synchronize", connection_id=connection_id, wait_for_completion=True, **arguments
    )


def _sensor(**arguments: Any) -> Callable[[str], BaseOperator]:
    return lambda connection_id: ITwinStorageConnectionRunSensor(
        task_id="wait", connection_id=connection_id, started_after=EPOCH, poke_interval=30, timeout=1200, **arguments
    )


_STARTING = ("token", "connection", "start", "run", "files")
_WATCHING = ("token", "connection", "run", "files")

PLAYS = {
    "worker": Scenario(_operator(), _STARTING, starts=True),
    "deferred": Scenario(_operator(deferrable=True), _STARTING, starts=True, spares={"token": 1, "run": 1}),
    "poke": Scenario(_sensor(), _WATCHING),
    "reschedule": Scenario(_sensor(mode="reschedule"), _WATCHING),
    "deferred sensor": Scenario(_sensor(deferrable=True), _WATCHING, spares={"token": 1, "connection": 1, "run": 1}),
    "list runs": Scenario(
        lambda connection_id: _ListRuns(task_id="list", connection_id=connection_id), ("token", "runs")
    ),
    "list files": Scenario(
        lambda connection_id: ITwinListSourceFilesOperator(task_id="list", connection_id=connection_id),
        ("token", "files"),
    ),
}
