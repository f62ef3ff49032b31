"""One poller for all waits of an account."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import (
    Run,
    RunRef,
    RunSummary,
)
from airflow_provider_itwin.api.runs.polling import PollResult
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.api.wait.poller import Poller
from airflow_provider_itwin.api.wait.waiter import PollOutcome
from tests.api.scripted_service import CREDENTIALS, PRODUCTION


class FakeService:
    """A service whose runs finish at given times, and a clock that jumps from one poll to the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends: dict[str, float] = {}
        self.polls: list[tuple[float, str]] = []
        self.limits: list[tuple[float, float | None]] = []
        self.failure: dict[str, list[Exception]] = {}
        self.account = Account(
            PRODUCTION, CREDENTIALS, clock=lambda: self.now, wall=lambda: self.now, chance=lambda: 0.5
        )
        self.poller = Poller(self.account, self.poll, self.sleep)

    async def sleep(self, seconds: float) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.now += max(0.0, seconds)

    async def poll(self, spec: WaitSpec, _: object = None) -> PollOutcome:
        run_id = spec.run_id or ""
        self.polls.append((self.now, run_id))
        self.limits.append((self.now, spec.deadline))
        if self.failure.get(run_id):
            failure = self.failure[run_id].pop(0)
            if isinstance(failure, ITwinConnectionError | ITwinNotFoundError):
                return failure
            raise failure
        state = "Completed" if self.now >= self.ends.get(run_id, float("inf")) else "Executing"
        run = Run(id=run_id, state=state, result="Success") if state == "Completed" else None
        return PollResult(RunRef(ConnectionKind.STORAGE, "c", run_id), RunSummary(state=state, result="Success"), run)

    def spec(self, run_id: str, *, interval: float | None = 10.0, deadline: float | None = None) -> WaitSpec:
        return WaitSpec(ConnectionKind.STORAGE, "c", run_id, poll_interval=interval, began=self.now, deadline=deadline)

    async def wait(self, *specs: WaitSpec) -> list[WaitResult]:
        try:
            async with asyncio.timeout(20):
                return await asyncio.gather(*(self.poller.wait(spec) for spec in specs))
        finally:
            await self.poller.close()


async def test_a_finished_run_ends_the_wait_at_the_first_poll() -> None:
    service = FakeService()
    service.ends["a"] = 0.0
    (result,) = await service.wait(service.spec("a"))
    assert (result.end, result.polls, len(service.polls)) == (WaitEnd.FINISHED, 1, 1)
    assert result.run is not None
    assert result.run.id == "a"


async def test_polls_come_at_the_interval() -> None:
    service = FakeService()
    service.ends["a"] = 1035.0
    (result,) = await service.wait(service.spec("a"))
    assert [moment for moment, _ in service.polls] == pytest.approx([1000, 1010, 1020, 1030, 1040])
    assert result.polls == 5
    assert result.elapsed == pytest.approx(40.0)


async def test_waits_for_one_run_share_its_polls_and_keep_their_deadlines() -> None:
    service = FakeService()
    service.ends["a"] = 1055.0
    endless, limited, other = service.spec("a"), service.spec("a", deadline=1025.0), service.spec("b", deadline=1030.0)
    ends = [result.end for result in await service.wait(endless, limited, *[endless] * 30, other)]
    assert ends == [WaitEnd.FINISHED, WaitEnd.DEADLINE, *[WaitEnd.FINISHED] * 30, WaitEnd.DEADLINE]
    moments = [moment for moment, run_id in service.polls if run_id == "a"]
    assert len(moments) <= 9, moments


async def test_a_shared_poll_has_the_earliest_deadline_of_its_waits() -> None:
    service = FakeService()
    service.ends["a"] = 1055.0
    await service.wait(service.spec("a"), service.spec("a", deadline=1025.0), service.spec("a", deadline=1900.0))
    asked = [limit for _, limit in service.limits]
    assert asked[:2] == [1025.0, 1025.0]
    assert asked[-1] == 1900.0


async def test_the_shortest_interval_counts_for_all_waits_for_one_run() -> None:
    service = FakeService()
    service.ends["a"] = 1019.5
    await service.wait(service.spec("a", interval=60.0), service.spec("a", interval=5.0))
    assert [moment for moment, _ in service.polls][-1] <= 1025.0


async def test_errors_are_retried_with_growing_pauses_and_do_not_delay_other_runs() -> None:
    service = FakeService()
    service.ends |= {"a": 1000.0, "b": 1000.0}
    service.failure["a"] = [ITwinConnectionError("no answer") for _ in range(4)]
    first, second = await service.wait(service.spec("a"), service.spec("b"))
    assert (first.end, first.polls, second.polls) == (WaitEnd.FINISHED, 5, 1)
    moments = [moment for moment, run_id in service.polls if run_id == "a"]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps == sorted(gaps)


