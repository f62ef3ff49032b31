"""A task that loses its worker at chosen points, and the invariants that must hold whatever happens in between."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.exceptions import ITwinRunActiveError
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.utils import task_state
from tests.airflow.single_task import FakeStore, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from airflow_provider_itwin.api.http.messages import NoResponse, Request
    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

POINTS = (
    "before the first poll",
    "before the intent is stored",
    "before the request",
    "request in flight",
    "before the response",
    "before the run is stored",
    "before the run ref is published",
    "after the run ref is published",
    "during the wait",
    "before the state is deleted",
    "after the state is deleted",
    "before the end is reported",
)
"""Points at which a worker can be lost, in order; a `request in flight` arrives after the loss."""

BETWEEN = ("nothing", "the run ends", "a foreign run starts", "a foreign run ends", "another connection runs")
"""What can happen between the loss and the next attempt."""

BEFORE = ("free", "ran before", "runs already", "another connection runs")
"""State of the iModel before the first attempt."""

FAULTS = ("none", "response lost", "request lost", "response lost and a short run")
"""Faults of the start request."""

IN_DOUBT = POINTS[2:6]
"""Points after which a later attempt cannot know whether the request has started a run."""

LONG_AFTER = 4000.0
_numbers = itertools.count(1)


class WorkerLostError(BaseException):
    """The worker is lost; none of its code may run any more."""


@dataclass(frozen=True)
class Loss:
    """
    An attempt that is lost.

    :param point: one of `POINTS`
    :param between: one of `BETWEEN`
    :param then: whether Airflow retries the task, or a user clears it
    """

    point: str
    between: str = "nothing"
    then: Literal["retry", "clear"] = "retry"


@dataclass(frozen=True)
class CrashPlan:
    """
    What happens to a task: all its attempts except the last are lost.

    :param stored: whether its Airflow has a task state store
    """

    losses: tuple[Loss, ...] = ()
    kind: Literal["storage", "export"] = "storage"
    if_active: str = "queue"
    deferrable: bool = False
    stored: bool = True
    before: str = "free"
    failure: str = "none"


@dataclass
class _Attempt:
    """What one attempt has done; `clears` counts the clears before it."""

    clears: int
    began: float
    started: list[str] = field(default_factory=list)
    in_doubt: bool = False
    consumed: bool = False


class CrashSimulation:
    """
    Runs plans with the real operator, the real clients and the emulator, in simulated time.

    :param run: runs one attempt, see :class:`~.single_task.Runner`
    """

    def __init__(
        self,
        emulator: Emulator,
        clock: FakeClock,
        run: Callable[..., Outcome],
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.emulator, self.clock, self.run_attempt = emulator, clock, run
        self._task_run: _TaskRun | None = None
        self._intercept(patch)

    def run(self, plan: CrashPlan) -> None:
        """Run one plan and check the invariants; an ``AssertionError`` names the plan and the violated invariant."""
        self.emulator.clear_faults()
        self._task_run = _TaskRun(self, plan)
        try:
            self._task_run.run()
        except AssertionError as error:
            raise AssertionError(f"{plan}: {error}") from error
        finally:
            self._task_run = None

    def _intercept(self, patch: pytest.MonkeyPatch) -> None:
        """Intercept each request, and each access to the task state store."""
        from airflow_provider_itwin.api import client

        factory: Any = client.ITwinClient
        real_send, real_save, real_clear = (
            factory.func._send,
            task_state.TaskStateStore.save,
            task_state.TaskStateStore.clear,
        )

        def send(this: Any, request: Request) -> Response | NoResponse:
            task_run = self._task_run
            assert task_run is not None
            return task_run.send(request, lambda: real_send(this, request))

        def save(this: task_state.TaskStateStore[task_state.TaskState], state: task_state.TaskState) -> None:
            task_run = self._task_run
            assert task_run is not None
            task_run.at("before the intent is stored" if state.own is None else "before the run is stored")
            real_save(this, state)
            task_run.at("before the request" if state.own is None else "before the run ref is published")

        def clear(this: task_state.TaskStateStore[task_state.TaskState]) -> None:
            task_run = self._task_run
            assert task_run is not None
            task_run.at("before the state is deleted")
            real_clear(this)
            task_run.attempts[-1].consumed = True
            task_run.at("after the state is deleted")

        patch.setattr(factory.func, "_send", send)
        patch.setattr(task_state.TaskStateStore, "save", save)
        patch.setattr(task_state.TaskStateStore, "clear", clear)


class _TaskRun:
    """The execution of one plan."""

    def __init__(self, simulation: CrashSimulation, plan: CrashPlan) -> None:
        number = next(_numbers)
        self.plan = plan
        self.emulator, self.clock, self._run_attempt = simulation.emulator, simulation.clock, simulation.run_attempt
        self.night, self.rival = f"night-{number}", f"rival-{number}"
        self.store = FakeStore() if plan.stored else None
        self.attempts: list[_Attempt] = []
        self.foreign: dict[str, float] = {}
        self._point: str | None = None
        self._in_flight: _Attempt | None = None
        imodel = f"imodel-{number}"
        duration = 0.3 if plan.failure == "response lost and a short run" else 600.0
        for connection_id in (self.night, self.rival):
            kind = plan.kind if connection_id == self.night else "storage"
            self.emulator.add_connection(kind, connection_id, imodel, files=["Tower.dgn"])
            self.emulator.plan_run(connection_id, "Success", duration if connection_id == self.night else 600.0)

    def run(self) -> None:
        self._prepare()
        clears = 0
        for loss in self.plan.losses:
            outcome = self._attempt(clears, loss.point)
            if outcome is not None:
                # The task ended before this point.
                self._check_end(outcome)
                return
            self._pass_time(loss.between)
            clears += loss.then == "clear"
        outcome = self._attempt(clears, None)
        assert outcome is not None
        self._check_end(outcome)

    def at(self, point: str) -> None:
        """Lose the worker if this is the chosen point."""
        if point == self._point:
            self._point = None
            raise WorkerLostError

    def send(self, request: Request, real_send: Callable[[], Response | NoResponse]) -> Response | NoResponse:
        if request.method != "POST" or request.url.endswith("/connect/token"):
            if request.url.endswith(f"/{self.night}"):
                self.at("before the first poll")
            return real_send()
        self._arrive()
        if self._point == "request in flight":
            self._in_flight = self.attempts[-1]
            self.at("request in flight")
        known = self._runs()
        response = real_send()
        self.attempts[-1].started += [run for run in self._runs() if run not in known]
        if not isinstance(response, Response):
            self.attempts[-1].in_doubt = True
        self.at("before the response")
        return response

    def _runs(self) -> dict[str, float]:
        with self.emulator.store.lock:
            return {run.id: run.started for run in self.emulator.store.connections[self.night].runs}

    def _arrive(self) -> None:
        """Let the request that was in flight when its worker was lost reach the service."""
        sender, self._in_flight = self._in_flight, None
        if sender is not None:
            known = self._runs()
            self.emulator.start_run(self.night)
            sender.started += [run for run in self._runs() if run not in known]

    def _start_foreign_run(self) -> None:
        run = self.emulator.start_run(self.night)
        if all(run not in one.started for one in self.attempts):
            self.foreign[run] = self.clock.now()

    def _prepare(self) -> None:
        match self.plan.before:
            case "ran before":
                self._start_foreign_run()
                self.clock.sleep(LONG_AFTER)
            case "runs already":
                self._start_foreign_run()
            case "another connection runs":
                self.emulator.start_run(self.rival)
        self.clock.sleep(0.0 if self.plan.failure == "response lost and a short run" else 60.0)
        kind = {
            "response lost": "reset-after",
            "response lost and a short run": "reset-after",
            "request lost": "reset-before",
        }
        if self.plan.failure in kind:
            operation = "run-storage-connection" if self.plan.kind == "storage" else "create-export-connection-run"
            self.emulator.fail(operation, kind=kind[self.plan.failure], connection_id=self.night)  # type: ignore[arg-type]

    def _pass_time(self, between: str) -> None:
        match between:
            case "nothing":
                self.clock.sleep(30)
                return
            case "the run ends":
                self._arrive()
            case "a foreign run starts":
                self.clock.sleep(LONG_AFTER)
                self._start_foreign_run()
                self.clock.sleep(60)
                return
            case "a foreign run ends":
                self.clock.sleep(LONG_AFTER)
                self._start_foreign_run()
            case "another connection runs":
                self.clock.sleep(LONG_AFTER)
                self.emulator.start_run(self.rival)
                self.clock.sleep(60)
                return
        self.clock.sleep(LONG_AFTER)

    def _attempt(self, clears: int, point: str | None) -> Outcome | None:
        """Run one attempt; return None if its worker was lost."""
        self.attempts.append(_Attempt(clears, self.clock.now()))
        self._point = point
        while_waiting = point == "during the wait"
        arguments: dict[str, Any] = {
            "task_id": "synchronize",
            "connection_id": self.night,
            "if_active": self.plan.if_active,
            "wait_for_completion": True,
            "deferrable": self.plan.deferrable,
            "poll_interval": 250.0,
        }
        task: Any
        if self.plan.kind == "storage":
            task = ITwinRunStorageConnectionOperator(**arguments)
        else:
            task = ITwinRunExportConnectionOperator(body={"exportType": "IFC"}, **arguments)
        if while_waiting and not self.plan.deferrable:
            self.clock.at(0, lambda: self.at("during the wait"))
        try:
            outcome = self._run_attempt(
                task,
                store=self.store,
                max_tries=clears,
                dag_clears=clears,
                resume=not while_waiting,
                on_push=lambda key: self.at("after the run ref is published") if key == "run_ref" else None,
            )
        except WorkerLostError:
            self.attempts[-1].in_doubt |= point in IN_DOUBT
            self._check()
            return None
        is_lost = outcome.state == "success" and self._point == "before the end is reported"
        self._point = None
        self._check()
        if is_lost:
            return None
        if outcome.state != "deferred":
            return outcome
        assert outcome.triggers[-1].spec.queued or outcome.pushed_without_links == ["run_ref"], (
            "the run ref is published before the wait"
        )
        return None

    def _check(self) -> None:
        """Check what must hold after every attempt."""
        attempts = self.attempts
        assert len(attempts[-1].started) <= 1, f"one attempt has started {len(attempts[-1].started)} runs"
        if self.store is None:
            return
        since_clear = [one for one in attempts if one.clears == attempts[-1].clears]
        started = sum(len(one.started) for one in since_clear)
        assert started <= 1 + sum(one.consumed for one in since_clear[:-1]), f"{started} runs instead of one"

    def _check_end(self, outcome: Outcome) -> None:
        """Check what must hold after the end of the task."""
        if self.store is not None and outcome.state != "success":
            assert self.store.rows == {}, "without a run, the stored state is deleted"
        if outcome.state != "success":
            assert self.plan.if_active in ("fail", "skip"), f"{outcome.state}: {outcome.text}"
            assert outcome.state == "skipped" or isinstance(outcome.error, ITwinRunActiveError), outcome.text
            assert not self.attempts[-1].started
            return
        if self.store is not None:
            stored = self.store.rows["itwin_run"]["own"]["run_id"]
            assert stored == outcome.value, "the state is kept after the end, for a retry if the worker is lost then"
        assert outcome.pushed[0] == "run_ref", "the run ref is published before the wait"
        assert outcome.xcoms["run_ref"]["connection_id"] == self.night
        assert outcome.xcoms["run_ref"]["run_id"] == outcome.value
        assert outcome.xcoms["run_report"]["ref"]["run_id"] == outcome.value
        if self.plan.if_active != "attach":
            self._check_freshness(outcome.value)
        self._check_owner(outcome.value)

    def _check_freshness(self, run: str) -> None:
        last = self.attempts[-1]
        if self.store is not None:
            last = next(one for one in self.attempts if one.clears == last.clears)
        assert self._runs()[run] >= last.began - 1.0, "the run began after the first start request of the task"

    def _check_owner(self, run: str) -> None:
        """Check that a run with a body is not a foreign run, which would have another body."""
        if run not in self.foreign or self.plan.kind == "storage" or self.plan.if_active == "attach":
            return
        since_clear = [one for one in self.attempts if one.clears == self.attempts[-1].clears]
        may_adopt = self.store is not None and any(
            one.in_doubt and one.began < self.foreign[run] for one in since_clear
        )
        assert may_adopt, "the run is a foreign run"
