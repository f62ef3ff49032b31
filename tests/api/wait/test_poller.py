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


class Sky:
    """A service whose runs are finished at set times, and a clock that leaps from one look to the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends: dict[str, float] = {}
        self.looks: list[tuple[float, str]] = []
        self.limits: list[tuple[float, float | None]] = []
        self.failure: dict[str, list[Exception]] = {}
        self.account = Account(
            PRODUCTION, CREDENTIALS, clock=lambda: self.now, wall=lambda: self.now, chance=lambda: 0.5
        )
        self.poller = Poller(self.account, self.look, self.sleep)

    async def sleep(self, seconds: float) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.now += max(0.0, seconds)

    async def look(self, spec: WaitSpec, _: object = None) -> PollOutcome:
        run_id = spec.run_id or ""
        self.looks.append((self.now, run_id))
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


async def test_a_finished_run_ends_the_wait_at_the_first_look() -> None:
    sky = Sky()
    sky.ends["a"] = 0.0
    (outcome,) = await sky.wait(sky.spec("a"))
    assert (outcome.end, outcome.polls, len(sky.looks)) == (WaitEnd.FINISHED, 1, 1)
    assert outcome.run is not None
    assert outcome.run.id == "a"


async def test_looks_come_at_the_interval() -> None:
    sky = Sky()
    sky.ends["a"] = 1035.0
    (outcome,) = await sky.wait(sky.spec("a"))
    assert [moment for moment, _ in sky.looks] == pytest.approx([1000, 1010, 1020, 1030, 1040])
    assert outcome.polls == 5
    assert outcome.elapsed == pytest.approx(40.0)


async def test_several_who_wait_for_one_run_share_its_looks_and_keep_their_deadlines() -> None:
    sky = Sky()
    sky.ends["a"] = 1055.0
    patient, hurried, other = sky.spec("a"), sky.spec("a", deadline=1025.0), sky.spec("b", deadline=1030.0)
    ends = [outcome.end for outcome in await sky.wait(patient, hurried, *[patient] * 30, other)]
    assert ends == [WaitEnd.FINISHED, WaitEnd.DEADLINE, *[WaitEnd.FINISHED] * 30, WaitEnd.DEADLINE]
    of_a = [moment for moment, run_id in sky.looks if run_id == "a"]
    assert len(of_a) <= 9, of_a


async def test_those_who_share_a_look_have_it_as_the_most_hurried_needs_it() -> None:
    sky = Sky()
    sky.ends["a"] = 1055.0
    await sky.wait(sky.spec("a"), sky.spec("a", deadline=1025.0), sky.spec("a", deadline=1900.0))
    asked = [limit for _, limit in sky.limits]
    assert asked[:2] == [1025.0, 1025.0]
    assert asked[-1] == 1900.0


async def test_the_quickest_sets_the_pace_for_all_who_wait_for_one_run() -> None:
    sky = Sky()
    sky.ends["a"] = 1019.5
    await sky.wait(sky.spec("a", interval=60.0), sky.spec("a", interval=5.0))
    assert [moment for moment, _ in sky.looks][-1] <= 1025.0


async def test_trouble_is_ridden_out_with_growing_pauses_and_does_not_hold_up_others() -> None:
    sky = Sky()
    sky.ends |= {"a": 1000.0, "b": 1000.0}
    sky.failure["a"] = [ITwinConnectionError("no answer") for _ in range(4)]
    first, second = await sky.wait(sky.spec("a"), sky.spec("b"))
    assert (first.end, first.polls, second.polls) == (WaitEnd.FINISHED, 5, 1)
    moments = [moment for moment, run_id in sky.looks if run_id == "a"]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps == sorted(gaps)


async def test_an_outage_ends_the_wait_when_it_has_lasted_as_long_as_tolerated() -> None:
    sky = Sky()
    sky.failure["a"] = [ITwinConnectionError("no answer") for _ in range(1000)]
    (outcome,) = await sky.wait(sky.spec("a"))
    assert outcome.end is WaitEnd.OUTAGE
    assert 900 <= outcome.elapsed < 1000


async def test_what_breaks_a_look_is_told_to_those_who_wait_and_to_nobody_else() -> None:
    sky = Sky()
    sky.ends |= {"a": 1000.0, "b": 1000.0}
    sky.failure["a"] = [ZeroDivisionError("a bug")]
    results = await asyncio.gather(
        sky.poller.wait(sky.spec("a")), sky.poller.wait(sky.spec("b")), return_exceptions=True
    )
    assert isinstance(results[0], ZeroDivisionError)
    assert isinstance(results[1], WaitResult)
    assert (await sky.poller.wait(sky.spec("a"))).end is WaitEnd.FINISHED
    await sky.poller.close()


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    sky = Sky()
    sky.ends["a"] = 1100.0
    leaver = asyncio.create_task(sky.poller.wait(sky.spec("a")))
    stayer = asyncio.create_task(sky.poller.wait(sky.spec("a")))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert (await stayer).end is WaitEnd.FINISHED
    await sky.poller.close()


async def test_a_run_that_nobody_waits_for_any_more_is_not_looked_at() -> None:
    sky = Sky()
    leaver = asyncio.create_task(sky.poller.wait(sky.spec("a")))
    for _ in range(5):
        await asyncio.sleep(0)
    leaver.cancel()
    sky.ends["b"] = 1100.0
    await sky.wait(sky.spec("b"))
    assert sum(run_id == "a" for _, run_id in sky.looks) <= 2


async def test_what_is_logged_for_a_wait_is_logged_in_its_own_context(caplog: pytest.LogCaptureFixture) -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody")
    seen: list[str] = []

    class Note(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            seen.append(f"{whose.get()}: {record.getMessage()}")
            return True

    sky = Sky()
    sky.ends |= {"a": 1000.0, "b": 1000.0}

    async def wait_as(name: str, run_id: str) -> None:
        whose.set(name)
        await sky.poller.wait(sky.spec(run_id))

    logger = logging.getLogger("airflow_provider_itwin.api.wait.waiter")
    note = Note()
    logger.addFilter(note)
    try:
        with caplog.at_level(logging.INFO):
            await asyncio.gather(wait_as("Ann", "a"), wait_as("Bob", "b"))
    finally:
        logger.removeFilter(note)
        await sky.poller.close()
    assert sorted(seen) == [
        "Ann: Run storage/c/a is Completed after 0 s",
        "Bob: Run storage/c/b is Completed after 0 s",
    ]


async def test_with_real_time_a_newcomer_is_looked_after_at_once() -> None:
    looks: list[str | None] = []

    async def look(spec: WaitSpec, _: object) -> PollOutcome:
        looks.append(spec.run_id)
        done = spec.run_id == "b" or looks.count("a") > 1
        state = "Completed" if done else "Executing"
        return PollResult(
            RunRef(ConnectionKind.STORAGE, "c", spec.run_id or ""), RunSummary(state=state), Run(state=state)
        )

    make: Callable[[str, float], WaitSpec] = lambda run_id, interval: WaitSpec(  # noqa: E731
        ConnectionKind.STORAGE, "c", run_id, poll_interval=interval
    )
    poller = Poller(Account(PRODUCTION, CREDENTIALS), look)
    slow: Awaitable[WaitResult] = asyncio.ensure_future(poller.wait(make("a", 0.2)))
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
        await poller.wait(make("b", 60.0))
        assert looks == ["a", "b"]
        await slow
    await poller.close()


async def test_what_breaks_the_telling_is_told_and_stops_no_worker() -> None:
    sky = Sky()
    sky.ends |= {"a": 1000.0, "b": 1000.0}
    strange = iter([object()])

    async def look(spec: WaitSpec, _: object) -> PollOutcome:
        return next(strange, None) or await sky.look(spec)  # type: ignore[return-value]

    poller = Poller(sky.account, look, sky.sleep)
    async with asyncio.timeout(20):
        with pytest.raises(AttributeError):
            await poller.wait(sky.spec("a"))
        assert (await poller.wait(sky.spec("b"))).end is WaitEnd.FINISHED
    await poller.close()