async def test_an_outage_ends_the_wait_after_the_outage_tolerance() -> None:
    service = FakeService()
    service.failure["a"] = [ITwinConnectionError("no answer") for _ in range(1000)]
    (result,) = await service.wait(service.spec("a"))
    assert result.end is WaitEnd.OUTAGE
    assert 900 <= result.elapsed < 1000


async def test_an_exception_in_a_poll_is_raised_in_the_waits_for_its_run_only() -> None:
    service = FakeService()
    service.ends |= {"a": 1000.0, "b": 1000.0}
    service.failure["a"] = [ZeroDivisionError("a bug")]
    results = await asyncio.gather(
        service.poller.wait(service.spec("a")), service.poller.wait(service.spec("b")), return_exceptions=True
    )
    assert isinstance(results[0], ZeroDivisionError)
    assert isinstance(results[1], WaitResult)
    assert (await service.poller.wait(service.spec("a"))).end is WaitEnd.FINISHED
    await service.poller.close()


async def test_a_cancelled_wait_does_not_affect_the_others() -> None:
    service = FakeService()
    service.ends["a"] = 1100.0
    cancelled = asyncio.create_task(service.poller.wait(service.spec("a")))
    kept = asyncio.create_task(service.poller.wait(service.spec("a")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await kept).end is WaitEnd.FINISHED
    await service.poller.close()


async def test_a_run_without_waits_is_not_polled() -> None:
    service = FakeService()
    cancelled = asyncio.create_task(service.poller.wait(service.spec("a")))
    for _ in range(5):
        await asyncio.sleep(0)
    cancelled.cancel()
    service.ends["b"] = 1100.0
    await service.wait(service.spec("b"))
    assert sum(run_id == "a" for _, run_id in service.polls) <= 2


async def test_each_wait_logs_in_its_own_context(caplog: pytest.LogCaptureFixture) -> None:
    name_of_wait: contextvars.ContextVar[str] = contextvars.ContextVar("name_of_wait", default="none")
    seen: list[str] = []

    class Record(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            seen.append(f"{name_of_wait.get()}: {record.getMessage()}")
            return True

    service = FakeService()
    service.ends |= {"a": 1000.0, "b": 1000.0}

    async def wait_as(name: str, run_id: str) -> None:
        name_of_wait.set(name)
        await service.poller.wait(service.spec(run_id))

    logger = logging.getLogger("airflow_provider_itwin.api.wait.waiter")
    record = Record()
    logger.addFilter(record)
    try:
        with caplog.at_level(logging.INFO):
            await asyncio.gather(wait_as("Ann", "a"), wait_as("Bob", "b"))
    finally:
        logger.removeFilter(record)
        await service.poller.close()
    assert sorted(seen) == [
        "Ann: Run storage/c/a is Completed after 0 s",
        "Bob: Run storage/c/b is Completed after 0 s",
    ]


async def test_with_real_time_a_new_wait_is_polled_at_once() -> None:
    polls: list[str | None] = []

    async def poll(spec: WaitSpec, _: object) -> PollOutcome:
        polls.append(spec.run_id)
        done = spec.run_id == "b" or polls.count("a") > 1
        state = "Completed" if done else "Executing"
        return PollResult(
            RunRef(ConnectionKind.STORAGE, "c", spec.run_id or ""), RunSummary(state=state), Run(state=state)
        )

    make: Callable[[str, float], WaitSpec] = lambda run_id, interval: WaitSpec(  # noqa: E731
        ConnectionKind.STORAGE, "c", run_id, poll_interval=interval
    )
    poller = Poller(Account(PRODUCTION, CREDENTIALS), poll)
    slow: Awaitable[WaitResult] = asyncio.ensure_future(poller.wait(make("a", 0.2)))
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
        await poller.wait(make("b", 60.0))
        assert polls == ["a", "b"]
        await slow
    await poller.close()


async def test_an_exception_in_recording_a_poll_is_raised_in_its_wait_and_stops_no_worker() -> None:
    service = FakeService()
    service.ends |= {"a": 1000.0, "b": 1000.0}
    invalid = iter([object()])

    async def poll(spec: WaitSpec, _: object) -> PollOutcome:
        return next(invalid, None) or await service.poll(spec)  # type: ignore[return-value]

    poller = Poller(service.account, poll, service.sleep)
    async with asyncio.timeout(20):
        with pytest.raises(AttributeError):
            await poller.wait(service.spec("a"))
        assert (await poller.wait(service.spec("b"))).end is WaitEnd.FINISHED
    await poller.close()
