"""When a watcher looks again, and how often it speaks of the same trouble."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinPermissionError,
    ITwinRateLimitError,
    ITwinServerError,
)
from airflow_provider_itwin.api.wait.schedule import AFTER_REFUSAL, FeedSchedule


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def rhythm(time: Time, poll_interval: float | None = None) -> FeedSchedule:
    return FeedSchedule("a connection", poll_interval, clock=time, chance=lambda: 0.5)


def test_looks_get_rarer_in_the_quiet_and_frequent_again_with_news(time: Time) -> None:
    one = rhythm(time)
    pauses = []
    for _ in range(100):
        pauses.append(one.after_poll(has_changed=False))
        time.now += pauses[-1]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (10.0, 120.0)
    assert one.after_poll(has_changed=True) == 10.0


def test_a_fixed_interval_is_kept(time: Time) -> None:
    one = rhythm(time, 7.0)
    time.now += 10_000
    assert {one.after_poll(has_changed=changed) for changed in (True, False)} == {7.0}


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan")])
def test_an_interval_that_makes_no_sense_is_refused(time: Time, interval: float) -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        rhythm(time, interval)


def test_an_outage_is_told_once_and_its_end_once(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = rhythm(time)
    troubles = [ITwinServerError("down", status=503), ITwinConnectionError("no answer")] * 20
    pauses = []
    for failure in troubles:
        pauses.append(one.after_error(failure))
        time.now += pauses[-1]
    one.after_poll(has_changed=False)
    one.after_poll(has_changed=False)
    assert max(pauses) <= 60
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    one.after_error(troubles[0])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_what_the_service_asks_for_is_heeded(time: Time) -> None:
    assert rhythm(time).after_error(ITwinRateLimitError("slow", status=429, retry_after=90.0)) >= 90


def test_a_refusal_is_told_as_an_error_and_tried_slowly(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = rhythm(time)
    pauses = {one.after_error(ITwinPermissionError(f"no ({number})", status=403)) for number in range(10)}
    assert min(pauses) >= AFTER_REFUSAL
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no (0)" in caplog.text


def test_a_refusal_after_an_outage_is_told_too(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = rhythm(time)
    one.after_error(ITwinServerError("down", status=503))
    one.after_error(ITwinPermissionError("no", status=403))
    one.after_error(ITwinServerError("down", status=503))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
