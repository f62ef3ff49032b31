"""A task whose worker is lost at a chosen moment, again and again, and what must hold whatever comes in between."""

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

from .single_task import FakeStore, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from airflow_provider_itwin.api.http.messages import NoResponse, Request
    from itwin_emulator import Emulator

    from .fake_clock import FakeClock

MOMENTS = (
    "before the first look",
    "before the intent is kept",
    "before the request",
    "request under way",
    "before the answer",
    "before the run is kept",
    "before the run is told",
    "after the run is told",
    "during the wait",
    "before the outcome is dropped",
    "after the outcome is dropped",
    "before the end is told",
)
"""At which a worker can be lost, in their order; `request under way` is one that arrives only later."""

BETWEEN = ("nothing", "the run ends", "somebody starts a run", "somebody's run ends", "another connection runs")
"""What can happen between the loss and the next try."""

BEFORE = ("free", "ran before", "runs already", "another connection runs")
"""How the iModel can stand when the task is run for the first time."""

TROUBLES = ("none", "answer lost", "request lost", "answer lost and a short run")
"""What can befall the request for a run on its way."""

IN_DOUBT = MOMENTS[2:6]
"""Moments from which a later try cannot tell whether the request has started a run."""

LONG_AFTER = 4000.0
_numbers = itertools.count(1)


class WorkerLostError(BaseException):
    """The worker is gone; no Python code of it runs any more."""


@dataclass(frozen=True)
class Loss:
    """
    A try that is lost.

    :param moment: one of `MOMENTS`
    :param between: one of `BETWEEN`
    :param then: whether Airflow retries the task, or somebody clears it
    """

    moment: str
    between: str = "nothing"
    then: Literal["retry", "clear"] = "retry"


