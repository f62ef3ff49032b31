"""A distributed Airflow: two schedulers, two triggerers, two Celery workers, PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil  # type: ignore[import-untyped]
import psycopg2  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from scripts.airflow_health import health_of
from tests.system.deployment import COMPONENTS, Deployment, DeploymentError

from .broker import REDIS_URL, delete_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SLOTS = 4
"""Tasks that a worker runs concurrently."""

SCHEDULERS = ("scheduler 1", "scheduler 2")
TRIGGERERS = ("triggerer 1", "triggerer 2")
WORKERS = ("worker 1", "worker 2")

# A killed worker leaves its PID file, which must not stop its replacement from starting.
_WORKER = ("celery", "worker", "--skip-serve-logs", "--without-mingle", "--without-gossip")

PROCESSES = (
    {"api-server": COMPONENTS["api-server"], "dag-processor": COMPONENTS["dag-processor"]}
    | dict.fromkeys(SCHEDULERS, COMPONENTS["scheduler"])
    | dict.fromkeys(TRIGGERERS, COMPONENTS["triggerer"])
    | dict.fromkeys(WORKERS, _WORKER)
)

# Losses are detected within seconds instead of minutes, but a busy machine must not count as a loss.
SHORT_TIMEOUTS = {
    "AIRFLOW__CELERY__BROKER_URL": REDIS_URL,
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    # No more tasks are queued than the workers have slots, so a task stays queued only if its worker is lost.
    "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
    # Other tests use the same PostgreSQL server.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "5",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "3",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
}


class TaskRecord(NamedTuple):
    """The task instance of one connection, in Airflow's database."""

    connection_id: str
    run_id: str
    state: str | None
    attempts: int
    began: float | None
    """Start of its first attempt, in seconds since the epoch."""


class Cluster(Deployment):
    """
    The processes of a distributed Airflow, each of which can be killed.

    :param home: empty folder for the files of Airflow
    :param dag_files: DAG files that are copied to the DAG folder
    :param environment: more environment variables for all processes
    """

    def __init__(self, home: Path, dag_files: Iterable[Path], environment: dict[str, str]) -> None:
        prefix = f"airflow-test-{os.getpid()}-{secrets.token_hex(4)}-"
        broker = {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": prefix}
        workers = {
            name: (
                *command,
                "--celery-hostname",
                f"{prefix}{name.replace(' ', '-')}",
                "--pid",
                str(home / f"{name}.pid"),
            )
            for name, command in PROCESSES.items()
            if name in WORKERS
        }
        super().__init__(home, dag_files, SHORT_TIMEOUTS | broker | environment, components=PROCESSES | workers)
        self._resources.callback(delete_keys, prefix)

    def lose(self, name: str) -> None:
        """Kill a process and its children at once, as the loss of their machine does."""
        self.kill(name)
        (self.home / f"{name}.pid").unlink(missing_ok=True)

    def is_at_work(self, worker: str) -> bool:
        """Return whether a worker is running a task."""
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._processes[worker].pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if " ".join(process.cmdline()).startswith("airflow worker -- "):
                        return True
        return False

    def replace(self, name: str) -> None:
        """Start a replacement of a lost process, and do not wait for it."""
        self._launch(name)

    def stopped(self) -> list[str]:
        """List the processes that have stopped by themselves."""
        return [name for name, process in self._processes.items() if process.exit_code is not None]

    def task_records(self) -> list[TaskRecord]:
        """Return the task instance of each connection."""
        rows = self._query(
            """
            SELECT run.conf, run.run_id, task.state, task.try_number, LEAST(task.start_date, MIN(earlier.start_date))
            FROM dag_run run
            JOIN task_instance task USING (dag_id, run_id)
            LEFT JOIN task_instance_history earlier USING (dag_id, run_id, task_id, map_index)
            GROUP BY run.id, task.id
            """
        )
        return [
            TaskRecord(conf["connection_id"], run_id, state, attempts, began and began.timestamp())
            for conf, run_id, state, attempts, began in rows
        ]

    def run_states(self) -> dict[str, int]:
        """Count the DAG runs in each state."""
        return dict(self._query("SELECT state, COUNT(*) FROM dag_run GROUP BY state"))

    def count_triggers(self) -> int:
        """Count the triggers in the database."""
        return int(self._query("SELECT COUNT(*) FROM trigger")[0][0])

    def task_logs(self) -> Iterator[str]:
        """Yield the log of each attempt of each task."""
        for file in sorted((self.home / "logs").glob("dag_id=*/**/*.log*")):
            yield file.read_text(errors="replace")

    def count_requeued(self) -> int:
        """Count the tasks that were queued again, because no worker had taken them."""
        return int(self._query("SELECT COUNT(*) FROM log WHERE event = 'stuck in queued reschedule'")[0][0])

    def count_adopted(self) -> int:
        """Count the tasks that one scheduler has adopted from the other."""
        found = (re.findall(r"Adopted the following (\d+) tasks", self.process_log(name)) for name in SCHEDULERS)
        return sum(int(count) for counts in found for count in counts)

    def task_errors(self) -> set[str]:
        """Return the errors of failed tasks, each once."""
        lines = (line for log in self.task_logs() for line in log.splitlines() if '"error_detail"' in line)
        found = (json.loads(line)["error_detail"] for line in lines)
        return {f"{error['exc_type']}: {error['exc_value']}" for errors in found for error in errors}

    def _is_healthy(self) -> bool:
        # Airflow's health endpoint reports one process of each kind; only the database has their number.
        if health_of(self.api.url).get("metadatabase", {}).get("status") != "healthy":
            return False
        alive = dict(
            self._query(
                """
                SELECT job_type, COUNT(*) FROM job
                WHERE state = 'running' AND latest_heartbeat > now() - interval '10 seconds' GROUP BY job_type
                """
            )
        )
        wanted = {"SchedulerJob": len(SCHEDULERS), "TriggererJob": len(TRIGGERERS), "DagProcessorJob": 1}
        return all(alive.get(kind, 0) >= count for kind, count in wanted.items()) and all(
            " ready." in self.process_log(name) for name in WORKERS
        )

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        with self._database() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    @contextmanager
    def _database(self) -> Iterator[Any]:
        url = make_url(self._environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        if not url.drivername.startswith("postgresql"):
            raise DeploymentError("A distributed Airflow needs PostgreSQL")
        connection = psycopg2.connect(
            host=url.host, port=url.port, user=url.username, dbname=url.database, connect_timeout=10
        )
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()
