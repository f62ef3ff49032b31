"""What a task needs around it: workers that can be lost, a triggerer that can be restarted, and eyes on every request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_itwin.operators.base
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

LOSSES = ("before the request", "before the answer", "before the run is kept", "before the run is told")
"""Moments at which a worker can be lost; those of the wait are the triggerer's."""


class WorkerLostError(BaseException):
    """The worker is gone; no Python code of it runs any more."""


class SimulatedAirflow:
    """
    Runs the parts of tasks.

    :param on_start: is told each request for a run that is about to be sent, and gives what is to be told when it was
    """

    def __init__(
        self, clock: SimulatedClock, loop: SimulatedLoop, on_start: Callable[[str], Callable[[], None]]
    ) -> None:
        self._clock, self._loop, self._on_start = clock, loop, on_start
        self._losing: str | None = None
        self._waiting: set[asyncio.Task[Any]] = set()
        self.requests = 0

    def work(self, task: Any, method: str, event: Any, context: dict[str, Any], losing: str | None) -> Any:
        """Run one part of a task on a worker, which is lost at the moment `losing` if that comes."""
        process = copy.copy(task)
        self._losing = losing
        try:
            if method == "execute":
                return process.execute(context)
            return process.resume_execution(method, {"event": event}, context)
        finally:
            self._losing = None
            # With the process ends whatever it had open.
            hook = vars(process).get("hook")
            if hook is not None and "_client" in vars(hook):
                hook.get_conn().close()

    async def fire(self, trigger: Any) -> Any:
        """Let the triggerer run a trigger until it fires, and give its event; a restart begins it anew."""
        while True:
            waiting = asyncio.create_task(_first_event(rebuilt(trigger)))
            self._waiting.add(waiting)
            await asyncio.wait({waiting})
            self._waiting.discard(waiting)
            if not waiting.cancelled():
                return waiting.result()

    def restart_triggerer(self) -> int:
        """End all triggers, as a triggerer that is restarted does, and give their number."""
        waiting = [one for one in self._waiting if not one.done()]
        for one in waiting:
            one.cancel()
        return len(waiting)

    def _at(self, moment: str) -> None:
        if moment == self._losing:
            self._losing = None
            raise WorkerLostError

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Give everybody the same time, and stand beside each request."""
        clock = self._clock
        shim: Any = SimpleNamespace(time=clock.now, monotonic=clock.monotonic, sleep=clock.sleep)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ExecutorSafeguard, "test_mode", True)
            patch.setattr(settings, "Account", partial(Account, clock=clock.monotonic, wall=clock.now))
            patch.setattr(airflow_provider_itwin.operators.base, "time", shim)
            patch.setattr(client, "ITwinClient", self._watched_client())
            patch.setattr(client_pool, "AsyncITwinClient", self._watched_async_client())
            self._watch_store(patch)
            yield

    def _watched_client(self) -> Any:
        shop = self

        class WatchedClient(client.ITwinClient):
            """Can lose its worker."""

            def _send(self, request: Any) -> Any:
                shop.requests += 1
                if request.method != "POST" or request.url.endswith("/connect/token"):
                    return super()._send(request)
                shop._at("before the request")
                done = shop._on_start(request.url)
                outcome = super()._send(request)
                done()
                shop._at("before the answer")
                return outcome

        return partial(WatchedClient, sleep=self._clock.sleep)

    def _watched_async_client(self) -> Any:
        shop, loop = self, self._loop

        class WatchedAsyncClient(async_client.AsyncITwinClient):
            """Lets no time pass while an answer is under way."""

            async def _send(self, request: Any) -> Any:
                shop.requests += 1
                loop.send_begins()
                try:
                    return await super()._send(request)
                finally:
                    loop.send_ends()

        return WatchedAsyncClient

    def _watch_store(self, patch: pytest.MonkeyPatch) -> None:
        real_keep = task_state.Store.keep

        def keep(store: task_state.Store, known: task_state.TaskState) -> None:
            if known.own is not None:
                self._at("before the run is kept")
            real_keep(store, known)
            if known.own is not None:
                self._at("before the run is told")

        patch.setattr(task_state.Store, "keep", keep)


async def _first_event(trigger: Any) -> Any:
    async with contextlib.aclosing(trigger.run()) as events:
        async for event in events:
            return through_json(event.payload)
    return None
