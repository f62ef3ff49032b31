"""A client of Airflow's public REST API."""

from __future__ import annotations

import time
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter, Retry

from scripts.processes import wait_until

LONGEST_ANSWER = 90.0
"""Request timeout in seconds; long, because the machine may be busy."""
RETRIES = Retry(
    4,
    connect=0,
    read=0,
    backoff_factor=0.5,
    status_forcelist=(500, 503),
    allowed_methods=("GET", "PATCH"),
    raise_on_status=False,
)
"""Airflow answers 500 while its SQLite database is locked."""
FINAL_RUN_STATES = {"success", "failed"}
Json = dict[str, Any]


class AirflowApi:
    """
    The REST API of one Airflow with the simple auth manager.

    :param url: URL of the API server
    :param user: name and password; None if everybody is an admin
    """

    def __init__(self, url: str, user: tuple[str, str] | None = None) -> None:
        self.url = url
        self._user = user
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(max_retries=RETRIES))

    def login(self) -> None:
        """Get a token for all later requests."""
        self._session.headers.pop("Authorization", None)
        self._session.headers["Authorization"] = f"Bearer {self.token(self._user)}"

    def token(self, user: tuple[str, str] | None) -> str:
        """Log in as a user, by name and password; return the token."""
        if user is None:
            return cast("str", self._request("GET", "/auth/token")["access_token"])
        name, password = user
        body = {"username": name, "password": password}
        return cast("str", self._request("POST", "/auth/token", json=body)["access_token"])

    def dag(self, dag_id: str) -> Json | None:
        """Return a DAG; None if Airflow has not parsed it yet."""
        return self._request_or_none(f"/api/v2/dags/{dag_id}")

    def import_errors(self) -> list[Json]:
        """List the DAG files that could not be read."""
        return cast("list[Json]", self._request("GET", "/api/v2/importErrors")["import_errors"])

    def trigger(self, dag_id: str, conf: Json | None = None) -> str:
        """Start a run of a DAG; return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        return cast("str", self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[str]:
        """List the ids of the runs of a DAG, oldest first."""
        parameters: dict[str, Any] = {"order_by": "id", "limit": 100}
        response = self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=parameters)
        return [str(run["dag_run_id"]) for run in response["dag_runs"]]

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause or unpause a DAG."""
        self._request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def unpause_all(self) -> list[str]:
        """Unpause all DAGs; return their ids."""
        parameters: dict[str, Any] = {"dag_id_pattern": "%", "update_mask": "is_paused", "limit": 100}
        response = self._request("PATCH", "/api/v2/dags", params=parameters, json={"is_paused": False})
        return sorted(str(dag["dag_id"]) for dag in response["dags"])

    def dag_ids(self) -> list[str]:
        """List the ids of the DAGs that Airflow has parsed."""
        return [str(dag["dag_id"]) for dag in self._request("GET", "/api/v2/dags", params={"limit": 100})["dags"]]

    def create_connection(self, connection: Json) -> None:
        """Store a connection in Airflow's database, where users can see it."""
        self._request("POST", "/api/v2/connections", json=connection)

    def connection(self, connection_id: str) -> Json:
        """Return a connection of Airflow's database, with its secret masked."""
        return self._request("GET", f"/api/v2/connections/{connection_id}")

    def test_connection(self, connection: Json) -> Json:
        """Test a connection; return `status` and `message`."""
        return self._request("POST", "/api/v2/connections/test", json=connection)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        return cast("str", self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """List the task instances of a run, mapped ones separately."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return cast("list[Json]", self._request("GET", path, params={"limit": 100})["task_instances"])

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Return one task instance of a run."""
        for instance in self.task_instances(dag_id, run_id):
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index):
                return instance
        raise LookupError(f"{dag_id} {run_id} has no task {task_id} with map index {map_index}")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | list[str]]:
        """Return the state of each task of a run; for a mapped task, a list in the order of the map index."""
        states: dict[str, str | list[str]] = {}
        for instance in sorted(self.task_instances(dag_id, run_id), key=lambda one: int(one["map_index"])):
            task_id, state = instance["task_id"], str(instance["state"])
            if instance["map_index"] < 0:
                states[task_id] = state
            else:
                cast("list[str]", states.setdefault(task_id, [])).append(state)
        return states

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of one attempt of a task, one event per line, with the text of errors."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        parameters = {"full_content": "true", "map_index": map_index}
        response = self._request("GET", path, params=parameters, headers={"Accept": "application/json"})
        return "\n".join(_log_line(entry) for entry in response["content"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value of an XCom; None if there is none."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self._request_or_none(path, params={"map_index": map_index, "deserialize": "true"})
        return entry and entry["value"]

    def wait_for_dag(self, dag_id: str, seconds: float = 120.0) -> None:
        """Wait until Airflow has parsed a DAG."""
        if not wait_until(lambda: self.dag(dag_id) is not None, seconds, every=0.5):
            raise TimeoutError(f"{dag_id} was not parsed in {seconds:.0f} s; import errors: {self.import_errors()}")

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = 120.0) -> Json:
        """Wait until a task is in one of the states; return the task instance."""
        deadline = time.monotonic() + seconds
        while (instance := self.task_instance(dag_id, run_id, task_id))["state"] not in states:
            if time.monotonic() >= deadline or self.run_state(dag_id, run_id) in FINAL_RUN_STATES:
                raise TimeoutError(f"{task_id} never was {states}; now {self.task_states(dag_id, run_id)}")
            time.sleep(0.25)
        return instance

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 240.0) -> str:
        """Wait until a run has ended; return its state."""
        if not wait_until(lambda: self.run_state(dag_id, run_id) in FINAL_RUN_STATES, seconds, every=0.5):
            raise TimeoutError(f"{run_id} not ended after {seconds:.0f} s; now {self.task_states(dag_id, run_id)}")
        return self.run_state(dag_id, run_id)

    def _request(self, method: str, path: str, **arguments: Any) -> Json:
        response = self._session.request(method, self.url + path, timeout=LONGEST_ANSWER, **arguments)
        if not response.ok:
            raise requests.HTTPError(
                f"{method} {path}: {response.status_code} {response.text[:500]}", response=response
            )
        return cast("Json", response.json())

    def _request_or_none(self, path: str, **arguments: Any) -> Json | None:
        try:
            return self._request("GET", path, **arguments)
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code == requests.codes.not_found:
                return None
            raise


def _log_line(entry: Json | str) -> str:
    if isinstance(entry, str):
        return entry
    line = str(entry["event"])
    for error in entry.get("error_detail") or ():
        line += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return line
