"""Runs whose answers never come, beside healthy ones: the real poller and client, with a clock that leaps and no network."""

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
    What healthy runs suffer from those that hang.

    :param hanging: waits whose polls never have an answer
    :param longest_gap: most seconds between two answers about a healthy run, which is polled every ten
    :param first: seconds until the last healthy run had been polled once, all having begun at once
    :param late_healthy: most seconds that the deadline of a healthy run was judged late
    :param late_hanging: the same of those that hang
    """

    hanging: int
    healthy: int
    longest_gap: float
    first: float
    late_healthy: float
    late_hanging: float


class _Client(AsyncITwinClient):
    """The asynchronous client, with runs behind it of which some never answer."""

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
    """Let so many waits hang for twenty minutes beside healthy ones."""
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
