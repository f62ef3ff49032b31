"""
Run one DAG in this process and write its outcome to a file.

    python -m scripts.run_dag DAG_FILE DAG_ID CONF_JSON OUTCOME_FILE

Everything except the scheduler is real: task code, deferral and trigger. Airflow's log is written as one JSON object per line,
and so are the events of the listener below.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.listeners import hookimpl
from airflow.sdk.listener import get_listener_manager
from airflow.utils.session import create_session

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

LOGGER = "demo.task"


class TaskListener:
    """Prints the state changes of each task."""

    @hookimpl
    def on_task_instance_running(self, task_instance: RuntimeTaskInstance) -> None:
        """Print that a task starts, or resumes after a deferral."""
        self._print(task_instance, "running")

    @hookimpl
    def on_task_instance_success(self, task_instance: RuntimeTaskInstance) -> None:
        """Print that a task succeeded."""
        self._print(task_instance, "success")

    @hookimpl
    def on_task_instance_skipped(self, task_instance: RuntimeTaskInstance) -> None:
        """Print that a task was skipped."""
        self._print(task_instance, "skipped")

    @hookimpl
    def on_task_instance_failed(self, task_instance: RuntimeTaskInstance, error: str | BaseException | None) -> None:
        """Print that a task failed."""
        self._print(task_instance, "failed", error=str(error))

    @staticmethod
    def _print(task_instance: RuntimeTaskInstance, state: str, **more: str) -> None:
        print(json.dumps({"logger": LOGGER, "event": state, "task": task_instance.task_id} | more), flush=True)  # noqa: T201


def outcome_of(dag_run: DagRun) -> dict[str, Any]:
    """Return what the demo shows: the states of the tasks, their return values, and the run reports, from their XComs."""
    with create_session() as session:
        instances = {instance.task_id: instance for instance in dag_run.get_task_instances(session=session)}

        def pulled(key: str) -> dict[str, Any]:
            values = {
                task_id: instance.xcom_pull(task_ids=task_id, key=key, session=session)
                for task_id, instance in instances.items()
            }
            return {task_id: value for task_id, value in values.items() if value is not None}

        return {
            "state": str(dag_run.state),
            "tasks": {task_id: str(instance.state) for task_id, instance in instances.items()},
            "outputs": pulled("return_value"),
            "reports": pulled("run_report"),
        }


def main(dag_file: str, dag_id: str, conf: str, outcome_file: str) -> None:
    """Run the DAG."""
    folder = Path(dag_file).parent
    bag = BundleDagBag(dag_folder=dag_file, bundle_path=folder, bundle_name="dags-folder")
    if bag.import_errors:
        raise SystemExit("\n".join(bag.import_errors.values()))
    get_listener_manager().add_listener(TaskListener())  # type: ignore[no-untyped-call]
    dag_run = bag.dags[dag_id].test(run_conf=json.loads(conf))
    Path(outcome_file).write_text(json.dumps(outcome_of(dag_run), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
