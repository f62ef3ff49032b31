"""When a feed of finished runs polls again, and how often it logs the same error."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinPermissionError,
    ITwinRateLimitError,
    ITwinServerError,
)
from airflow_provider_itwin.api.wait.schedule import REFUSAL_PAUSE, FeedSchedule


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


def feed_schedule(time: FakeClock, poll_interval: float | None = None) -> FeedSchedule:
    return FeedSchedule("a connection", poll_interval, clock=time, chance=lambda: 0.5)


def test_pauses_grow_without_changes_and_are_short_again_after_one(time: FakeClock) -> None:
    schedule = feed_schedule(time)
    pauses = []
    for _ in range(100):
        pauses.append(schedule.after_poll(has_changed=False))
        time.now += pauses[-1]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (10.0, 120.0)
    assert schedule.after_poll(has_changed=True) == 10.0


def test_a_fixed_interval_is_kept(time: FakeClock) -> None:
    schedule = feed_schedule(time, 7.0)
    time.now += 10_000
    assert {schedule.after_poll(has_changed=changed) for changed in (True, False)} == {7.0}


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan")])
def test_an_invalid_interval_is_refused(time: FakeClock, interval: float) -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        feed_schedule(time, interval)


def test_an_outage_is_logged_once_and_its_end_once(time: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    schedule = feed_schedule(time)
    failures = [ITwinServerError("down", status=503), ITwinConnectionError("no answer")] * 20
    pauses = []
    for failure in failures:
        pauses.append(schedule.after_error(failure))
        time.now += pauses[-1]
    schedule.after_poll(has_changed=False)
    schedule.after_poll(has_changed=False)
    assert max(pauses) <= 60
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    schedule.after_error(failures[0])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_retry_after_is_honoured(time: FakeClock) -> None:
    assert feed_schedule(time).after_error(ITwinRateLimitError("slow", status=429, retry_after=90.0)) >= 90


def test_a_refusal_is_logged_once_as_an_error_and_retried_slowly(
    time: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    schedule = feed_schedule(time)
    pauses = {schedule.after_error(ITwinPermissionError(f"no ({number})", status=403)) for number in range(10)}
    assert min(pauses) >= REFUSAL_PAUSE
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no (0)" in caplog.text


def test_a_refusal_after_an_outage_is_logged_too(time: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    schedule = feed_schedule(time)
    schedule.after_error(ITwinServerError("down", status=503))
    schedule.after_error(ITwinPermissionError("no", status=403))
    schedule.after_error(ITwinServerError("down", status=503))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
