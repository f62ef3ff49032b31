"""How often an account may ask."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from airflow_provider_itwin.api.http.rate_limit import RequestBudget


def turns(budget: RequestBudget, asked: list[float]) -> list[float]:
    """Give the moments at which those who ask at these moments get their turns."""
    return [moment + budget.take(moment) for moment in asked]


def most_in(window: float, moments: list[float]) -> int:
    """Count the most moments in any window of that length."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_no_limit_means_no_wait() -> None:
    assert turns(RequestBudget(), [1.0] * 1000) == [1.0] * 1000


@pytest.mark.parametrize(
    ("per_minute", "per_hour"), [(500, 5000), (60, 0), (0, 5000), (5000, 0), (10, 100), (1, 0), (2, 30)]
)
def test_no_window_ever_sees_more_than_allowed(per_minute: float, per_hour: float) -> None:
    chance = random.Random(7)
    budget = RequestBudget(per_minute, per_hour)
    asked = sorted(chance.uniform(0, 4 * 3600) for _ in range(12_000))
    asked[2000:4000] = [asked[2000]] * 2000  # everybody at once, as at midnight
    got = turns(budget, asked)
    assert got == sorted(got), "first come, first served"
    if per_minute:
        assert most_in(60.0, got) <= per_minute
    if per_hour:
        assert most_in(3600.0, got) <= per_hour


def test_a_small_part_may_go_at_once_and_the_rest_is_spread_evenly() -> None:
    got = turns(RequestBudget(per_minute=600), [0.0] * 600)
    at_once = sum(moment == 0.0 for moment in got)
    assert 55 <= at_once <= 62
    gaps = [later - earlier for earlier, later in pairwise(got[at_once:])]
    assert max(gaps) - min(gaps) < 1e-6


def test_idleness_earns_no_more_than_that_small_part() -> None:
    budget = RequestBudget(per_minute=600)
    turns(budget, [0.0] * 600)
    got = turns(budget, [100_000.0] * 600)
    assert sum(moment == 100_000.0 for moment in got) <= 62


def test_what_the_service_says_about_waiting_holds_for_everybody() -> None:
    budget = RequestBudget()
    budget.hold_back(30.0)
    budget.hold_back(20.0)
    assert turns(budget, [10.0, 29.0, 31.0]) == [30.0, 30.0, 31.0]


def test_most_of_the_allowance_is_used() -> None:
    got = turns(RequestBudget(per_minute=500), [0.0] * 5000)
    assert got[-1] < 5000 / 500 * 60 * 1.15
