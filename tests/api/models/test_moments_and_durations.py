"""Moments and durations as users write them: the types of the standard library, and their subclasses in pendulum."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pendulum
import pytest

from airflow_provider_itwin.api.models.durations import format_duration, parse_seconds
from airflow_provider_itwin.api.models.moments import moment_text, read_moment


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (None, None),
        (90, 90),
        (0.5, 0.5),
        (timedelta(minutes=2), 120),
        (pendulum.duration(hours=1, minutes=1), 3660),
        (pendulum.datetime(2026, 1, 2) - pendulum.datetime(2026, 1, 1), 86_400),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_timedelta(written: Any, seconds: float | None) -> None:
    assert parse_seconds(written, "timeout") == seconds


@pytest.mark.parametrize("written", [0, -1, True, "60", "PT1M", float("inf"), float("nan"), timedelta(0), date.min])
def test_another_duration_is_rejected(written: object) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds, a timedelta, or None, not"):
        parse_seconds(written, "timeout")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        (date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
        (datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
        (pendulum.date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
        (pendulum.datetime(2026, 7, 2, tz="Europe/Helsinki"), datetime(2026, 7, 1, 21, tzinfo=UTC)),
        (str(pendulum.datetime(2026, 7, 2, tz="Europe/Helsinki")), datetime(2026, 7, 1, 21, tzinfo=UTC)),
        (pendulum.naive(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_datetime_a_date_or_iso_8601(written: Any, moment: datetime) -> None:
    assert read_moment(moment_text(written)) == moment


@pytest.mark.parametrize("written", [None, "", "yesterday", 5, timedelta(1), pendulum.duration(days=1)])
def test_another_moment_is_rejected(written: object) -> None:
    with pytest.raises(ValueError, match="must be a moment in ISO 8601, a datetime or a date"):
        moment_text(written)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (7500, "2 h 5 min")])
def test_a_duration_for_people_has_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
