"""
Task instances that are written into Airflow's database, because running thousands of tasks would take hours.

As a program, it writes the DAG runs that it reads from its standard input, with the settings of its environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from scripts.airflow_home import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.system.deployment import Deployment


@dataclass(frozen=True)
class StoredTask:
    """
    A task instance.

    :param connection: the connection; None: the task has not started, so Airflow does not know it
    :param state: state of the task instance
    :param started: epoch seconds at which it started, None if it has not
    :param ended: epoch seconds at which it ended, None if it has not
    :param scheduled: epoch seconds at which it was scheduled
    :param attempt: number of the attempt
    :param xcoms: its XComs by key
    :param task_id: id of the task
    :param operator: name of its class
    :param fields: further rendered fields
    :param map_index: its map index; None: its place in the run
    """

    connection: str | None
    state: str
    started: float | None = None
    ended: float | None = None
    scheduled: float | None = None
    attempt: int = 1
    xcoms: dict[str, Any] = field(default_factory=dict)
    task_id: str = "synchronize"
    operator: str = "ITwinRunStorageConnectionOperator"
    fields: dict[str, Any] = field(default_factory=dict)
    map_index: int | None = None


@dataclass(frozen=True)
class StoredRun:
    """A DAG run with its tasks."""

    dag_id: str
    run_id: str
    tasks: list[StoredTask]


def store(deployment: Deployment, runs: Iterable[StoredRun]) -> None:
    """Write DAG runs with their task instances into the database of a deployment."""
    subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([asdict(run) for run in runs]),
        env={**deployment.environment},
        cwd=CHECKOUT,
        text=True,
        check=True,
        timeout=300,
    )


def _write(runs: list[dict[str, Any]]) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    # Airflow 3.4 identifies rendered fields by the task instance, and a mapped task instance by its index in a region.
    is_3_4 = hasattr(TaskInstance, "region_index")
    tables: dict[Any, list[dict[str, Any]]] = {DagRun: [], TaskInstance: [], RenderedTaskInstanceFields: []}
    xcoms = []
    for run in runs:
        place = {"dag_id": run["dag_id"], "run_id": run["run_id"]}
        began = _moment(min(task["started"] or task["scheduled"] for task in run["tasks"]))
        tables[DagRun].append({**place, "state": "success", "run_type": "manual", "run_after": began})
        for index, task in enumerate(run["tasks"]):
            map_index = index if task["map_index"] is None else task["map_index"]
            place |= {"task_id": task["task_id"], "map_index": map_index}
            columns, owner = {**place, **_columns(task)}, dict(place)
            if is_3_4:
                columns |= {"id": uuid4(), "region_index": columns.pop("map_index")}
                owner = {"task_instance_id": columns["id"]}
            tables[TaskInstance].append(columns)
            if task["connection"] or task["fields"]:
                fields = {"itwin_conn_id": "itwin_default", **task["fields"]}
                if task["connection"]:
                    fields["connection_id"] = task["connection"]
                tables[RenderedTaskInstanceFields].append({**owner, "rendered_fields": fields})
            xcoms += [({**place}, key, value) for key, value in task["xcoms"].items()]
    with create_session() as session:
        for model, rows in tables.items():
            session.execute(model.__table__.insert(), rows)
        session.flush()
        for place, key, value in xcoms:
            XComModel.set(key, value, **place, session=session)


def _columns(task: dict[str, Any]) -> dict[str, Any]:
    started, ended = task["started"], task["ended"]
    return {
        "state": task["state"],
        "start_date": _moment(started),
        "end_date": _moment(ended),
        "scheduled_dttm": _moment(task["scheduled"]),
        "duration": ended - started if ended else None,
        "try_number": task["attempt"],
        "max_tries": 2,
        "pool": "default_pool",
        "executor_config": {},
        "operator": task["operator"],
    }


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


if __name__ == "__main__":
    _write(json.load(sys.stdin))
