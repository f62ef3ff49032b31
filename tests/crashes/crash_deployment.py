"""What the crash tests play on: one Airflow that notices losses soon, a service for each scene, and a way to lose things."""

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

from scripts.processes import wait_until
from tests.seeded_random import seeded_random
from tests.system.deployment import COMPONENTS, Deployment
from tests.system.rest import FINAL_RUN_STATES, AirflowApi

from .service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from itwin_emulator import Emulator

TASK = "synchronize"
SECOND = "second triggerer"
OUTAGE_TOLERANCE = 15
TRIGGERER_GIVEN_UP_AFTER = 6
LONGEST_PAUSE = 2.0
"""Seconds within which a loss comes about, after the moment that a test has waited for; TEST_SEED draws others."""

IMPATIENT = {
    "AIRFLOW__CORE__PARALLELISM": "12",
    "AIRFLOW__ITWIN__OUTAGE_TOLERANCE": str(OUTAGE_TOLERANCE),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    # A scheduler that is so slow that it takes itself for lost resets its tasks again and again.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_GIVEN_UP_AFTER),
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
}
"""Settings with which Airflow takes for lost what has not been heard of for seconds, and not for minutes."""


class Api(AirflowApi):
    """What these tests ask of Airflow's REST API besides."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.login()

    def add_connection(self, conn_id: str, host: str, login: str, password: str) -> None:
        """Make a connection of type iTwin in the metadata database."""
        self._ask("POST", "/api/v2/connections", json=_connection(conn_id, host, login, password))

    def change_connection(self, conn_id: str, host: str, login: str, password: str) -> None:
        """Change such a connection."""
        self._ask("PATCH", f"/api/v2/connections/{conn_id}", json=_connection(conn_id, host, login, password))

    def count_triggerers(self) -> int:
        """Count the triggerers that live."""
        query: dict[str, str] = {"job_type": "TriggererJob", "is_alive": "true"}
        return int(self._ask("GET", "/api/v2/jobs", params=query)["total_entries"])

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, whatever its state."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._ask("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)


def _connection(conn_id: str, host: str, login: str, password: str) -> dict[str, str]:
    return {"connection_id": conn_id, "conn_type": "itwin", "host": host, "login": login, "password": password}


class CrashDeployment(Deployment):
    """An Airflow whose tasks and triggerers can be lost one by one, and whose api-server need not be there."""

    @contextmanager
    def service(self, name: str, clock_skew: float = 0.0) -> Iterator[Service]:
        """Lend an iTwin Platform; `name` is also the Airflow connection that leads to it."""
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

    def begin(self, dag_id: str, conn_id: str, **conf: Any) -> Scenario:
        """Start a run of a DAG."""
        return Scenario(self, dag_id, {"itwin_conn_id": conn_id} | conf)

    def add_triggerer(self) -> None:
        """Start another triggerer besides the first, and wait until it takes triggers."""
        self._launched[SECOND] = datetime.now(UTC)
        self._processes[SECOND] = self._run(SECOND, *COMPONENTS["triggerer"])
        api = Api(self.api.url)
        assert wait_until(lambda: api.count_triggerers() == 2, 180.0, every=0.5), self.last_words()

    def remove_second_triggerer(self) -> None:
        """End it again."""
        self._processes.pop(SECOND).stop()

    @property
    def has_database_server(self) -> bool:
        """Whether the metadata database is one whose connections can break."""
        return self._database.startswith("postgresql")

    def break_database_connections(self) -> None:
        """Break all connections to the metadata database, as its restart does; what falls over is started again."""
        url = make_url(self._database)
        server = psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname="postgres", connect_timeout=5)
        try:
            with server, server.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database]
                )
        finally:
            server.close()

    def restart_what_fell_over(self) -> list[str]:
        """Start again, as a service manager does, what has ended by itself; what that was."""
        fallen = [name for name, process in self._processes.items() if process.exit_code is not None]
        for name in fallen:
            self._processes.pop(name).stop()
        for name in fallen:
            self.restart(name)
        return fallen

    def look_after(self, *plays: Scenario, seconds: float = 240.0) -> None:
        """Start again whatever falls over, however late it does, until all plays have ended."""

        def all_have_ended() -> bool:
            self.restart_what_fell_over()
            return all(play.has_ended for play in plays)

        assert wait_until(all_have_ended, seconds, every=0.5), self.last_words()

    @property
    def _database(self) -> str:
        return self._environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]

    def kill(self, component: str) -> None:
        """Kill a component and what it has started, with no chance to say goodbye, a moment from now."""
        time.sleep(seeded_random(f"{component} {len(self._launched)}").uniform(0, LONGEST_PAUSE))
        super().kill(component)

    def kill_process(self, pid: int) -> None:
        """Kill one process of this Airflow's tasks."""
        assert os.getsid(pid) == self._processes["scheduler"].pid, f"{pid} is none of ours"
        os.kill(pid, signal.SIGKILL)


