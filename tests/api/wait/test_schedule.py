"""When to look again, and how soon to try again after trouble."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.http.backoff import LONGEST_OBEDIENCE, backoff
from airflow_provider_itwin.api.wait.schedule import PollSchedule


@pytest.mark.parametrize(
    ("elapsed", "pause"),
    [
        (0, 10),
        (-5, 10),
        (100, 10),
        (200, 10),
        (201, 10.05),
        (1000, 50),
        (2000, 100),
        (2400, 120),
        (2401, 120),
        (1e9, 120),
    ],
)
def test_five_percent_within_ten_seconds_and_two_minutes(elapsed: float, pause: float) -> None:
    schedule = PollSchedule()

    assert schedule.next_pause(elapsed, 0.5) == pytest.approx(pause)
    assert schedule.next_pause(elapsed, 0.0) == pytest.approx(pause * 0.9)
    assert schedule.next_pause(elapsed, 1.0) == pytest.approx(pause), "never later than promised"


@given(st.floats(0, 1e7), st.floats(0, 1, exclude_max=True))
def test_the_end_of_a_run_is_seen_in_time(elapsed: float, chance: float) -> None:
    pause = PollSchedule().next_pause(elapsed, chance)

    assert 9.0 <= pause <= 132.0
    assert pause <= max(11.0, 0.055 * elapsed + 1e-6)


@pytest.mark.parametrize("interval", [0.001, 1, 30.0, 3600])
def test_an_interval_of_ones_own_is_kept_exactly(interval: float) -> None:
    assert {PollSchedule(interval).next_pause(elapsed, 0.9) for elapsed in (0, 10, 1e6)} == {interval}


@pytest.mark.parametrize("interval", [0, -1, -0.0, float("nan"), float("inf"), float("-inf")])
def test_an_interval_that_is_none_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="poll_interval must be a positive number of seconds or None"):
        PollSchedule(interval)


@pytest.mark.parametrize(
    ("tries", "chance", "retry_after", "seconds"),
    [
        (1, 0.0, None, 0.5),
        (1, 1.0, None, 1.0),
        (2, 1.0, None, 2.0),
        (6, 1.0, None, 32.0),
        (7, 1.0, None, 60.0),
        (10_000, 1.0, None, 60.0),
        (1, 0.0, 0.0, 0.5),
        (1, 0.0, 7.0, 7.0),
        (1, 1.0, 7.0, 7.7),
        (7, 1.0, 7.0, 60.0),
        (1, 0.0, 1e8, 300.0),
        (1, 1.0, 1e8, 330.0),
    ],
)
def test_trouble_is_given_more_and_more_time(
    tries: int, chance: float, retry_after: float | None, seconds: float
) -> None:
    assert backoff(tries, chance, retry_after) == pytest.approx(seconds)


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9))
def test_pauses_stay_within_bounds(tries: int, chance: float, retry_after: Any) -> None:
    seconds = backoff(tries, chance, retry_after)

    assert 0.5 <= seconds <= 1.1 * LONGEST_OBEDIENCE
    assert seconds >= min(retry_after or 0.0, LONGEST_OBEDIENCE)
