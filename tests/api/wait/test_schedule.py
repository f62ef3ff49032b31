"""The pause before the next poll, and the backoff after an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.http.backoff import LONGEST_RETRY_AFTER, backoff
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
def test_the_pause_is_five_percent_of_the_elapsed_time_within_ten_seconds_and_two_minutes(
    elapsed: float, pause: float
) -> None:
    schedule = PollSchedule()

    assert schedule.next_pause(elapsed, 0.5) == pytest.approx(pause)
    assert schedule.next_pause(elapsed, 0.0) == pytest.approx(pause * 0.9)
    assert schedule.next_pause(elapsed, 1.0) == pytest.approx(pause), "never later than promised"


@given(st.floats(0, 1e7), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_at_most_five_and_a_half_percent_of_the_elapsed_time(elapsed: float, chance: float) -> None:
    pause = PollSchedule().next_pause(elapsed, chance)

    assert 9.0 <= pause <= 132.0
    assert pause <= max(11.0, 0.055 * elapsed + 1e-6)


@pytest.mark.parametrize("interval", [0.001, 1, 30.0, 3600])
def test_a_fixed_interval_is_kept_exactly(interval: float) -> None:
    assert {PollSchedule(interval).next_pause(elapsed, 0.9) for elapsed in (0, 10, 1e6)} == {interval}


@pytest.mark.parametrize("interval", [0, -1, -0.0, float("nan"), float("inf"), float("-inf")])
def test_an_invalid_interval_is_refused(interval: float) -> None:
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
def test_the_backoff_grows_up_to_a_limit_and_honours_retry_after(
    tries: int, chance: float, retry_after: float | None, seconds: float
) -> None:
    assert backoff(tries, chance, retry_after) == pytest.approx(seconds)


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9))
def test_a_backoff_stays_within_bounds(tries: int, chance: float, retry_after: Any) -> None:
    seconds = backoff(tries, chance, retry_after)

    assert 0.5 <= seconds <= 1.1 * LONGEST_RETRY_AFTER
    assert seconds >= min(retry_after or 0.0, LONGEST_RETRY_AFTER)
