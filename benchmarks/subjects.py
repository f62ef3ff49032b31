"""
The measured subjects: our trigger, a hand-written loop, and the triggers of other providers.

Each subject starts one wait at a time, and reports when a wait ends and whether its result was correct.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.bodies import finish_of, run_name
from benchmarks.certificate import HOST

if TYPE_CHECKING:
    import aiohttp
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_itwin.api.http.config import Account

OnEnd = Callable[[int, bool], None]
"""Receives the number of a finished wait, and whether its result was correct."""


class Subject(ABC):
    """
    One way of waiting.

    :param port: port of the server
    :param certificate: path of its certificate
    :param interval: seconds between two polls; None: our default schedule
    :param on_end: called for each finished wait
    """

    def __init__(self, port: int, certificate: str, interval: float | None, on_end: OnEnd) -> None:
        self.port = port
        self.certificate = certificate
        self.interval = interval
        self.on_end = on_end
        self.lookups = 0

    @abstractmethod
    def start(self, number: int, finish: float) -> None:
        """Start waiting for a run that ends at `finish` on the monotonic clock."""

    async def close(self) -> None:
        """Release resources shared by the waits."""
        return

    @property
    def failures(self) -> list[str]:
        """Errors of waits that did not finish."""
        return []


class Triggers(Subject):
    """A subject that is a trigger."""

    def __init__(self, port: int, certificate: str, interval: float | None, on_end: OnEnd) -> None:
        from benchmarks.triggerer import Triggerer

        super().__init__(port, certificate, interval, on_end)
        self._triggerer = Triggerer(lambda number, _, payload: on_end(number, self.is_right(payload)))

    def start(self, number: int, finish: float) -> None:
        """Start a trigger."""
        self._triggerer.start(number, self.trigger(run_name(finish, number)))

    @property
    def failures(self) -> list[str]:
        """Errors raised by triggers."""
        return self._triggerer.failures

    @abstractmethod
    def trigger(self, run: str) -> BaseTrigger:
        """Return a trigger that waits for a run."""

    @abstractmethod
    def is_right(self, payload: Any) -> bool:
        """Return whether an event reports a successful run."""


class Ours(Triggers):
    """The trigger of this package."""

    def __init__(self, port: int, certificate: str, interval: float | None, on_end: OnEnd) -> None:
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        super().__init__(port, certificate, interval, on_end)
        usual = ITwinHook._read_account

        async def counted(hook: ITwinHook) -> Account:
            self.lookups += 1
            return await usual(hook)

        ITwinHook._read_account = counted  # type: ignore[method-assign, assignment]

    def trigger(self, run: str) -> BaseTrigger:
        """Return an ``ITwinRunTrigger``."""
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        return ITwinRunTrigger(
            "itwin_bench",
            {
                "kind": "storage",
                "connection_id": "bench",
                "run_id": run,
                "poll_interval": self.interval,
                "began": time.time(),
            },
        )

    def is_right(self, payload: Any) -> bool:
        """Return whether the wait ended with a finished run."""
        return bool(payload["end"] == "finished" and payload["report"]["result"] == "Success")


class OursWithoutPortal(Ours):
    """The same in a triggerer with Airflow's portal disabled."""

    def __init__(self, port: int, certificate: str, interval: float | None, on_end: OnEnd) -> None:
        os.environ["AIRFLOW_DISABLE_GREENBACK_PORTAL"] = "true"
        super().__init__(port, certificate, interval, on_end)


class DbtCloud(Triggers):
    """``apache-airflow-providers-dbt-cloud``."""

    def trigger(self, run: str) -> BaseTrigger:
        """Return a ``DbtCloudRunJobTrigger``."""
        module = import_module("airflow.providers.dbt.cloud.triggers.dbt")
        made: BaseTrigger = module.DbtCloudRunJobTrigger("dbt_bench", int(run), time.time() + 86400.0, self.interval, 1)
        return made

    def is_right(self, payload: Any) -> bool:
        """Return whether the event reports a successful job."""
        return bool(payload["status"] == "success")


class Databricks(Triggers):
    """``apache-airflow-providers-databricks``."""

    def trigger(self, run: str) -> BaseTrigger:
        """Return a ``DatabricksExecutionTrigger``."""
        module = import_module("airflow.providers.databricks.triggers.databricks")
        made: BaseTrigger = module.DatabricksExecutionTrigger(int(run), "databricks_bench", self.interval)
        return made

    def is_right(self, payload: Any) -> bool:
        """Return whether the event reports a successful run."""
        return '"SUCCESS"' in payload["run_state"]


