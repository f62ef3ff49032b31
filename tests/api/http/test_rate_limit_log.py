"""Throttling is logged once when it begins and once when it ends, and each task's log says when its own polls are late."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_itwin.api.errors import ITwinRateLimitError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.rate_limit import (
    CALM,
    LASTING,
    LONG_WAIT,
    THROTTLED,
    RequestBudget,
    ThrottlingLog,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import (
    Run,
    RunRef,
    RunSummary,
)
from airflow_provider_itwin.api.runs.polling import PollResult
from airflow_provider_itwin.api.wait.models import WaitSpec
from airflow_provider_itwin.api.wait.poll_queue import POLLED_LESS_OFTEN
from airflow_provider_itwin.api.wait.poller import Poller
from airflow_provider_itwin.api.wait.waiter import PollOutcome
from benchmarks import faketime
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

WHOSE: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody")
Lines = list[tuple[str, str, str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """Return what is logged: level, whose log it is in, text."""
    found: Lines = []

    class Note(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            found.append((record.levelname, WHOSE.get(), record.getMessage()))
            return True

    caplog.set_level(logging.INFO)
    note, names = Note(), ("http.rate_limit", "wait.poll_queue", "wait.poller", "wait.waiter")
    loggers = [logging.getLogger(f"airflow_provider_itwin.api.{name}") for name in names]
    for logger in loggers:
        logger.addFilter(note)
    yield found
    for logger in loggers:
        logger.removeFilter(note)


def asked(budget: RequestBudget, moments: list[float], lines: Lines) -> list[str]:
    throttling = ThrottlingLog("https://api.example")
    for moment in moments:
        throttling.note(budget.take(moment), moment)
    return [level for level, _, _ in lines]


def every(seconds: float, begin: float, end: float) -> list[float]:
    return [begin + number * seconds for number in range(int((end - begin) / seconds))]


@pytest.mark.parametrize(
    ("moments", "levels"),
    [
        (every(1.0, 0.0, 3600.0), []),
        # All that may go out at once, and a few more that have to wait a little.
        ([0.0] * 8, []),
        # A single long wait.
        ([0.0] * 60, ["WARNING"]),
        # Short waits, but always some.
        (every(0.55, 0.0, 600.0), ["WARNING"]),
        # Twice, with a calm hour in between.
        ([0.0] * 60 + every(10.0, 600.0, 900.0) + [4000.0] * 60, ["WARNING", "INFO", "WARNING"]),
        # Again and again with no calm minute: one stretch.
        ([moment for begin in every(60.0, 0.0, 600.0) for moment in [begin] * 60], ["WARNING"]),
    ],
    ids=["within the limit", "a little over it", "far over it", "just over it", "twice", "in waves"],
)
def test_each_stretch_of_throttling_is_logged_once(moments: list[float], levels: list[str], lines: Lines) -> None:
    assert asked(RequestBudget(per_minute=100), moments, lines) == levels
    assert LONG_WAIT < LASTING < CALM


def test_what_the_service_asks_for_is_throttling_too(lines: Lines) -> None:
    budget = RequestBudget()
    budget.hold_back(30.0)
    assert asked(budget, [0.0, 1.0, 2.0], lines) == ["WARNING"]
    assert "30.0 s" in lines[0][2]


def test_throttling_is_logged_in_no_tasks_log(lines: Lines) -> None:
    token = WHOSE.set("a task")
    asked(RequestBudget(per_minute=100), [0.0] * 60 + every(10.0, 600.0, 900.0), lines)
    WHOSE.reset(token)
    assert {whose for _, whose, _ in lines} == {"nobody"}


class Service:
    """A service whose answers take some time, so that polls come late."""

    def __init__(self) -> None:
        self.takes = 0.1
        self.failure = False
        account = Account(PRODUCTION, CREDENTIALS, clock=faketime.now, wall=faketime.now, chance=lambda: 0.5)
        self.poller = Poller(account, self.poll)

    async def poll(self, spec: WaitSpec, _: object = None) -> PollOutcome:
        await asyncio.sleep(self.takes)
        if self.failure:
            return ITwinRateLimitError("429", retry_after=100.0)
        done = faketime.now() > 3000.0
        state, run = ("Completed", Run(state="Completed")) if done else ("Executing", None)
        return PollResult(RunRef(ConnectionKind.STORAGE, "c", spec.run_id or ""), RunSummary(state=state), run)

    async def wait(self, name: str) -> None:
        WHOSE.set(name)
        await self.poller.wait(WaitSpec(ConnectionKind.STORAGE, "c", name, poll_interval=10.0, began=faketime.now()))


def test_a_tasks_own_log_says_once_that_its_polls_are_late_and_once_that_they_are_not(lines: Lines) -> None:
    async def play() -> None:
        service = Service()
        waits = [asyncio.create_task(service.wait(name)) for name in ("a", "b")]
        await asyncio.sleep(500.0)
        service.takes = 40.0
        await asyncio.sleep(1000.0)
        service.takes = 0.1
        await asyncio.gather(*waits)
        await service.poller.close()

    faketime.run(play())
    for name in ("a", "b"):
        own = [(level, text) for level, whose, text in lines if whose == name and "olled" in text]
        assert [level for level, _ in own] == ["WARNING", "INFO"]
        assert f"run {name} of storage connection c, after 50 s instead of 10 s" in own[0][1]
    assert not [text for _, whose, text in lines if whose == "nobody"]


def test_a_poll_that_failed_and_is_retried_later_is_no_late_one(lines: Lines) -> None:
    async def play() -> None:
        service = Service()
        waiting = asyncio.create_task(service.wait("a"))
        await asyncio.sleep(100.0)
        service.failure = True
        await asyncio.sleep(100.0)
        service.failure = False
        await waiting
        await service.poller.close()

    faketime.run(play())
    assert not [text for _, _, text in lines if "less often" in text]


@pytest.mark.parametrize("text", [THROTTLED, POLLED_LESS_OFTEN])
def test_troubleshooting_has_the_words_of_the_log(text: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
    words = {THROTTLED: "are throttled", POLLED_LESS_OFTEN: "Polled less often than planned"}[text]
    assert words in text
    assert f'"{words}"' in page
