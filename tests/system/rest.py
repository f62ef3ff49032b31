"""What a test asks of a running Airflow, through its public REST API."""

from __future__ import annotations

import time
from typing import Any, cast

import requests

from scripts.processes import wait_until

LONGEST_ANSWER = 90.0
"""Seconds that an answer may take: the machine may have much else to do."""
FINAL_RUN_STATES = {"success", "failed"}
Json = dict[str, Any]


class AirflowApi:
    """
    The REST API of one Airflow with the simple auth manager.

    :param url: where the API server listens
    :param person: name and password; None where everybody is let in as admin
    """

    def __init__(self, url: str, person: tuple[str, str] | None = None) -> None:
        self.url = url
        self._person = person
        self._session = requests.Session()
        self._session.trust_env = False

    def login(self) -> None:
        """Get the token for all that follows."""
        self._session.headers.pop("Authorization", None)
        self._session.headers["Authorization"] = f"Bearer {self.token(self._person)}"

    def token(self, person: tuple[str, str] | None) -> str:
        """Log in as a person, by name and password; the token."""
        if person is None:
            return cast("str", self._ask("GET", "/auth/token")["access_token"])
        name, password = person
        body = {"username": name, "password": password}
        return cast("str", self._ask("POST", "/auth/token", json=body)["access_token"])

    def dag(self, dag_id: str) -> Json | None:
        """Describe a DAG; None if Airflow has not seen it yet."""
        return self._ask_if_there(f"/api/v2/dags/{dag_id}")

    def import_errors(self) -> list[Json]:
        """List the DAG files that could not be read."""
        return cast("list[Json]", self._ask("GET", "/api/v2/importErrors")["import_errors"])

    def trigger(self, dag_id: str, conf: Json | None = None) -> str:
        """Start a run of a DAG; its id."""
        body = {"logical_date": None, "conf": conf or {}}
        return cast("str", self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[str]:
        """List the runs of a DAG by their ids, oldest first."""
        parameters: dict[str, Any] = {"order_by": "id", "limit": 100}
        answer = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=parameters)
        return [str(run["dag_run_id"]) for run in answer["dag_runs"]]

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Let no run of a DAG begin, or let them again."""
        self._ask("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Tell the state of a run."""
        return cast("str", self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """List the task instances of a run, the mapped ones each for itself."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return cast("list[Json]", self._ask("GET", path, params={"limit": 100})["task_instances"])

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Give one task instance of a run."""
        for instance in self.task_instances(dag_id, run_id):
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index):
                return instance
        raise LookupError(f"{dag_id} {run_id} has no task {task_id} with map index {map_index}")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | list[str]]:
        """Give the state of each task of a run; a list of them, in order, for a mapped task."""
        states: dict[str, str | list[str]] = {}
        for instance in sorted(self.task_instances(dag_id, run_id), key=lambda one: int(one["map_index"])):
            task_id, state = instance["task_id"], str(instance["state"])
            if instance["map_index"] < 0:
                states[task_id] = state
            else:
                cast("list[str]", states.setdefault(task_id, [])).append(state)
        return states

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Give the log of one try of a task as a person reads it, one event a line, errors with their text."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        parameters = {"full_content": "true", "map_index": map_index}
        answer = self._ask("GET", path, params=parameters, headers={"Accept": "application/json"})
        return "\n".join(_log_line(entry) for entry in answer["content"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Give a value that a task has left; None if it has not."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self._ask_if_there(path, params={"map_index": map_index, "deserialize": "true"})
        return entry and entry["value"]

    def wait_for_dag(self, dag_id: str, seconds: float = 120.0) -> None:
        """Wait until Airflow has read a DAG."""
        if not wait_until(lambda: self.dag(dag_id) is not None, seconds, every=0.5):
            raise TimeoutError(f"{dag_id} is not there after {seconds:.0f} s; import errors: {self.import_errors()}")

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = 120.0) -> Json:
        """Wait until a task is in one of the states; the task instance."""
        deadline = time.monotonic() + seconds
        while (instance := self.task_instance(dag_id, run_id, task_id))["state"] not in states:
            if time.monotonic() >= deadline or self.run_state(dag_id, run_id) in FINAL_RUN_STATES:
                raise TimeoutError(f"{task_id} never was {states}; now {self.task_states(dag_id, run_id)}")
            time.sleep(0.25)
        return instance

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 240.0) -> str:
        """Wait until a run has ended; its state."""
        if not wait_until(lambda: self.run_state(dag_id, run_id) in FINAL_RUN_STATES, seconds, every=0.5):
            raise TimeoutError(f"{run_id} not ended after {seconds:.0f} s; now {self.task_states(dag_id, run_id)}")
        return self.run_state(dag_id, run_id)

    def _ask(self, method: str, path: str, **arguments: Any) -> Json:
        answer = self._session.request(method, self.url + path, timeout=LONGEST_ANSWER, **arguments)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:500]}", response=answer)
        return cast("Json", answer.json())

    def _ask_if_there(self, path: str, **arguments: Any) -> Json | None:
        try:
            return self._ask("GET", path, **arguments)
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
