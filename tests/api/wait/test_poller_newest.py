"""Waits for a new run of the same connection share their polls, but not their limits."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
import pytest

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from benchmarks import faketime
from tests.api.responses import STORAGE
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


class Service(AsyncITwinClient):
    """
    A client of a service that has one run for each connection; the time passes only while no task can run.

    :param begins: seconds after midnight at which the run of each connection begins
    """

    def __init__(self, begins: float, ends: float) -> None:
        super().__init__(
            Account(
                PRODUCTION,
                CREDENTIALS,
                clock=faketime.now,
                wall=lambda: MIDNIGHT.timestamp() + faketime.now(),
                chance=lambda: 0.5,
            )
        )
        self.begins, self.ends = begins, ends
        self.requests: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def _send(self, request: Request) -> Response:
        await asyncio.sleep(0.1)
        if request.url.endswith("/connect/token"):
            return Response(200, {}, b'{"access_token":"token","expires_in":86400,"token_type":"Bearer"}')
        path = request.url.removeprefix(STORAGE)
        connection = path.split("/")[1]
        self.requests["run" if "/runs/" in path else "connection"] += 1
        now = faketime.now()
        if "/runs/" not in path:
            link = {"lastRun": {"href": f"{STORAGE}/{connection}/runs/r"}} if now >= self.begins else {}
            body: dict[str, object] = {"connection": {"id": connection, "_links": link}}
        else:
            began = (MIDNIGHT + timedelta(seconds=self.begins)).isoformat()
            state = {"state": "Completed", "result": "Success"} if now >= self.ends else {"state": "Executing"}
            body = {"run": {"id": "r", "startDateTime": began, **state}}
        return Response(200, {}, msgspec.json.encode(body))

    def spec(self, after: float, connection: str = "c", deadline: float | None = None) -> WaitSpec:
        return WaitSpec(
            ConnectionKind.STORAGE,
            connection,
            started_after=(MIDNIGHT + timedelta(seconds=after)).isoformat(),
            began=self.account.wall(),
            deadline=None if deadline is None else MIDNIGHT.timestamp() + deadline,
        )


def run_waits(*specs: tuple[float, str, float | None], begins: float, ends: float) -> tuple[list[WaitResult], Service]:
    async def play() -> tuple[list[WaitResult], Service]:
        async with Service(begins, ends) as client:
            results = await asyncio.gather(*(client.wait(client.spec(*spec)) for spec in specs))
            return list(results), client

    return faketime.run(play())


def test_thirty_waits_for_one_connection_cost_as_many_requests_as_one() -> None:
    _, one = run_waits((0.0, "c", None), begins=600.0, ends=3600.0)
    results, thirty = run_waits(*((float(number), "c", None) for number in range(30)), begins=600.0, ends=3600.0)
    assert {result.end for result in results} == {WaitEnd.FINISHED}
    assert thirty.requests.total() <= one.requests.total() + 4
    assert {result.polls for result in results} == {thirty.requests["connection"]}


def test_each_wait_keeps_its_own_started_after() -> None:
    late = 1000.0
    results, _ = run_waits(
        (0.0, "c", None), (600.0, "c", late), (600.001, "c", late), (7000.0, "c", late), begins=600.0, ends=900.0
    )
    assert [result.end for result in results] == [WaitEnd.FINISHED] * 2 + [WaitEnd.DEADLINE] * 2
    assert [result.state for result in results] == ["Completed"] * 2 + [None] * 2


@pytest.mark.parametrize("other", ["d", "e"])
def test_each_connection_is_polled_separately(other: str) -> None:
    results, service = run_waits((0.0, "c", None), (0.0, other, None), begins=0.0, ends=100.0)
    _, alone = run_waits((0.0, "c", None), begins=0.0, ends=100.0)
    assert {result.ref.connection_id for result in results if result.ref} == {"c", other}
    assert service.requests.total() == 2 * alone.requests.total()
