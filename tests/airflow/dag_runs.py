"""DAG runs with Airflow's ``dag.test``: tasks, triggers and retries in this process, and a SQLite database."""

from __future__ import annotations

import functools
import itertools
import json
import logging
import sqlite3
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, AIRFLOW_V_3_4_PLUS
from tests.airflow.single_task import separate_process

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_numbers = itertools.count(1)

_FILE = """\
import pendulum
from tests.airflow.sdk import DAG, get_current_context, task

from airflow_provider_itwin.operators.itwin import (
    ITwinCreateNamedVersionOperator,
    ITwinListSourceFilesOperator,
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

with DAG({dag_id!r}, start_date=pendulum.datetime(2026, 1, 1), schedule=None, params={params!r}) as dag:
{tasks}
"""


@dataclass
class DagResult:
    """The outcome of a DAG run."""

    dag_id: str
    run_id: str
    state: str
    states: dict[str, list[str]]
    """States of the task instances of each task, by map index."""
    attempts: dict[str, int]
    xcoms: dict[tuple[str, str], Any]
    """By task and key; a list by map index for a mapped task."""
    log: str
    """The log, including the console."""
    console: str
    """The console only."""
    runner: DagRunner
    dag: Any

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom, None if there is none."""
        return self.xcoms.get((task_id, key))

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Query the database."""
        return self.runner.rows(statement, *values)

    def rendered_fields(self) -> list[str]:
        """Return the template fields of each task instance as Airflow stores and shows them."""
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        with create_session() as session:
            instances = session.query(TaskInstance).filter_by(dag_id=self.dag_id).all()
            found = [RenderedTaskInstanceFields.get_templated_fields(one, session=session) for one in instances]
        return [json.dumps(fields) for fields in found if fields is not None]

    def clear_while_running(self, task_id: str) -> None:
        """Clear a task as the UI does while it runs (Airflow 3 only)."""
        from airflow.models.taskinstance import TaskInstance, clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            cleared = session.query(TaskInstance).filter_by(dag_id=self.dag_id, task_id=task_id).one()
            cleared.state = "running"
            clear_task_instances([cleared], session)

    def clear_and_run(self, task_id: str) -> None:
        """Clear a task as the UI does, and run it again (Airflow 3 only)."""
        from airflow.models.taskinstance import TaskInstance, clear_task_instances
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.session import create_session

        with create_session() as session:
            instances = session.query(TaskInstance).filter_by(dag_id=self.dag_id, task_id=task_id)
            clear_task_instances([instances.one()], session)
            session.flush()
            # Since Airflow 3.4, each attempt is a task instance of its own, and clearing makes the next one.
            cleared = instances.one()
            if not AIRFLOW_V_3_4_PLUS:
                cleared.try_number += 1
            session.commit()
            _run_task(ti=cleared, task=self.dag.task_dict[task_id], run_triggerer=True)


class DagRunner:
    """Runs DAGs, one at a time."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str], log: pytest.LogCaptureFixture) -> None:
        self._home = home
        self._capture = capture
        self._log = log

    def run(self, tasks: str, *, params: dict[str, Any] | None = None, level: int = logging.INFO) -> DagResult:
        """
        Run a DAG.

        :param tasks: the body of its ``with DAG(...) as dag:``
        :param level: log level
        """
        dag_id = f"dag_{next(_numbers)}"
        text = _FILE.format(dag_id=dag_id, tasks=textwrap.indent(textwrap.dedent(tasks), "    "), params=params or {})
        return self.run_file(dag_id, text, level)

    def run_file(self, dag_id: str, text: str, level: int = logging.INFO) -> DagResult:
        """Run the DAG in the text of a DAG file."""
        self._capture.readouterr()
        self._log.clear()
        self._log.set_level(level)
        dag = load_dag(self._home, dag_id, text)
        with separate_process():
            run = dag.test()
        console = self._capture.readouterr()
        return DagResult(
            dag_id=dag_id,
            run_id=run.run_id,
            state=str(run.state),
            **self._tasks_of(dag_id, run.run_id),
            xcoms=self._xcoms_of(dag_id, run.run_id),
            log="\n".join([console.out, console.err, self._log.text]),
            console=f"{console.out}\n{console.err}",
            runner=self,
            dag=dag,
        )

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Query the database."""
        with sqlite3.connect(self._home / "airflow.db") as database:
            return database.execute(statement, values).fetchall()

    def _tasks_of(self, dag_id: str, run_id: str) -> dict[str, Any]:
        from airflow.models.taskinstance import TaskInstance

        states: dict[str, list[str]] = {}
        attempts: dict[str, int] = {}
        for instance in _stored(TaskInstance, dag_id, run_id):
            states.setdefault(instance.task_id, []).append(instance.state)
            attempts[instance.task_id] = max(instance.try_number, attempts.get(instance.task_id, 0))
        return {"states": states, "attempts": attempts}

    def _xcoms_of(self, dag_id: str, run_id: str) -> dict[tuple[str, str], Any]:
        xcoms: dict[tuple[str, str], Any] = {}
        for xcom in _stored(_xcom_model(), dag_id, run_id):
            loaded = _loaded(xcom.value)
            if xcom.map_index < 0:
                xcoms[xcom.task_id, xcom.key] = loaded
            else:
                xcoms.setdefault((xcom.task_id, xcom.key), []).append(loaded)
        return xcoms


def _stored(model: Any, dag_id: str, run_id: str) -> list[Any]:
    """Return the rows of a DAG run by map index, as Airflow's models give them: its tables differ between versions."""
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(model).filter_by(dag_id=dag_id, run_id=run_id).all()
        session.expunge_all()
    return sorted(rows, key=lambda row: int(row.map_index))


def _xcom_model() -> Any:
    from airflow.models import xcom

    return xcom.XComModel if AIRFLOW_V_3_0_PLUS else xcom.BaseXCom


def load_dag(home: Path, dag_id: str, text: str) -> Any:
    """Load the DAG from the text of a DAG file, which becomes the only file in the folder."""
    _share_the_api_server()
    folder = home / "dags"
    for file in folder.glob("*.py"):
        file.unlink()
    (folder / f"{dag_id}.py").write_text(text)
    bag = _bag_of(folder)
    assert not bag.import_errors, bag.import_errors
    return bag.dags[dag_id]


@functools.cache
def _share_the_api_server() -> None:
    """Share one API server between all tasks of this process, as Airflow 3.3 does; older versions create one per task."""
    if AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_3_PLUS:
        from airflow.sdk.execution_time import supervisor

        made = supervisor.in_process_api_server()
        supervisor.in_process_api_server = lambda: made  # type: ignore[assignment]


def _bag_of(folder: Path) -> Any:
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:
        from airflow.models import dagbag

        if hasattr(dagbag, "BundleDagBag"):  # Airflow 3.1
            return dagbag.BundleDagBag(dag_folder=str(folder), bundle_path=folder)
        bag = dagbag.DagBag(str(folder), include_examples=False)
        # As the DAG processor does; without it, the assets of the DAG are not registered and have no events.
        if AIRFLOW_V_3_0_PLUS:
            from airflow.dag_processing.bundles.manager import DagBundlesManager

            DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
            bag.sync_to_db("dags-folder", None)
        else:
            bag.sync_to_db()
        return bag
    return BundleDagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="dags-folder")


def _loaded(value: Any) -> Any:
    # Airflow 3 stores the JSON of a task as a JSON string; some values are not JSON.
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
