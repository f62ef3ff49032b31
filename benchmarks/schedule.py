"""The cost and the delay of the default schedule, compared with fixed intervals (computed, not measured)."""

from __future__ import annotations

import random
import statistics

import msgspec

from airflow_provider_itwin.api.wait.schedule import PollSchedule

MINUTE = 60.0
DURATIONS = tuple(minutes * MINUTE for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 180))
INTERVALS = (None, 10.0, 60.0)


class ScheduleFigures(msgspec.Struct):
    """
    Runs of one duration with one schedule.

    :param requests: mean number of requests per run
    :param late: seconds from the end of the run to the poll that detects it: mean, maximum
    """

    duration: float
    interval: float | None
    requests: float
    most_requests: int
    late: tuple[float, float]

    @property
    def an_hour(self) -> float:
        """Requests per hour of waiting."""
        return self.requests * 60 * MINUTE / self.duration


def schedule_figures(trials: int = 2000) -> list[ScheduleFigures]:
    """Compute `trials` runs of each duration, plus or minus 2 %, with each schedule."""
    chance = random.Random(3)  # noqa: S311 (no secret)
    return [
        _figures_of_schedule(duration, PollSchedule(interval), trials, chance)
        for duration in DURATIONS
        for interval in INTERVALS
    ]


def _figures_of_schedule(
    duration: float, schedule: PollSchedule, trials: int, chance: random.Random
) -> ScheduleFigures:
    requests, late = [], []
    for _ in range(trials):
        end = duration * chance.uniform(0.98, 1.02)
        moment, polls = 0.0, 1
        while moment < end:
            moment += schedule.next_pause(moment, chance.random())
            polls += 1
        requests.append(polls)
        late.append(moment - end)
    return ScheduleFigures(
        duration, schedule.interval, statistics.fmean(requests), max(requests), (statistics.fmean(late), max(late))
    )
