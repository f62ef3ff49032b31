"""One task, run as worker, triggerer and scheduler do, but without a database and in simulated time."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import pytest

from airflow_provider_itwin.api.http import account_state
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    TaskDeferred,
    import_string,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.triggers.base import BaseTrigger

    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.sdk import BaseOperator


def first_found(*paths: str) -> Any:
    """Import an object from the first path that exists; Airflow has moved it."""
    for path in paths:
        try:
            return import_string(path)
        except ImportError:
            continue
    raise ImportError(f"Airflow has none of {', '.join(paths)}")


ExecutorSafeguard = first_found(
    "airflow.sdk.bases.operator.ExecutorSafeguard", "airflow.models.baseoperator.ExecutorSafeguard"
)
AirflowRescheduleException = first_found(
    "airflow.sdk.exceptions.AirflowRescheduleException", "airflow.exceptions.AirflowRescheduleException"
)


class FakeTaskInstance:
    """The part of a task instance that a task needs."""

    dag_id, task_id, run_id, map_index, try_number = "a_dag", "a_task", "a_run", -1, 1

    def __init__(self, max_tries: int = 0, on_push: Callable[[str], None] | None = None) -> None:
        self.max_tries = max_tries
        self.xcoms: dict[str, Any] = {}
        self.pushed: list[str] = []
        self.start_date: Any = None
        self._on_push = on_push
        if AIRFLOW_V_3_0_PLUS:
            self.get_first_reschedule_date = lambda context: self.start_date

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        """Store a value, which must survive JSON."""
        self.xcoms[key] = through_json(value)
        self.pushed.append(key)
        if self._on_push is not None:
            self._on_push(key)

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """Return a value that this task has pushed."""
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)


class FakeStore:
    """The part of the task state store of Airflow 3.3 that an operator uses."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.history: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        """Return a stored value."""
        self.history.append("get")
        return copy.deepcopy(self.rows.get(key, default))

    def set(self, key: str, value: Any, **_: Any) -> None:
        """Store a value, which must survive JSON."""
        self.rows[key] = through_json(value)
        self.history.append("set")

    def delete(self, key: str) -> None:
        """Delete a value."""
        self.rows.pop(key, None)
        self.history.append("delete")


@dataclass
class Outcome:
    """How a task ended: ``success``, ``failed`` (permanently), ``up_for_retry`` or ``skipped``."""

    state: str
    value: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    pushed: list[str] = field(default_factory=list)
    """Keys of XComs, in the order of the pushes."""
    triggers: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    parts: int = 0
    """The number of processes in which it ran."""

    @property
    def pushed_without_links(self) -> list[str]:
        """The same without the URLs of links, which Airflow 2 gets only if they are known."""
        return [key for key in self.pushed if not key.startswith("_link_")]

    @property
    def text(self) -> str:
        """The text of the exception."""
        return str(self.error)


class Runner:
    """
    Runs a task; each part runs as in a process of its own.

    :param clock: advanced while a task is rescheduled
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def run(
        self,
        task: BaseOperator,
        *,
        store: FakeStore | None = None,
        max_tries: int = 0,
        dag_clears: int = 0,
        resume: bool = True,
        on_push: Callable[[str], None] | None = None,
        most_parts: int = 1000,
        event: Any = None,
        try_number: int = 1,
    ) -> Outcome:
        """
        Run a task.

        :param task: copied for each part, so that attributes set in one part are missing in the next
        :param store: the task state store, None for an Airflow without one
        :param max_tries: `max_tries` of the task instance; a clear raises it, unless the task is running
        :param dag_clears: ``clear_number`` of the DAG run; every clear of one of its tasks raises it
        :param resume: whether to resume after a deferral; if not, the state is ``deferred``
        :param on_push: called with the key of each pushed XCom
        :param most_parts: maximum number of parts
        :param event: event of the trigger that the scheduler started the task with, None to start on a worker
        :param try_number: number of the attempt
        """
        instance = FakeTaskInstance(max_tries, on_push)
        instance.try_number = try_number
        context: dict[str, Any] = {"ti": instance, "task_instance": instance, "task_reschedule_count": 0}
        if store is not None:
            context["task_state_store"] = store
            context["dag_run"] = SimpleNamespace(clear_number=dag_clears)
        outcome = Outcome("running", xcoms=instance.xcoms, pushed=instance.pushed)
        with outside_of_task_runner(instance):
            method = "execute" if event is None else "execute_complete"
            while outcome.state == "running":
                began = self._clock.utcnow()
                outcome.parts += 1
                assert outcome.parts <= most_parts, "the task never ends"
                try:
                    outcome.value = _part(task, method, event, context)
                    outcome.state = "success"
                except TaskDeferred as deferred:
                    _check_deferral(deferred, self._clock.now())
                    outcome.triggers.append(deferred.trigger)
                    if not resume:
                        outcome.state = "deferred"
                        break
                    method, event = deferred.method_name, event_of(deferred.trigger)
                    outcome.events.append(event)
                    if isinstance(event, EndOfTask):
                        outcome.state, outcome.value = event.state, event.xcoms.get("return_value")
                        instance.xcoms.update(event.xcoms)
                except AirflowRescheduleException as reschedule:
                    instance.start_date = instance.start_date or began
                    context["task_reschedule_count"] += 1
                    self._clock.sleep(max(0.0, reschedule.reschedule_date.timestamp() - self._clock.now()))
                except AirflowSkipException as error:
                    outcome.state, outcome.error = "skipped", error
                except (AirflowFailException, AirflowSensorTimeout) as error:
                    outcome.state, outcome.error = "failed", error
                except Exception as error:  # noqa: BLE001 (as Airflow does)
                    outcome.state, outcome.error = "up_for_retry", error
        return outcome


