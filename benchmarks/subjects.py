"""
What is measured: our trigger, a hand-written loop, and the triggers of other providers.

Each subject starts one wait at a time, and tells when a wait has come to its end and whether that end was the right one.
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

Hear = Callable[[int, bool], None]
"""Is told the number of a wait that has ended, and whether its end was the right one."""


class Subject(ABC):
    """
    One way of waiting.

    :param port: of the server
    :param certificate: file of its certificate
    :param interval: seconds between two looks, None for the schedule that our trigger has by default
    :param hear: is told of each end
    """

    def __init__(self, port: int, certificate: str, interval: float | None, hear: Hear) -> None:
        self.port = port
        self.certificate = certificate
        self.interval = interval
        self.hear = hear
        self.lookups = 0

    @abstractmethod
    def start(self, number: int, finish: float) -> None:
        """Start waiting for a run that ends at `finish` on the monotonic clock."""

    async def close(self) -> None:
        """Give back what the waits have shared, if anything."""
        return

    @property
    def failures(self) -> list[str]:
        """What went wrong without an end."""
        return []


class Triggers(Subject):
    """A subject that is a trigger."""

    def __init__(self, port: int, certificate: str, interval: float | None, hear: Hear) -> None:
        from benchmarks.triggerer import Triggerer

        super().__init__(port, certificate, interval, hear)
        self._triggerer = Triggerer(lambda number, _, payload: hear(number, self.is_right(payload)))

    def start(self, number: int, finish: float) -> None:
        """Start a trigger."""
        self._triggerer.start(number, self.trigger(run_name(finish, number)))

    @property
    def failures(self) -> list[str]:
        """What triggers have raised."""
        return self._triggerer.failures

    @abstractmethod
    def trigger(self, run: str) -> BaseTrigger:
        """Make the trigger that waits for a run."""

    @abstractmethod
    def is_right(self, payload: Any) -> bool:
        """Tell whether an event says that the run has ended well."""


class Ours(Triggers):
    """The trigger of this package."""

    def __init__(self, port: int, certificate: str, interval: float | None, hear: Hear) -> None:
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        super().__init__(port, certificate, interval, hear)
        usual = ITwinHook._read_account

        async def counted(hook: ITwinHook) -> Account:
            self.lookups += 1
            return await usual(hook)

        ITwinHook._read_account = counted  # type: ignore[method-assign, assignment]

    def trigger(self, run: str) -> BaseTrigger:
        """Make an ``ITwinRunTrigger``."""
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        return ITwinRunTrigger("itwin_bench", "storage", "bench", run, self.interval, began=time.time())

    def is_right(self, payload: Any) -> bool:
        """Tell whether the wait ended with a finished run."""
        return bool(payload["end"] == "finished" and payload["report"]["result"] == "Success")


class OursWithoutPortal(Ours):
    """The same in a triggerer that is told to run triggers without the portal that Airflow 3.3 puts each of them in."""

    def __init__(self, port: int, certificate: str, interval: float | None, hear: Hear) -> None:
        os.environ["AIRFLOW_DISABLE_GREENBACK_PORTAL"] = "true"
        super().__init__(port, certificate, interval, hear)


class DbtCloud(Triggers):
    """``apache-airflow-providers-dbt-cloud``."""

    def trigger(self, run: str) -> BaseTrigger:
        """Make a ``DbtCloudRunJobTrigger``."""
        module = import_module("airflow.providers.dbt.cloud.triggers.dbt")
        made: BaseTrigger = module.DbtCloudRunJobTrigger("dbt_bench", int(run), time.time() + 86400.0, self.interval, 1)
        return made

    def is_right(self, payload: Any) -> bool:
        """Tell whether the job is said to have succeeded."""
        return bool(payload["status"] == "success")


class Databricks(Triggers):
    """``apache-airflow-providers-databricks``."""

    def trigger(self, run: str) -> BaseTrigger:
        """Make a ``DatabricksExecutionTrigger``."""
        module = import_module("airflow.providers.databricks.triggers.databricks")
        made: BaseTrigger = module.DatabricksExecutionTrigger(int(run), "databricks_bench", self.interval)
        return made

    def is_right(self, payload: Any) -> bool:
        """Tell whether the run is said to have succeeded."""
        return '"SUCCESS"' in payload["run_state"]


class Idle(Triggers):
    """Triggers that ask nobody: what Airflow itself takes for each."""

    def trigger(self, run: str) -> BaseTrigger:
        """Make a trigger that sleeps until the run has ended."""
        from benchmarks.triggerer import Sleeper

        return Sleeper(finish_of(run))

    def is_right(self, payload: Any) -> bool:
        """Tell whether it fired."""
        return bool(payload["woken"])


class _Glance(msgspec.Struct):
    state: str | None = None
    result: str | None = None


class _Answer(msgspec.Struct):
    run: _Glance


class _TokenAnswer(msgspec.Struct):
    access_token: str


class Floor(Subject):
    """
    The least that one can write by hand: a coroutine for each wait, over one session with one token.

    It asks at the same moments as our trigger, decodes state and result, and does nothing else: no retries, no limits, no
    deadlines, no Airflow around it.
    """

    tick: float | None = None
    """Seconds to whose multiples the moments are put off; None for those of our poller."""

    def __init__(self, port: int, certificate: str, interval: float | None, hear: Hear) -> None:
        from airflow_provider_itwin.api.wait.poller import TICK
        from airflow_provider_itwin.api.wait.schedule import PollSchedule

        super().__init__(port, certificate, interval, hear)
        self._schedule = PollSchedule(interval)
        self._tick = self.tick or TICK
        self._decoder = msgspec.json.Decoder(_Answer)
        self._opening: asyncio.Task[tuple[aiohttp.ClientSession, dict[str, str]]] | None = None
        self._waits: set[asyncio.Task[None]] = set()
        self._failures: list[str] = []

    @property
    def failures(self) -> list[str]:
        """What waits have raised."""
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
            token = msgspec.json.decode(await response.read(), type=_TokenAnswer).access_token
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
            # Our poller hands out a few times a second; here the timers of one such tick go off together.
            await asyncio.sleep(math.ceil(due / self._tick) * self._tick - now)
        self.hear(number, summary.result == "Success")

    async def _ask(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> _Glance:
        async with session.get(url, headers=headers) as response:
            return self._decoder.decode(await response.read()).run

    async def close(self) -> None:
        """Close the session."""
        if self._opening is not None:
            session, _ = await self._opening
            await session.close()
            self._opening = None


class NaiveFloor(Floor):
    """The same without ticks: each coroutine asks at a moment of its own, and seldom shares a wake-up with another."""

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
