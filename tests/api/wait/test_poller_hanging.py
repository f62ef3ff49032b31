"""Polls without an answer: they hold up neither the polls of other runs nor any deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinConnectionError
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
from airflow_provider_itwin.api.wait.poll_queue import PollInFlight
from airflow_provider_itwin.api.wait.poller import (
    MOST_SLOW,
    MOST_WORKERS,
    MOST_WORKERS_BESIDE_SLOW,
    Poller,
)
from airflow_provider_itwin.api.wait.waiter import DEADLINE_GRACE, PollOutcome
from benchmarks import faketime
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

FOR_EVER = 1e9


class Service:
    """
    A service that takes some time for each run; the time passes only while no task can run.

    :param timeout: seconds after which a poll without an answer fails, as a client's request does
    """

    def __init__(self, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.takes: Callable[[str], float] = lambda run_id: FOR_EVER if run_id.startswith("hangs") else 0.1
        self.ends: dict[str, float] = {}
        self.polled: dict[str, list[float]] = defaultdict(list)
        self.answered: dict[str, list[float]] = defaultdict(list)
        self.in_flight: dict[bool, int] = {True: 0, False: 0}
        self.most: dict[bool, int] = {True: 0, False: 0}
        self.account = Account(PRODUCTION, CREDENTIALS, clock=faketime.now, wall=faketime.now, chance=lambda: 0.5)
        self.poller = Poller(self.account, self.poll)

    async def poll(self, spec: WaitSpec, _: object = None) -> PollOutcome:
        run_id = spec.run_id or ""
        self.polled[run_id].append(faketime.now())
        takes = self.takes(run_id)
        hangs = takes > self.timeout
        self.in_flight[hangs] += 1
        self.most[hangs] = max(self.most[hangs], self.in_flight[hangs])
        try:
            await asyncio.sleep(min(takes, self.timeout))
        finally:
            self.in_flight[hangs] -= 1
        if hangs:
            return ITwinConnectionError(f"no answer within {self.timeout:.0f} s")
        self.answered[run_id].append(faketime.now())
        done = faketime.now() >= self.ends.get(run_id, float("inf"))
        run = Run(state="Completed", result="Success") if done else None
        ref = RunRef(ConnectionKind.STORAGE, "c", run_id)
        return PollResult(ref, RunSummary(state="Completed" if done else "Executing"), run)

    async def wait(
        self, run_id: str, deadline: float | None = None, interval: float | None = 10.0, tolerance: float = 900.0
    ) -> tuple[WaitResult, float]:
        """Return the result and the time at which it was known."""
        spec = WaitSpec(
            ConnectionKind.STORAGE,
            "c",
            run_id,
            poll_interval=interval,
            began=faketime.now(),
            deadline=deadline,
            outage_tolerance=tolerance,
        )
        return await self.poller.wait(spec), faketime.now()

    async def all_of(self, *waits: Awaitable[tuple[WaitResult, float]]) -> list[tuple[WaitResult, float]]:
        try:
            return await asyncio.gather(*waits)
        finally:
            await self.poller.close()

    async def for_a_while(self, seconds: float, *waits: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.poller.close()


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


@pytest.mark.parametrize(("hanging", "timeout"), [(60, 10.0), (1000, 3.0), (1000, 60.0), (30, 60.0), (1, 600.0)])
def test_runs_that_never_answer_do_not_hold_up_polls_of_others(hanging: int, timeout: float) -> None:
    async def play() -> Service:
        service = Service(timeout)
        stuck = [service.wait(f"hangs-{number}") for number in range(hanging)]
        healthy = [service.wait(f"runs-{number}", interval=2.0) for number in range(100)]
        await service.for_a_while(600.0, *stuck, *healthy)
        return service

    service = faketime.run(play())
    longest = max(max(gaps(service.answered[f"runs-{number}"])) for number in range(100))
    assert longest < 2.0 + 3.0
    assert service.most[True] <= MOST_SLOW + MOST_WORKERS_BESIDE_SLOW


def test_runs_that_stop_answering_later_do_not_hold_up_polls_of_others() -> None:
    async def play() -> Service:
        service = Service()
        usual = service.takes
        service.takes = lambda run_id: 0.1 if faketime.now() < 120.0 else usual(run_id)
        stuck = [service.wait(f"hangs-{number}") for number in range(1000)]
        healthy = [service.wait(f"runs-{number}", interval=2.0) for number in range(20)]
        await service.for_a_while(600.0, *stuck, *healthy)
        return service

    service = faketime.run(play())
    longest = max(max(gaps(service.answered[f"runs-{number}"])) for number in range(20))
    # All of them hang at once, and none has hung before: each has to be detected.
    assert longest < 15.0
    late = [gap for number in range(20) for gap in gaps([at for at in service.answered[f"runs-{number}"] if at > 180])]
    assert max(late) < 5.0


def test_new_waits_are_polled_at_once_beside_runs_that_are_known_to_hang() -> None:
    async def play() -> float:
        service = Service()
        stuck = [asyncio.create_task(service.wait(f"hangs-{number}")) for number in range(1000)]
        await asyncio.sleep(300.0)
        service.ends["new"] = 0.0
        _, at = await service.wait("new")
        await service.for_a_while(0.0)
        for task in stuck:
            task.cancel()
        return at - 300.0

    assert faketime.run(play()) < 2.0


def test_deadlines_are_judged_on_time_while_a_thousand_polls_hang() -> None:
    async def play() -> list[tuple[WaitResult, float]]:
        service = Service()
        stuck = [service.wait(f"hangs-{number}", 300.0 + number / 10) for number in range(1000)]
        healthy = [service.wait(f"runs-{number}", 300.0 + number) for number in range(100)]
        return await service.all_of(*stuck, *healthy)

    results = faketime.run(play())
    assert {result.end for result, _ in results} == {WaitEnd.DEADLINE}
    late_when_hanging = [at - 300.0 - number / 10 for number, (_, at) in enumerate(results[:1000])]
    late_when_healthy = [at - 300.0 - number for number, (_, at) in enumerate(results[1000:])]
    assert min(late_when_hanging) >= 0
    assert max(late_when_hanging) < DEADLINE_GRACE + 2.0
    assert min(late_when_healthy) >= 0
    assert max(late_when_healthy) < 2.0
    assert all(result.error is not None for result, _ in results[:1000])
    assert {result.state for result, _ in results[1000:]} == {"Executing"}


def test_a_deadline_reports_the_last_known_state() -> None:
    async def play() -> tuple[WaitResult, float]:
        service = Service(timeout=FOR_EVER)
        service.takes = lambda _: 0.1 if faketime.now() < 50.0 else FOR_EVER * 2
        (result,) = await service.all_of(service.wait("a", deadline=100.0))
        return result

    result, at = faketime.run(play())
    assert (result.end, result.state) == (WaitEnd.DEADLINE, "Executing")
    assert at == pytest.approx(100.0 + DEADLINE_GRACE, abs=2.0)


def test_a_deadline_that_passed_before_the_wait_began_here_still_gets_its_poll() -> None:
    async def play() -> list[tuple[WaitResult, float]]:
        service = Service()
        service.takes = lambda run_id: 20.0 if run_id == "slow" else FOR_EVER
        service.ends = {"slow": 0.0}
        await asyncio.sleep(1000.0)
        return await service.all_of(service.wait("slow", deadline=500.0), service.wait("hangs", deadline=500.0))

    (slow, _), (hangs, at) = faketime.run(play())
    assert slow.end is WaitEnd.FINISHED
    assert hangs.end is WaitEnd.DEADLINE
    assert at == pytest.approx(1000.0 + DEADLINE_GRACE, abs=2.0)


def test_an_outage_is_judged_on_time_though_its_poll_has_no_worker() -> None:
    async def play() -> list[tuple[WaitResult, float]]:
        service = Service()
        return await service.all_of(*(service.wait(f"hangs-{number}", tolerance=600.0) for number in range(500)))

    results = faketime.run(play())
    assert {result.end for result, _ in results} == {WaitEnd.OUTAGE}
    assert min(at for _, at in results) >= 600.0
    # Each was found to hang within 500 s / 30, or one timeout.
    assert max(at for _, at in results) < 600.0 + DEADLINE_GRACE + 80.0


def test_a_service_that_is_slow_for_all_runs_does_not_count_as_hanging() -> None:
    async def play() -> Service:
        service = Service()
        service.takes = lambda _: 5.0
        service.ends = {str(number): 300.0 for number in range(200)}
        results = await service.all_of(*(service.wait(str(number), interval=60.0) for number in range(200)))
        assert {result.end for result, _ in results} == {WaitEnd.FINISHED}
        return service

    service = faketime.run(play())
    asked = sum(map(len, service.polled.values()))
    answered = sum(map(len, service.answered.values()))
    # Some polls are cancelled until the usual time of a response is known.
    assert asked - answered <= 10 * MOST_WORKERS
    late = [at for moments in service.polled.values() for at in moments if at > 60.0]
    assert len(late) == sum(at > 65.0 for moments in service.answered.values() for at in moments)


def test_a_run_that_answers_again_is_polled_as_often_as_any_other() -> None:
    async def play() -> Service:
        service = Service()
        usual = service.takes
        service.takes = lambda run_id: 0.1 if run_id == "hangs-0" and faketime.now() > 100.0 else usual(run_id)
        stuck = [service.wait(f"hangs-{number}") for number in range(MOST_SLOW)]
        await service.for_a_while(900.0, *stuck, service.wait("runs-0"))
        return service

    service = faketime.run(play())
    late = [at for at in service.answered["hangs-0"] if at > 300.0]
    assert max(gaps(late)) < 12.0


def test_a_run_that_takes_a_few_seconds_is_found_among_a_thousand_that_never_answer() -> None:
    async def play() -> Service:
        service = Service()
        usual = service.takes
        service.takes = lambda run_id: 4.0 if run_id == "large" else usual(run_id)
        stuck = [service.wait(f"hangs-{number}") for number in range(1000)]
        await service.for_a_while(1800.0, *stuck, service.wait("large"))
        return service

    answered = faketime.run(play()).answered["large"]
    assert answered[0] < 600.0
    assert max(gaps(answered)) < 60.0


def test_a_poll_may_take_the_whole_request_timeout_while_workers_are_free() -> None:
    async def play() -> Service:
        service = Service()
        service.takes = lambda _: 55.0
        service.ends = {str(number): 0.0 for number in range(MOST_SLOW)}
        results = await service.all_of(*(service.wait(run_id) for run_id in service.ends))
        assert {(result.end, result.polls) for result, _ in results} == {(WaitEnd.FINISHED, 1)}
        return service

    faketime.run(play())


def test_waiting_for_its_turn_does_not_make_a_poll_slow() -> None:
    async def play() -> Service:
        service = Service()
        answer = service.poll

        async def poll(spec: WaitSpec, poll: PollInFlight) -> PollOutcome:
            await poll.wait_for_turn(asyncio.sleep(20.0))
            return await answer(spec)

        service.poller = Poller(service.account, poll)
        service.ends = {str(number): 0.0 for number in range(MOST_WORKERS + MOST_SLOW + 50)}
        results = await service.all_of(*(service.wait(run_id) for run_id in service.ends))
        assert {(result.end, result.polls) for result, _ in results} == {(WaitEnd.FINISHED, 1)}
        return service

    faketime.run(play())


def test_a_slow_poll_without_waits_is_cancelled() -> None:
    async def play() -> int:
        service = Service()
        task = asyncio.create_task(service.wait("hangs"))
        await asyncio.sleep(10.0)
        assert service.in_flight[True] == 1
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        left = service.in_flight[True]
        await service.poller.close()
        return left

    assert faketime.run(play()) == 0


# Broken parts of the poller


class _Deadlock(BaseException):
    """Like the exception of this kind that Airflow raises."""


async def _cancel_the_clock(poller: Poller) -> None:
    assert poller._clock is not None
    poller._clock.cancel()


async def _break_the_heap(poller: Poller) -> None:
    poller._heap.insert(0, (float("-inf"), -1, None))  # type: ignore[arg-type]
    poller._wake.set()


async def _break_the_sleep(poller: Poller) -> None:
    async def sleep(_: float) -> None:
        raise OSError("no timer")

    poller._sleep = sleep
    poller._wake.set()


async def _break_the_sleep_beyond_exceptions(poller: Poller) -> None:
    async def sleep(_: float) -> None:
        raise _Deadlock

    poller._sleep = sleep
    poller._wake.set()


BREAKS = [_cancel_the_clock, _break_the_heap, _break_the_sleep, _break_the_sleep_beyond_exceptions]


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda one: one.__name__)
def test_when_the_clock_task_stops_all_waits_fail_and_the_next_wait_starts_another(
    break_it: Callable[[Poller], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> list[object]:
        service = Service()
        waits = [asyncio.create_task(service.wait(run_id)) for run_id in ("a", "b", "hangs")]
        await asyncio.sleep(15.0)
        sleep = service.poller._sleep
        await break_it(service.poller)
        async with asyncio.timeout(30.0):
            ended = await asyncio.gather(*waits, return_exceptions=True)
        service.poller._sleep = sleep
        service.ends["a"] = 0.0
        async with asyncio.timeout(30.0):
            result, _ = await service.wait("a")
        await service.poller.close()
        return [*ended, result.end]

    *ended, end = faketime.run(play())
    assert [type(one) for one in ended] == [RuntimeError] * 3
    assert all("stopped unexpectedly" in str(one) for one in ended)
    assert end is WaitEnd.FINISHED
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1


@pytest.mark.parametrize("breaks_with", [ZeroDivisionError("a bug"), _Deadlock(), asyncio.CancelledError()], ids=repr)
def test_when_a_worker_stops_only_the_waits_for_its_run_fail(breaks_with: BaseException) -> None:
    async def play() -> list[Any]:
        service = Service()
        answer = service.poll
        has_broken = False

        async def poll(spec: WaitSpec, poll: PollInFlight) -> PollOutcome:
            nonlocal has_broken
            if spec.run_id == "a" and not has_broken:
                has_broken = True
                raise breaks_with
            return await answer(spec)

        service.poller = Poller(service.account, poll)
        service.ends = {"a": 0.0, "b": 20.0}
        both = [service.wait("a"), service.wait("a"), service.wait("b")]
        async with asyncio.timeout(60.0):
            ended = await asyncio.gather(*both, return_exceptions=True)
            again = await service.wait("a")
        await service.poller.close()
        return [*ended, again]

    first, second, other, again = faketime.run(play())
    assert isinstance(first, Exception)
    assert isinstance(second, Exception)
    assert other[0].end is again[0].end is WaitEnd.FINISHED


def test_a_regular_shutdown_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        service = Service()
        for run_id in ("a", "hangs"):
            asyncio.create_task(service.wait(run_id))  # noqa: RUF006 (the event loop ends it)
        await asyncio.sleep(15.0)

    faketime.run(play())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
