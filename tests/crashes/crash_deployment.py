"""The Airflow of the crash tests: it detects losses within seconds, has a service per scenario, and can kill processes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import psutil  # type: ignore[import-untyped]
import psycopg2  # type: ignore[import-untyped]
import requests
from sqlalchemy.engine import make_url

from scripts.airflow_api import FINAL_RUN_STATES, AirflowApi
from scripts.processes import wait_until
from tests.seeded_random import seeded_random
from tests.system.deployment import COMPONENTS, Deployment

from .service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from itwin_emulator import Emulator

TASK = "synchronize"
SECOND = "second triggerer"
OUTAGE_TOLERANCE = 15
TRIGGERER_TIMEOUT = 6
LONGEST_PAUSE = 2.0
"""Longest random pause, in seconds, between the point that a test has waited for and the loss; TEST_SEED sets the seed."""

SHORT_TIMEOUTS = {
    "AIRFLOW__CORE__PARALLELISM": "12",
    "AIRFLOW__ITWIN__OUTAGE_TOLERANCE": str(OUTAGE_TOLERANCE),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    # A slow scheduler that misses its own heartbeats resets its tasks again and again.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_TIMEOUT),
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
}
"""Settings with which Airflow treats processes without a heartbeat as lost after seconds instead of minutes."""


class Api(AirflowApi):
    """More requests to Airflow's REST API."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.login()

    def add_connection(self, conn_id: str, host: str, login: str, password: str) -> None:
        """Create an Airflow connection of type iTwin in the metadata database."""
        self._request("POST", "/api/v2/connections", json=_connection(conn_id, host, login, password))

    def change_connection(self, conn_id: str, host: str, login: str, password: str) -> None:
        """Change an Airflow connection of type iTwin."""
        self._request("PATCH", f"/api/v2/connections/{conn_id}", json=_connection(conn_id, host, login, password))

    def count_triggerers(self) -> int:
        """Count the running triggerers."""
        query: dict[str, str] = {"job_type": "TriggererJob", "is_alive": "true"}
        return int(self._request("GET", "/api/v2/jobs", params=query)["total_entries"])

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, whatever its state."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._request("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task, as the buttons of the grid do."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self._request("PATCH", path, json={"new_state": state})


def _connection(conn_id: str, host: str, login: str, password: str) -> dict[str, str]:
    return {"connection_id": conn_id, "conn_type": "itwin", "host": host, "login": login, "password": password}


class CrashDeployment(Deployment):
    """An Airflow whose tasks, triggerers and API server can be killed one by one."""

    @contextmanager
    def service(self, name: str, clock_skew: float = 0.0) -> Iterator[Service]:
        """Run an emulated iTwin Platform; `name` is also the id of the Airflow connection to it."""
        service = Service(self.home / f"{name}.json", clock_skew)
        service.start()
        try:
            emulator = service.emulator
            Api(self.api.url).add_connection(name, emulator.url, emulator.client_id, emulator.client_secret)
            yield service
        finally:
            service.stop()

    def change_secret(self, name: str, emulator: Emulator, secret: str) -> None:
        """Write a new client secret into the Airflow connection `name`."""
        Api(self.api.url).change_connection(name, emulator.url, emulator.client_id, secret)

    def start_dag_run(self, dag_id: str, conn_id: str, **conf: Any) -> CrashDagRun:
        """Start a run of a DAG."""
        return CrashDagRun(self, dag_id, {"itwin_conn_id": conn_id} | conf)

    def add_triggerer(self) -> None:
        """Start a second triggerer, and wait until it is alive."""
        self._launched[SECOND] = datetime.now(UTC)
        self._processes[SECOND] = self._run(SECOND, *COMPONENTS["triggerer"])
        api = Api(self.api.url)
        assert wait_until(lambda: api.count_triggerers() == 2, 180.0, every=0.5), self.last_output()

    def remove_second_triggerer(self) -> None:
        """Stop the second triggerer."""
        self._processes.pop(SECOND).stop()

    @property
    def has_database_server(self) -> bool:
        """Whether the metadata database is one whose connections can break."""
        return self._database.startswith("postgresql")

    def break_database_connections(self) -> None:
        """Close all connections to the metadata database, as a restart of the database does."""
        url = make_url(self._database)
        server = psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname="postgres", connect_timeout=5)
        try:
            with server, server.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database]
                )
        finally:
            server.close()

    def restart_stopped(self) -> list[str]:
        """Restart the components that have stopped by themselves, as a service manager does; return their names."""
        stopped = [name for name, process in self._processes.items() if process.exit_code is not None]
        for name in stopped:
            self._processes.pop(name).stop()
        for name in stopped:
            self.restart(name)
        return stopped

    def restart_until_ended(self, *dag_runs: CrashDagRun, seconds: float = 240.0) -> None:
        """Restart components that stop by themselves until all DAG runs have ended."""

        def all_have_ended() -> bool:
            self.restart_stopped()
            return all(dag_run.has_ended for dag_run in dag_runs)

        assert wait_until(all_have_ended, seconds, every=0.5), self.last_output()

    @property
    def _database(self) -> str:
        return self._environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]

    def kill(self, component: str) -> None:
        """Kill a component and its child processes with SIGKILL, after a random pause."""
        time.sleep(seeded_random(f"{component} {len(self._launched)}").uniform(0, LONGEST_PAUSE))
        super().kill(component)

    def kill_process(self, pid: int) -> None:
        """Kill one process of this Airflow's tasks."""
        assert os.getsid(pid) == self._processes["scheduler"].pid, f"{pid} is not a process of this Airflow"
        os.kill(pid, signal.SIGKILL)


