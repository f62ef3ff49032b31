"""An Airflow 3 of real processes, for the duration of a test."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from scripts.airflow_api import AirflowApi
from scripts.airflow_health import health_of, is_healthy
from scripts.airflow_home import airflow_command, airflow_environment, free_ports, server_environment
from scripts.processes import ManagedProcess, wait_until

from .database import metadata_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}

# Short intervals where Airflow's defaults are long, so that tests do not wait for the next poll.
QUICK = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    # No DAG starts by its schedule.
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    # Seconds until a worker notices that its task process has ended.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


class DeploymentError(Exception):
    """Airflow did not start, or has failed; the text ends with the last output of its processes."""


class Deployment:
    """
    API server, scheduler with LocalExecutor, triggerer and DAG processor, each a process of its own.

    :param home: empty folder for the files of Airflow
    :param dag_files: DAG files that are copied to the DAG folder
    :param environment: more environment variables for all processes (connections, settings)
    :param user: name and password for the REST API; None if everybody is an admin
    :param components: the command of each process, by the name for :meth:`kill` and :meth:`restart`
    """

    def __init__(
        self,
        home: Path,
        dag_files: Iterable[Path],
        environment: Mapping[str, str] | None = None,
        user: tuple[str, str] | None = None,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
    ) -> None:
        self.home = home
        self.dags_folder = home / "dags"
        self.logs = home / "process-logs"
        self._dag_files = list(dag_files)
        self._more_environment = dict(environment or {})
        self._environment: dict[str, str] = {}
        self._components = components
        self._processes: dict[str, ManagedProcess] = {}
        self._launched: dict[str, datetime] = {}
        self._resources = ExitStack()
        port = free_ports(1)[0]
        self._server = server_environment(port)
        self.api = AirflowApi(self._server["AIRFLOW__API__BASE_URL"], user)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, seconds: float = 480.0) -> None:
        """Create the database, start the processes, and wait until all are healthy and the DAGs are parsed."""
        self.dags_folder.mkdir(parents=True)
        for file in self._dag_files:
            shutil.copy(file, self.dags_folder)
        database = self._resources.enter_context(metadata_database(self.home))
        self._environment = (
            airflow_environment(self.home, self.dags_folder, database=database)
            | self._server
            | QUICK
            | self._more_environment
        )
        self._migrate(seconds)
        for component in self._components:
            self._launch(component)
        self._wait_until_healthy(seconds)
        self.api.login()

    def stop(self) -> None:
        """Stop all processes, and drop the database."""
        processes, self._processes = self._processes, {}
        api_server = processes.pop("api-server", None)
        for process in processes.values():
            process.ask_to_stop()
        for process in processes.values():
            process.stop()
        # Stopped last, because tasks and triggers report their end to it.
        if api_server:
            api_server.stop()
        self._resources.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of all processes, for starting another one."""
        return self._environment

    def kill(self, component: str) -> None:
        """Kill a component and its child processes with SIGKILL."""
        self._processes.pop(component).kill()

    def restart(self, component: str, seconds: float = 120.0, environment: Mapping[str, str] | None = None) -> None:
        """
        Stop a component if it is running, start it again, and wait until it is healthy.

        :param environment: more environment variables, for this start only
        """
        if process := self._processes.pop(component, None):
            process.stop()
        self._launch(component, environment)
        self._wait_until_healthy(seconds)

    def process_log(self, component: str, lines: int = 100_000) -> str:
        """Return the output of a component since its first start."""
        return self._processes[component].tail(lines)

    def last_output(self, lines: int = 40) -> str:
        """Return the end of the output of every process, for the report of a failed test."""
        return "\n".join(
            f"----- {name} ({'running' if process.exit_code is None else f'exit code {process.exit_code}'})\n"
            f"{process.tail(lines)}"
            for name, process in self._processes.items()
        )

    def _migrate(self, seconds: float) -> None:
        migration = self._run("db-migrate", "db", "migrate")
        ended = migration.wait(seconds)
        migration.stop()
        if not ended or migration.exit_code != 0:
            raise DeploymentError(f"Cannot create the database:\n{migration.tail(100)}")

    def _launch(self, component: str, environment: Mapping[str, str] | None = None) -> None:
        self._launched[component] = datetime.now(UTC)
        self._processes[component] = self._run(component, *self._components[component], environment=environment)

    def _run(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> ManagedProcess:
        return ManagedProcess(
            name,
            airflow_command(*arguments),
            environment={**self._environment, **(environment or {})},
            log=self.logs / f"{name}.log",
        )

    def _wait_until_healthy(self, seconds: float) -> None:
        settled = wait_until(lambda: self._has_failed() or self._is_healthy(), seconds, every=0.5)
        if self._has_failed() or not settled:
            raise DeploymentError(f"Airflow is not healthy: {health_of(self.api.url)}\n{self.last_output()}")

    def _has_failed(self) -> bool:
        return any(process.exit_code is not None for process in self._processes.values())

    def _is_healthy(self) -> bool:
        return is_healthy(
            health_of(self.api.url), {component: self._launched[component] for component in self._processes}
        )
