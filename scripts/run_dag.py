"""
Run one DAG to its end in this process, and write down what came of it.

    python -m scripts.run_dag DAG_FILE DAG_ID CONF_JSON OUTCOME_FILE

Everything is Airflow's own but for the scheduler's loop: real task code, a real deferral and a real trigger. Airflow's log
comes out as one JSON object a line, and so does what the listener below hears.
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
    """Tells of each task when it begins and how it ends."""

    @hookimpl
    def on_task_instance_running(self, task_instance: RuntimeTaskInstance) -> None:
        """Airflow's hook: a task begins, for the first time or again after a deferral."""
        self._tell(task_instance, "running")

    @hookimpl
    def on_task_instance_success(self, task_instance: RuntimeTaskInstance) -> None:
        """Airflow's hook: a task has done its work."""
        self._tell(task_instance, "success")

    @hookimpl
    def on_task_instance_skipped(self, task_instance: RuntimeTaskInstance) -> None:
        """Airflow's hook: a task has chosen not to do its work."""
        self._tell(task_instance, "skipped")

    @hookimpl
    def on_task_instance_failed(self, task_instance: RuntimeTaskInstance, error: str | BaseException | None) -> None:
        """Airflow's hook: a task has failed."""
        self._tell(task_instance, "failed", error=str(error))

    @staticmethod
    def _tell(task_instance: RuntimeTaskInstance, state: str, **more: str) -> None:
        print(json.dumps({"logger": LOGGER, "event": state, "task": task_instance.task_id} | more), flush=True)  # noqa: T201


def outcome_of(dag_run: DagRun) -> dict[str, Any]:
    """Gather what the demo shows: states, and the report of the run that a task has left."""
    with create_session() as session:
        instances = {instance.task_id: instance for instance in dag_run.get_task_instances(session=session)}
        reports = [
            report
            for instance in instances.values()
            if (report := instance.xcom_pull(task_ids=instance.task_id, key="run_report", session=session))
        ]
        return {
            "state": str(dag_run.state),
            "tasks": {task_id: str(instance.state) for task_id, instance in instances.items()},
            "report": reports[-1] if reports else None,
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
