"""The number of polls in flight: few while they keep up, more while the service is slow."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import (
    Run,
    RunRef,
    RunSummary,
)
from airflow_provider_itwin.api.runs.polling import PollResult
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
from airflow_provider_itwin.api.wait.poller import (
    CALM,
    FEW_WORKERS,
    MOST_WORKERS,
    TICK,
    Poller,
)
from airflow_provider_itwin.api.wait.waiter import PollOutcome
from benchmarks import faketime
from tests.api.scripted_service import CREDENTIALS, PRODUCTION


class Service:
    """
    A service with a response time; the time passes only while no task can run.

    :param takes: seconds until it answers
    :param ends: moment at which all runs end
    """

    def __init__(self, takes: float, ends: float = 0.0) -> None:
        self.takes = takes
        self.ends = ends
        self.hanging: set[str] = set()
        self.polls = self.in_flight = self.most_in_flight = 0
        account = Account(PRODUCTION, CREDENTIALS, clock=faketime.now, wall=faketime.now, chance=lambda: 0.5)
        self.poller = Poller(account, self.poll)

    async def poll(self, spec: WaitSpec, _: object = None) -> PollOutcome:
        self.polls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(1e6 if spec.run_id in self.hanging else self.takes)
        self.in_flight -= 1
        done = faketime.now() >= self.ends
        run = Run(state="Completed", result="Success") if done else None
        ref = RunRef(ConnectionKind.STORAGE, "c", spec.run_id or "")
        return PollResult(ref, RunSummary(state="Completed" if done else "Executing"), run)

    async def wait(self, run_id: str, interval: float) -> WaitEnd | None:
        spec = WaitSpec(ConnectionKind.STORAGE, "c", run_id, poll_interval=interval, began=faketime.now())
        return (await self.poller.wait(spec)).end

    async def all_end(self, number: int, interval: float = 10.0) -> None:
        ends = await asyncio.gather(*(self.wait(str(one), interval) for one in range(number)))
        assert ends == [WaitEnd.FINISHED] * number
        await self.poller.close()


def test_few_polls_are_in_flight_while_they_keep_up() -> None:
    async def play() -> Service:
        service = Service(takes=TICK / 10, ends=60.0)
        await service.all_end(50)
        return service

    assert faketime.run(play()).most_in_flight == FEW_WORKERS


def test_more_polls_are_in_flight_while_the_service_is_slow_up_to_the_limit() -> None:
    async def play() -> tuple[Service, float]:
        service = Service(takes=1.0)
        await service.all_end(600)
        return service, faketime.now()

    service, lasted = faketime.run(play())
    assert (service.most_in_flight, service.polls) == (MOST_WORKERS, 600)
    assert lasted == pytest.approx(600 / MOST_WORKERS, rel=0.1)


def test_polls_that_hang_do_not_prevent_others() -> None:
    async def play() -> tuple[WaitEnd | None, float]:
        service = Service(takes=0.1)
        service.hanging = {str(number) for number in range(FEW_WORKERS)}
        stuck = [asyncio.create_task(service.wait(run_id, 10.0)) for run_id in service.hanging]
        await asyncio.sleep(0)
        end = await service.wait("another", 10.0)
        seen_after = faketime.now()
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        await service.poller.close()
        return end, seen_after

    end, seen_after = faketime.run(play())
    assert end is WaitEnd.FINISHED
    assert seen_after < 1.0


def test_few_polls_are_in_flight_once_the_service_is_fast_again() -> None:
    async def play() -> list[int]:
        service = Service(takes=1.0, ends=400.0)
        waiting = asyncio.create_task(service.all_end(100))
        seen = []
        for seconds in (60.0, CALM + 60.0, 100.0):
            service.most_in_flight = 0
            await asyncio.sleep(seconds)
            seen.append(service.most_in_flight)
            service.takes = TICK / 10
        await waiting
        return seen

    slow, _, quick = faketime.run(play())
    assert slow > FEW_WORKERS
    assert quick == FEW_WORKERS
