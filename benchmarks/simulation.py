"""Simulated nights: the real poller, budget and client with a fake clock and without a network."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Self

import msgspec

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account, Environment, Limits
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import Run, RunSummary
from airflow_provider_itwin.api.runs.polling import PollResult
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
from airflow_provider_itwin.api.wait.poller import Poller
from airflow_provider_itwin.api.wait.schedule import (
    LONGEST,
    SHARE,
    SHORTEST,
)
from airflow_provider_itwin.api.wait.waiter import PollOutcome

_HOUR = 3600.0
_ANSWER_TAKES = 0.08
_MIDNIGHT = 1_772_409_600.0


class Night(msgspec.Struct):
    """
    The results of a simulated night.

    :param requests: number of requests
    :param ended: waits that ended with their run
    :param late: seconds from the end of a run to that of its wait: median, maximum
    :param late_beyond: maximum delay in seconds beyond the limit of the schedule: 10 seconds, 5 % of the run, two minutes
    :param busiest_minute: maximum number of requests in any 60 seconds
    :param busiest_hour: maximum number of requests in any 3,600 seconds
    :param fewest: lowest number of polls of a run, among those that took the whole time
    :param most: highest number of polls of a run
    :param cpu: CPU seconds per poll
    """

    runs: int
    hours: float
    requests: int
    ended: int
    late: tuple[float, float]
    late_beyond: float
    busiest_minute: int
    busiest_hour: int
    fewest: int
    most: int
    cpu: float


class _Service:
    """Runs with predefined end times."""

    def __init__(self, ends: list[float]) -> None:
        self.ends = ends
        self.asked_at: list[float] = []
        self.polls = [0] * len(ends)

    async def is_finished(self, number: int, moment: float) -> bool:
        """Record a request and answer it after a delay."""
        self.asked_at.append(moment)
        self.polls[number] += 1
        await asyncio.sleep(_ANSWER_TAKES)
        return moment + _ANSWER_TAKES / 2 >= self.ends[number]


class _OfflineClient(AsyncITwinClient):
    """The asynchronous client with a simulated service."""

    def __init__(self, account: Account, service: _Service) -> None:
        super().__init__(account)
        self._service = service

    async def __aenter__(self) -> Self:
        return self

    async def _send(self, request: Request) -> Response:
        if request.url.endswith("/connect/token"):
            body = b'{"access_token":"token","expires_in":3600,"token_type":"Bearer"}'
            return Response(200, {}, body)
        number = int(request.url.rpartition("-")[2])
        finished = await self._service.is_finished(number, self.account.clock())
        run = {"state": "Completed", "result": "Success"} if finished else {"state": "Executing"}
        return Response(200, {}, msgspec.json.encode({"run": run}))


def _account(limits: Limits, chance: random.Random) -> Account:
    loop = asyncio.get_running_loop()
    return Account(
        Environment("https://api.bentley.com", "https://ims.bentley.com"),
        ClientCredentials("bench", "secret"),
        limits=limits,
        clock=loop.time,
        wall=lambda: _MIDNIGHT + loop.time(),
        chance=chance.random,
    )


def _order(account: Account, number: int) -> WaitSpec:
    return WaitSpec(ConnectionKind.STORAGE, "bench", f"run-{number}", began=account.wall())


async def through_the_poller(runs: int, hours: float) -> Night:
    """Wait for runs that start within ten minutes and take from one minute up to the remaining time."""
    loop, chance = asyncio.get_running_loop(), random.Random(1)  # noqa: S311 (no secret)
    account = _account(Limits(), chance)
    starts = [600.0 * number / runs for number in range(runs)]
    service = _Service([start + chance.uniform(60.0, hours * _HOUR - start) for start in starts])

    async def poll_once(spec: WaitSpec, _: object) -> PollOutcome:
        finished = await service.is_finished(int((spec.run_id or "").rpartition("-")[2]), loop.time())
        state = "Completed" if finished else "Executing"
        assert spec.ref is not None  # noqa: S101 (each order names its run)
        return PollResult(spec.ref, RunSummary(state=state), Run(state=state, result="Success") if finished else None)

    poller = Poller(account, poll_once)

    async def wait(number: int) -> float | None:
        await asyncio.sleep(starts[number])
        outcome = await poller.wait(_order(account, number))
        return loop.time() if outcome.end is WaitEnd.FINISHED else None

    return await _night(service, starts, wait, hours, poller.close)


async def within_the_budget(runs: int, hours: float, limits: Limits) -> Night:
    """Wait through the client for more runs than the budget allows, all started at once."""
    loop, chance = asyncio.get_running_loop(), random.Random(2)  # noqa: S311 (no secret)
    account = _account(limits, chance)
    service = _Service([chance.uniform(0.75, 1.0) * hours * _HOUR for _ in range(runs)])
    async with _OfflineClient(account, service) as client:

        async def wait(number: int) -> float | None:
            outcome = await client.wait(_order(account, number))
            return loop.time() if outcome.end is WaitEnd.FINISHED else None

        async def nothing() -> None:
            return None

        return await _night(service, [0.0] * runs, wait, hours, nothing)


async def _night(service: _Service, starts: list[float], wait: Any, hours: float, close: Any) -> Night:
    cpu = time.process_time()
    ended_at = await asyncio.gather(*(wait(number) for number in range(len(starts))))
    cpu = time.process_time() - cpu
    await close()
    late = [seen - end for seen, end in zip(ended_at, service.ends, strict=True) if seen is not None]
    beyond = [
        seen - end - min(LONGEST, max(SHORTEST, SHARE * (end - start)))
        for seen, end, start in zip(ended_at, service.ends, starts, strict=True)
        if seen is not None
    ]
    return Night(
        runs=len(starts),
        hours=hours,
        requests=len(service.asked_at),
        ended=len(late),
        late=(sorted(late)[len(late) // 2], max(late)),
        late_beyond=max(beyond),
        busiest_minute=busiest(service.asked_at, 60.0),
        busiest_hour=busiest(service.asked_at, _HOUR),
        fewest=min(service.polls),
        most=max(service.polls),
        cpu=cpu / len(service.asked_at),
    )


def busiest(moments: list[float], window: float) -> int:
    """Return the maximum number of times within any `window`."""
    ordered, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most
