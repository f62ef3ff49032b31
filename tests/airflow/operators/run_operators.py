"""Two connections of one iModel, and operators that synchronize one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

if TYPE_CHECKING:
    from itwin_emulator import Emulator

NIGHT = "night-connection"
RIVAL = "rival-connection"
IMODEL = "tower-imodel"

T = TypeVar("T")

WORKER = {"wait_for_completion": True}
DEFERRED = {"wait_for_completion": True, "deferrable": True}
LEAVING = {"wait_for_completion": False}
LEAVING_DEFERRABLE = {"wait_for_completion": False, "deferrable": True}
WAITING = pytest.mark.parametrize("mode", [WORKER, DEFERRED], ids=["worker", "deferred"])
ALL_MODES = pytest.mark.parametrize(
    "mode", [WORKER, DEFERRED, LEAVING, LEAVING_DEFERRABLE], ids=["worker", "deferred", "leave", "leave-deferrable"]
)


def operator(**arguments: Any) -> ITwinRunStorageConnectionOperator:
    given = {"task_id": "synchronize", "connection_id": NIGHT} | arguments
    if given.get("if_active") in ("fail", "skip") and not given.get("wait_for_completion", True):
        # Such a task never waits, so it refuses the parameter; [operators] default_deferrable still sets it.
        deferrable = given.pop("deferrable", False)
        return rendered(ITwinRunStorageConnectionOperator(**given), deferrable=deferrable)
    return ITwinRunStorageConnectionOperator(**given)


def rendered(task: T, **values: Any) -> T:
    """Set parameters to values that only appear when a task is rendered: a DAG file with them is refused."""
    for name, value in values.items():
        setattr(task, name, value)
    return task


def runs(emulator: Emulator, connection_id: str = NIGHT) -> list[dict[str, Any]]:
    return emulator.runs(connection_id)


def run_ids(emulator: Emulator, connection_id: str = NIGHT) -> list[str]:
    return [run["id"] for run in runs(emulator, connection_id)]


def operations(emulator: Emulator) -> list[str | None]:
    return [entry.operation for entry in emulator.request_log]


def starts(emulator: Emulator) -> list[int | None]:
    return [entry.status for entry in emulator.request_log if entry.operation == "run-storage-connection"]