@dataclass(frozen=True)
class CrashPlan:
    """
    What happens to a task: its tries are lost one after the other, but for the last.

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
class _Try:
    """What one try has done; `life` counts the clears before it."""

    life: int
    began: float
    created: list[str] = field(default_factory=list)
    in_doubt: bool = False
    consumed: bool = False


class CrashSimulation:
    """
    Plays plots with the real operator, the real clients and the emulator, in time that leaps.

    :param run: runs one try, see :class:`~.single_task.Runner`
    """

    def __init__(
        self,
        emulator: Emulator,
        clock: FakeClock,
        run: Callable[..., Outcome],
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.emulator, self.clock, self._run = emulator, clock, run
        self._play: _TaskRun | None = None
        self._watch(patch)

    def play(self, plot: CrashPlan) -> None:
        """Scenario one plot, and check what must hold; an ``AssertionError`` says what did not, and in which plot."""
        self.emulator.heal()
        self._play = _TaskRun(self, plot)
        try:
            self._play.go()
        except AssertionError as error:
            raise AssertionError(f"{plot}: {error}") from error
        finally:
            self._play = None

    def run_try(self, *arguments: Any, **named: Any) -> Outcome:
        """Run one try of a task."""
        return self._run(*arguments, **named)

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        """Stand beside each step of a task."""
        from airflow_provider_itwin.api import client

        made: Any = client.ITwinClient
        real_send, real_keep, real_forget = made.func._send, task_state.Store.keep, task_state.Store.forget

        def send(this: Any, request: Request) -> Response | NoResponse:
            play = self._play
            assert play is not None
            return play.sent(request, lambda: real_send(this, request))

        def keep(this: task_state.Store, known: task_state.TaskState) -> None:
            play = self._play
            assert play is not None
            play.at("before the intent is kept" if known.own is None else "before the run is kept")
            real_keep(this, known)
            play.at("before the request" if known.own is None else "before the run is told")

        def forget(this: task_state.Store) -> None:
            play = self._play
            assert play is not None
            play.at("before the outcome is dropped")
            real_forget(this)
            play.tries[-1].consumed = True
            play.at("after the outcome is dropped")

        patch.setattr(made.func, "_send", send)
        patch.setattr(task_state.Store, "keep", keep)
        patch.setattr(task_state.Store, "forget", forget)


class _TaskRun:
    """One plot being played."""

    def __init__(self, theatre: CrashSimulation, plot: CrashPlan) -> None:
        number = next(_numbers)
        self.plot = plot
        self.emulator, self.clock, self._run_try = theatre.emulator, theatre.clock, theatre.run_try
        self.night, self.rival = f"night-{number}", f"rival-{number}"
        self.store = FakeStore() if plot.stored else None
        self.tries: list[_Try] = []
        self.strangers: dict[str, float] = {}
        self._moment: str | None = None
        self._under_way: _Try | None = None
        imodel = f"imodel-{number}"
        duration = 0.3 if plot.failure == "answer lost and a short run" else 600.0
        for connection_id in (self.night, self.rival):
            kind = plot.kind if connection_id == self.night else "storage"
            self.emulator.add_connection(kind, connection_id, imodel, files=["Tower.dgn"])
            self.emulator.plan_run(connection_id, "Success", duration if connection_id == self.night else 600.0)

    def go(self) -> None:
        self._prepare()
        life = 0
        for loss in self.plot.losses:
            outcome = self._try(life, loss.moment)
            if outcome is not None:
                # The moment did not come: the task ended before it.
                self._check_end(outcome)
                return
            self._pass_time(loss.between)
            life += loss.then == "clear"
        outcome = self._try(life, None)
        assert outcome is not None
        self._check_end(outcome)

    def at(self, moment: str) -> None:
        """Lose the worker, if this is the moment."""
        if moment == self._moment:
            self._moment = None
            raise WorkerLostError

    def sent(self, request: Request, send: Callable[[], Response | NoResponse]) -> Response | NoResponse:
        if request.method != "POST" or request.url.endswith("/connect/token"):
            if request.url.endswith(f"/{self.night}"):
                self.at("before the first look")
            return send()
        self._arrive()
        if self._moment == "request under way":
            self._under_way = self.tries[-1]
            self.at("request under way")
        known = self._runs()
        response = send()
        self.tries[-1].created += [run for run in self._runs() if run not in known]
        if not isinstance(response, Response):
            self.tries[-1].in_doubt = True
        self.at("before the answer")
        return response

    def _runs(self) -> dict[str, float]:
        with self.emulator.platform.lock:
            return {run.id: run.started for run in self.emulator.platform.connections[self.night].runs}

    def _arrive(self) -> None:
        """Let a request that was under way when its worker was lost reach the service."""
        asked, self._under_way = self._under_way, None
        if asked is not None:
            known = self._runs()
            self.emulator.start_run(self.night)
            asked.created += [run for run in self._runs() if run not in known]

    def _start_stranger(self) -> None:
        run = self.emulator.start_run(self.night)
        if all(run not in one.created for one in self.tries):
            self.strangers[run] = self.clock.now()

    def _prepare(self) -> None:
        match self.plot.before:
            case "ran before":
                self._start_stranger()
                self.clock.sleep(LONG_AFTER)
            case "runs already":
                self._start_stranger()
            case "another connection runs":
                self.emulator.start_run(self.rival)
        self.clock.sleep(0.0 if self.plot.failure == "answer lost and a short run" else 60.0)
        kind = {
            "answer lost": "reset-after",
            "answer lost and a short run": "reset-after",
            "request lost": "reset-before",
        }
        if self.plot.failure in kind:
            operation = "run-storage-connection" if self.plot.kind == "storage" else "create-export-connection-run"
            self.emulator.fail(operation, kind=kind[self.plot.failure], connection_id=self.night)  # type: ignore[arg-type]

    def _pass_time(self, between: str) -> None:
        match between:
            case "nothing":
                self.clock.sleep(30)
                return
            case "the run ends":
                self._arrive()
            case "somebody starts a run":
                self.clock.sleep(LONG_AFTER)
                self._start_stranger()
                self.clock.sleep(60)
                return
            case "somebody's run ends":
                self.clock.sleep(LONG_AFTER)
                self._start_stranger()
            case "another connection runs":
                self.clock.sleep(LONG_AFTER)
                self.emulator.start_run(self.rival)
                self.clock.sleep(60)
                return
        self.clock.sleep(LONG_AFTER)

    def _try(self, life: int, moment: str | None) -> Outcome | None:
        """Run one try; None if its worker was lost."""
        self.tries.append(_Try(life, self.clock.now()))
        self._moment = moment
        while_waiting = moment == "during the wait"
        arguments: dict[str, Any] = {
            "task_id": "synchronize",
            "connection_id": self.night,
            "if_active": self.plot.if_active,
            "wait_for_completion": True,
            "deferrable": self.plot.deferrable,
            "poll_interval": 250.0,
        }
        task: Any
        if self.plot.kind == "storage":
            task = ITwinRunStorageConnectionOperator(**arguments)
        else:
            task = ITwinRunExportConnectionOperator(body={"exportType": "IFC"}, **arguments)
        if while_waiting and not self.plot.deferrable:
            self.clock.at(0, lambda: self.at("during the wait"))
        try:
            outcome = self._run_try(
                task,
                store=self.store,
                max_tries=life,
                dag_clears=life,
                resume=not while_waiting,
                on_push=lambda key: self.at("after the run is told") if key == "run_ref" else None,
            )
        except WorkerLostError:
            self.tries[-1].in_doubt |= moment in IN_DOUBT
            self._check()
            return None
        is_lost = outcome.state == "success" and self._moment == "before the end is told"
        self._moment = None
        self._check()
        if is_lost:
            return None
        if outcome.state != "deferred":
            return outcome
        assert outcome.triggers[-1].queued or outcome.pushed_without_links == ["run_ref"], (
            "the run is told before it is waited for"
        )
        return None

    def _check(self) -> None:
        """Check what must hold after every try."""
        tries = self.tries
        assert len(tries[-1].created) <= 1, f"one try has started {len(tries[-1].created)} runs"
        if self.store is None:
            return
        life = [one for one in tries if one.life == tries[-1].life]
        started = sum(len(one.created) for one in life)
        assert started <= 1 + sum(one.consumed for one in life[:-1]), f"{started} runs where one was wanted"

    def _check_end(self, outcome: Outcome) -> None:
        """Check what must hold of a task that has ended."""
        if self.store is not None and outcome.state != "success":
            assert self.store.rows == {}, "what is kept is dropped when no run came of it"
        if outcome.state != "success":
            assert self.plot.if_active in ("fail", "skip"), f"{outcome.state}: {outcome.text}"
            assert outcome.state == "skipped" or isinstance(outcome.error, ITwinRunActiveError), outcome.text
            assert not self.tries[-1].created
            return
        if self.store is not None:
            kept = self.store.rows["itwin_run"]["own"]["run_id"]
            assert kept == outcome.value, "what is kept outlives the end, for a retry after a loss in that moment"
        assert outcome.pushed[0] == "run_ref", "the run is told before it is waited for"
        assert outcome.xcoms["run_ref"]["connection_id"] == self.night
        assert outcome.xcoms["run_ref"]["run_id"] == outcome.value
        assert outcome.xcoms["run_report"]["ref"]["run_id"] == outcome.value
        if self.plot.if_active != "attach":
            self._check_freshness(outcome.value)
        self._check_owner(outcome.value)

    def _check_freshness(self, run: str) -> None:
        last = self.tries[-1]
        if self.store is not None:
            last = next(one for one in self.tries if one.life == last.life)
        assert self._runs()[run] >= last.began - 1.0, "the run began before the task asked for one"

    def _check_owner(self, run: str) -> None:
        """Whose run it is matters where runs are told what to do: another's does something else."""
        if run not in self.strangers or self.plot.kind == "storage" or self.plot.if_active == "attach":
            return
        life = [one for one in self.tries if one.life == self.tries[-1].life]
        excuse = self.store is not None and any(one.in_doubt and one.began < self.strangers[run] for one in life)
        assert excuse, "the run is another's"