class CrashDagRun:
    """One DAG run, and its task that synchronizes a connection."""

    def __init__(self, deployment: CrashDeployment, dag_id: str, conf: dict[str, Any]) -> None:
        self.api = Api(deployment.api.url)
        self.api.wait_for_dag(dag_id)
        self._deployment = deployment
        self.dag_id = dag_id
        self._random = seeded_random(f"{dag_id} {conf['itwin_conn_id']}")
        self.run_id = self.api.trigger(dag_id, conf)

    @classmethod
    def stalling(cls, deployment: CrashDeployment, dag_id: str, conn_id: str, point: str) -> tuple[Self, Path]:
        """Start a run whose task stalls at `point`; return it and the file that the task creates then."""
        stall_file = deployment.home / f"{conn_id}.{point}"
        return cls(
            deployment, dag_id, {"itwin_conn_id": conn_id, "stall_at": point, "stall_file": str(stall_file)}
        ), stall_file

    @property
    def task(self) -> dict[str, Any]:
        """The current task instance."""
        return self.api.task_instance(self.dag_id, self.run_id, TASK)

    def wait_for(self, state: str, attempt: int = 1, seconds: float = 240.0) -> None:
        """Wait until the task is in a state, in attempt number `attempt` or a later one."""

        def is_there() -> bool:
            task = self.task
            return bool(task["state"] == state and task["try_number"] >= attempt)

        assert wait_until(is_there, seconds, every=0.3), (
            f"never {state} in attempt {attempt}: {self.task}\n{self.log()}"
        )

    def wait_for_log(self, text: str, seconds: float = 180.0) -> None:
        """Wait until the log of the task contains a text."""
        assert wait_until(lambda: text in self.log(), seconds, every=0.5), f"{text!r} is not in\n{self.log()}"

    @property
    def has_ended(self) -> bool:
        """Whether the DAG run has ended."""
        return self.api.run_state(self.dag_id, self.run_id) in FINAL_RUN_STATES

    def end(self, seconds: float = 240.0) -> str:
        """Wait for the end of the DAG run; return the state of the task."""
        self.api.wait_for_run(self.dag_id, self.run_id, seconds)
        return str(self.task["state"])

    def log(self, try_number: int | None = None) -> str:
        """Return the log of an attempt, or of all attempts so far."""
        numbers = [try_number] if try_number else range(1, int(self.task["try_number"]) + 1)
        return "\n".join(self._log_of(number) for number in numbers)

    def _log_of(self, try_number: int) -> str:
        try:
            return self.api.log(self.dag_id, self.run_id, TASK, try_number)
        except requests.HTTPError as error:
            # On a slow machine an attempt can end before its process has started; Airflow then has no record of it.
            if error.response is not None and error.response.status_code == requests.codes.not_found:
                return ""
            raise

    def xcom(self, key: str = "return_value") -> Any:
        """Return the value of an XCom of the task."""
        return self.api.xcom(self.dag_id, self.run_id, TASK, key)

    def clear(self) -> None:
        """Clear the task."""
        self.api.clear(self.dag_id, self.run_id, TASK)

    def mark(self, state: str) -> None:
        """Set the state of the task."""
        self.api.mark(self.dag_id, self.run_id, TASK, state)

    def kill_task(self) -> None:
        """Kill the process of the task only, as a machine that is out of memory does, after a random pause."""
        self._pause()
        self._deployment.kill_process(int(self.task["pid"]))

    def kill_worker(self) -> None:
        """Kill the process of the task and its supervisor, as the loss of the machine does, after a random pause."""
        self._pause()
        pid = int(self.task["pid"])
        supervisor = psutil.Process(pid).ppid()
        assert supervisor != os.getpid()
        self._deployment.kill_process(supervisor)
        with suppress(ProcessLookupError):
            self._deployment.kill_process(pid)

    def _pause(self) -> None:
        time.sleep(self._random.uniform(0, LONGEST_PAUSE))
