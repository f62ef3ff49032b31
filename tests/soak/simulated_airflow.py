"""A simulated Airflow: workers that can be lost, a triggerer that can be restarted, and a hook for every start request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_itwin.operators.base
import airflow_provider_itwin.waiting_task
from airflow_provider_itwin.api import (
    async_client,
    client,
    client_pool,
)
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.hooks import settings
from airflow_provider_itwin.utils import task_state
from tests.airflow.single_task import ExecutorSafeguard, rebuilt, through_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .simulated_time import SimulatedClock, SimulatedLoop

LOSSES = ("before the request", "before the response", "before the run is stored", "before the run ref is published")
"""Points at which a worker can be lost; during a wait it is the triggerer that can be lost."""


class WorkerLostError(BaseException):
    """The worker is lost; none of its code may run any more."""


class SimulatedAirflow:
    """
    Runs tasks on simulated workers and in a simulated triggerer.

    :param on_start: called with the URL before each start request; returns a function that is called after the response
    """

    def __init__(
        self, clock: SimulatedClock, loop: SimulatedLoop, on_start: Callable[[str], Callable[[], None]]
    ) -> None:
        self._clock, self._loop, self._on_start = clock, loop, on_start
        self._loss: str | None = None
        self._waiting: set[asyncio.Task[Any]] = set()
        self.requests = 0

    def work(self, task: Any, method: str, event: Any, context: dict[str, Any], loss: str | None) -> Any:
        """Run one part of a task on a worker, which is lost at the point `loss`."""
        process = copy.copy(task)
        self._loss = loss
        try:
            if method == "execute":
                return process.execute(context)
            return process.resume_execution(method, {"event": event}, context)
        finally:
            self._loss = None
            # The end of the process closes its connections.
            hook = vars(process).get("hook")
            if hook is not None and "_client" in vars(hook):
                hook.get_conn().close()

    async def fire(self, trigger: Any) -> Any:
        """Run a trigger until it fires, and return its event; a restart of the triggerer restarts the trigger."""
        while True:
            waiting = asyncio.create_task(_first_event(rebuilt(trigger)))
            self._waiting.add(waiting)
            await asyncio.wait({waiting})
            self._waiting.discard(waiting)
            if not waiting.cancelled():
                return waiting.result()

    def restart_triggerer(self) -> int:
        """Cancel all triggers, as the restart of a triggerer does; return their number."""
        waiting = [one for one in self._waiting if not one.done()]
        for one in waiting:
            one.cancel()
        return len(waiting)

    def _lose_at(self, point: str) -> None:
        if point == self._loss:
            self._loss = None
            raise WorkerLostError

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Use the simulated clock everywhere, and intercept each request and each write to the store."""
        clock = self._clock
        shim: Any = SimpleNamespace(time=clock.now, monotonic=clock.monotonic, sleep=clock.sleep)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ExecutorSafeguard, "test_mode", True)
            patch.setattr(settings, "Account", partial(Account, clock=clock.monotonic, wall=clock.now))
            patch.setattr(airflow_provider_itwin.operators.base, "time", shim)
            patch.setattr(airflow_provider_itwin.waiting_task, "time", shim)
            patch.setattr(client, "ITwinClient", self._intercepting_client())
            patch.setattr(client_pool, "AsyncITwinClient", self._intercepting_async_client())
            self._intercept_store(patch)
            yield

    def _intercepting_client(self) -> Any:
        airflow = self

        class InterceptingClient(client.ITwinClient):
            """Can lose its worker at a start request."""

            def _send(self, request: Any) -> Any:
                airflow.requests += 1
                if request.method != "POST" or request.url.endswith("/connect/token"):
                    return super()._send(request)
                airflow._lose_at("before the request")
                done = airflow._on_start(request.url)
                outcome = super()._send(request)
                done()
                airflow._lose_at("before the response")
                return outcome

        return partial(InterceptingClient, sleep=self._clock.sleep)

    def _intercepting_async_client(self) -> Any:
        airflow, loop = self, self._loop

        class InterceptingAsyncClient(async_client.AsyncITwinClient):
            """Stops the simulated time while a request is in flight."""

            async def _send(self, request: Any) -> Any:
                airflow.requests += 1
                loop.send_begins()
                try:
                    return await super()._send(request)
                finally:
                    loop.send_ends()

        return InterceptingAsyncClient

    def _intercept_store(self, patch: pytest.MonkeyPatch) -> None:
        real_save = task_state.TaskStateStore.save

        def save(store: task_state.TaskStateStore[task_state.TaskState], state: task_state.TaskState) -> None:
            if state.own is not None:
                self._lose_at("before the run is stored")
            real_save(store, state)
            if state.own is not None:
                self._lose_at("before the run ref is published")

        patch.setattr(task_state.TaskStateStore, "save", save)


async def _first_event(trigger: Any) -> Any:
    async with contextlib.aclosing(trigger.run()) as events:
        async for event in events:
            return through_json(event.payload)
    return None