def _part(task: BaseOperator, method: str, event: Any, context: dict[str, Any]) -> Any:
    process: Any = copy.copy(task)
    with separate_process():
        if method == "execute":
            return process.execute(context)
        return process.resume_execution(method, {"event": event}, context)


def _check_deferral(deferred: Any, now: float) -> None:
    # Airflow's scheduler enforces its timeout a minute after ours, for the case that no triggerer is running.
    deadline = deferred.trigger.serialize()[1]["spec"]["deadline"]
    if deadline is None:
        assert deferred.timeout is None
    else:
        assert deferred.timeout.total_seconds() == pytest.approx(max(0.0, deadline - now) + 60.0, abs=10.0)
    assert not deferred.kwargs


def resumed(task: BaseOperator, event: Any) -> Any:
    """Resume a task with an event, as after a deferral."""
    instance = FakeTaskInstance()
    process: Any = task
    return process.resume_execution("execute_complete", {"event": event}, {"ti": instance, "task_instance": instance})


def rebuilt(trigger: BaseTrigger) -> Any:
    """Create a trigger from what a triggerer gets: the path of a class, and JSON."""
    path, kwargs = trigger.serialize()
    return import_string(path)(**through_json(kwargs))


@dataclass
class EndOfTask:
    """An event that ends the task in the triggerer."""

    state: str
    xcoms: dict[str, Any]


def event_of(trigger: BaseTrigger) -> Any:
    """Run a trigger as a triggerer does, and return its event."""

    async def first() -> Any:
        async for event in rebuilt(trigger).run():
            return event
        return None

    with separate_process():
        event = asyncio.run(first())
    if hasattr(event, "task_instance_state"):
        return EndOfTask(str(event.task_instance_state), through_json(event.xcoms))
    return through_json(event.payload)


@contextmanager
def separate_process() -> Iterator[None]:
    """Share no token, request budget or refusal with earlier parts, which ran in another process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_state, "_states", WeakValueDictionary())
        yield


def through_json(value: Any) -> Any:
    """Write a value as strict JSON and read it back."""
    return json.loads(json.dumps(value, allow_nan=False))


@contextmanager
def outside_of_task_runner(instance: FakeTaskInstance) -> Iterator[None]:
    """Allow calls of ``execute``, and stop Airflow 2.11 from reading the first poke from the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutorSafeguard, "test_mode", True)
        sensors = sys.modules[BaseSensorOperator.__module__]
        patch.setattr(sensors, "_orig_start_date", lambda **_: instance.start_date, raising=False)
        yield
