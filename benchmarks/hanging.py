"""Runs that never respond, beside healthy ones: the real poller and client with a fake clock and without a network."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Self

import msgspec

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account, Environment
from airflow_provider_itwin.api.http.messages import (
    NoResponse,
    Request,
    Response,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
from benchmarks import faketime

HEALTHY = 200
INTERVAL = 10.0
TIMEOUT = 60.0
DEADLINE = 1200.0
_ANSWER_TAKES = 0.08
_MIDNIGHT = 1_772_409_600.0


class Hanging(msgspec.Struct):
    """
    The effect of hanging runs on healthy runs.

    :param hanging: number of waits whose polls receive no response
    :param longest_gap: longest time in seconds between two responses for a healthy run that is polled every ten
    :param first: seconds until all healthy runs have been polled once, after a simultaneous start
    :param late_healthy: maximum delay in seconds of the deadline of a healthy run
    :param late_hanging: the same for hanging runs
    """

    hanging: int
    healthy: int
    longest_gap: float
    first: float
    late_healthy: float
    late_hanging: float


class _Client(AsyncITwinClient):
    """The asynchronous client with simulated runs, some of which never respond."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.answers: dict[str, list[float]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def _send(self, request: Request) -> Response | NoResponse:
        if request.url.endswith("/connect/token"):
            return Response(200, {}, b'{"access_token":"token","expires_in":86400,"token_type":"Bearer"}')
        run = request.url.rpartition("/")[2]
        if run.startswith("hangs"):
            await asyncio.sleep(TIMEOUT)
            return NoResponse(f"it took longer than {TIMEOUT:.0f} s")
        await asyncio.sleep(_ANSWER_TAKES)
        self.answers.setdefault(run, []).append(self.account.clock())
        return Response(200, {}, msgspec.json.encode({"run": {"id": run, "state": "Executing"}}))


def measure(hanging: int) -> Hanging:
    """Simulate hanging and healthy waits for twenty minutes."""
    return faketime.run(_measure(hanging))


async def _measure(hanging: int) -> Hanging:
    loop, chance = asyncio.get_running_loop(), random.Random(3)  # noqa: S311 (no secret)
    account = Account(
        Environment("https://api.bentley.com", "https://ims.bentley.com"),
        ClientCredentials("bench", "secret"),
        clock=loop.time,
        wall=lambda: _MIDNIGHT + loop.time(),
        chance=chance.random,
    )
    names = [f"hangs-{number}" for number in range(hanging)] + [f"runs-{number}" for number in range(HEALTHY)]
    chance.shuffle(names)
    late: dict[bool, float] = {True: 0.0, False: 0.0}
    async with _Client(account) as client:

        async def wait(name: str) -> None:
            spec = WaitSpec(
                ConnectionKind.STORAGE,
                "bench",
                name,
                poll_interval=INTERVAL,
                began=account.wall(),
                deadline=_MIDNIGHT + DEADLINE,
                outage_tolerance=2 * DEADLINE,
            )
            outcome = await client.wait(spec)
            if outcome.end is not WaitEnd.DEADLINE:
                raise RuntimeError(f"The wait for {name} ended with {outcome.end}")
            hangs = name.startswith("hangs")
            late[hangs] = max(late[hangs], loop.time() - DEADLINE)

        await asyncio.gather(*map(wait, names))
        answers = client.answers
    return Hanging(
        hanging=hanging,
        healthy=HEALTHY,
        longest_gap=max(later - earlier for moments in answers.values() for earlier, later in pairwise(moments)),
        first=max(moments[0] for moments in answers.values()),
        late_healthy=late[False],
        late_hanging=late[True],
    )