class Idle(Triggers):
    """Triggers that send no requests: the cost of Airflow itself."""

    def trigger(self, run: str) -> BaseTrigger:
        """Return a trigger that sleeps until the end of the run."""
        from benchmarks.triggerer import Sleeper

        return Sleeper(finish_of(run))

    def is_right(self, payload: Any) -> bool:
        """Return whether the trigger fired."""
        return bool(payload["woken"])


class _RunSummary(msgspec.Struct):
    state: str | None = None
    result: str | None = None


class _RunResponse(msgspec.Struct):
    run: _RunSummary


class _TokenResponse(msgspec.Struct):
    access_token: str


class Floor(Subject):
    """
    A minimal hand-written loop: one coroutine per wait, over one session with one token.

    It polls at the same times as our trigger, decodes state and result, and does nothing else: no retries, no rate limits, no
    deadlines, no Airflow.
    """

    tick: float | None = None
    """Poll times are rounded up to multiples of this; None: the tick of our poller."""

    def __init__(self, port: int, certificate: str, interval: float | None, on_end: OnEnd) -> None:
        from airflow_provider_itwin.api.wait.poller import TICK
        from airflow_provider_itwin.api.wait.schedule import PollSchedule

        super().__init__(port, certificate, interval, on_end)
        self._schedule = PollSchedule(interval)
        self._tick = self.tick or TICK
        self._decoder = msgspec.json.Decoder(_RunResponse)
        self._opening: asyncio.Task[tuple[aiohttp.ClientSession, dict[str, str]]] | None = None
        self._waits: set[asyncio.Task[None]] = set()
        self._failures: list[str] = []

    @property
    def failures(self) -> list[str]:
        """Errors raised by waits."""
        return self._failures

    def start(self, number: int, finish: float) -> None:
        """Start a coroutine."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        wait = asyncio.create_task(self._wait(number, run_name(finish, number)))
        self._waits.add(wait)
        wait.add_done_callback(self._finished)

    def _finished(self, wait: asyncio.Task[None]) -> None:
        self._waits.discard(wait)
        if not wait.cancelled() and (error := wait.exception()) is not None:
            self._failures.append(f"{type(error).__name__}: {error}")

    async def _open(self) -> tuple[aiohttp.ClientSession, dict[str, str]]:
        import aiohttp

        tls = ssl.create_default_context(cafile=self.certificate)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20, ssl=tls))
        async with session.post(f"https://{HOST}:{self.port}/connect/token", data={"grant_type": "x"}) as response:
            token = msgspec.json.decode(await response.read(), type=_TokenResponse).access_token
        return session, {"authorization": f"Bearer {token}"}

    async def _wait(self, number: int, run: str) -> None:
        assert self._opening is not None  # noqa: S101 (see start)
        began = time.monotonic()
        url = f"https://{HOST}:{self.port}/synchronization/imodels/storageconnections/bench/runs/{run}"
        session, headers = await asyncio.shield(self._opening)
        while True:
            summary = await self._ask(session, url, headers)
            if summary.state == "Completed":
                break
            now = time.monotonic()
            due = now + self._schedule.next_pause(now - began, random.random())  # noqa: S311 (no secret)
            # Our poller starts polls a few times per second; here the timers of one such tick fire together.
            await asyncio.sleep(math.ceil(due / self._tick) * self._tick - now)
        self.on_end(number, summary.result == "Success")

    async def _ask(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> _RunSummary:
        async with session.get(url, headers=headers) as response:
            return self._decoder.decode(await response.read()).run

    async def close(self) -> None:
        """Close the session."""
        if self._opening is not None:
            session, _ = await self._opening
            await session.close()
            self._opening = None


class NaiveFloor(Floor):
    """The same without common ticks: each coroutine polls at its own time, and rarely shares a wake-up."""

    tick = 1e-6


SUBJECTS: dict[str, type[Subject]] = {
    "ours": Ours,
    "without portal": OursWithoutPortal,
    "floor": Floor,
    "naive": NaiveFloor,
    "dbt-cloud": DbtCloud,
    "databricks": Databricks,
    "idle": Idle,
}