class Scenario:
    """One DAG run, and the task in it that synchronizes."""

    def __init__(self, stage: CrashDeployment, dag_id: str, conf: dict[str, Any]) -> None:
        self.api = Api(stage.api.url)
        self.api.wait_for_dag(dag_id)
        self._stage = stage
        self.dag_id = dag_id
        self._lot = seeded_random(f"{dag_id} {conf['itwin_conn_id']}")
        self.run_id = self.api.trigger(dag_id, conf)

    @classmethod
    def stalling(cls, stage: CrashDeployment, dag_id: str, conn_id: str, moment: str) -> tuple[Self, Path]:
        """Start a run whose task will stop at `moment`, and give the file that appears then."""
        sign = stage.home / f"{conn_id}.{moment}"
        return cls(stage, dag_id, {"itwin_conn_id": conn_id, "stall_at": moment, "sign": str(sign)}), sign

    @property
    def task(self) -> dict[str, Any]:
        """The task instance as it is now."""
        return self.api.task_instance(self.dag_id, self.run_id, TASK)

    def wait_for(self, state: str, tries: int = 1, seconds: float = 240.0) -> None:
        """Wait until the task is in a state, in a try of at least this number."""

        def is_there() -> bool:
            task = self.task
            return bool(task["state"] == state and task["try_number"] >= tries)

        assert wait_until(is_there, seconds, every=0.3), f"never {state} in try {tries}: {self.task}\n{self.log()}"

    def wait_for_words(self, words: str, seconds: float = 180.0) -> None:
        """Wait until the log of the task says something."""
        assert wait_until(lambda: words in self.log(), seconds, every=0.5), f"nothing of {words!r} in\n{self.log()}"

    @property
    def has_ended(self) -> bool:
        """Whether the DAG run is over."""
        return self.api.run_state(self.dag_id, self.run_id) in FINAL_RUN_STATES

    def end(self, seconds: float = 240.0) -> str:
        """Wait for the end of the DAG run; the state of the task."""
        self.api.wait_for_run(self.dag_id, self.run_id, seconds)
        return str(self.task["state"])

    def log(self, try_number: int | None = None) -> str:
        """Give the log of a try, or of all so far."""
        tries = [try_number] if try_number else range(1, int(self.task["try_number"]) + 1)
        return "\n".join(self._log_of(one) for one in tries)

    def _log_of(self, try_number: int) -> str:
        try:
            return self.api.log(self.dag_id, self.run_id, TASK, try_number)
        except requests.HTTPError as error:
            # On a slow machine a try can end before it has begun; Airflow then does not know it any more.
            if error.response is not None and error.response.status_code == requests.codes.not_found:
                return ""
            raise

    def xcom(self, key: str = "return_value") -> Any:
        """Give a value that the task has left."""
        return self.api.xcom(self.dag_id, self.run_id, TASK, key)

    def clear(self) -> None:
        """Clear the task."""
        self.api.clear(self.dag_id, self.run_id, TASK)

    def kill_task(self) -> None:
        """Kill the process of the task and nothing else, as a machine short of memory does, a moment from now."""
        self._pause()
        self._stage.kill_process(int(self.task["pid"]))

    def kill_worker(self) -> None:
        """Kill the task and the process that watches over it, as the loss of its machine would, a moment from now."""
        self._pause()
        pid = int(self.task["pid"])
        watcher = psutil.Process(pid).ppid()
        assert watcher != os.getpid()
        self._stage.kill_process(watcher)
        with suppress(ProcessLookupError):
            self._stage.kill_process(pid)

    def _pause(self) -> None:
        time.sleep(self._lot.uniform(0, LONGEST_PAUSE))
