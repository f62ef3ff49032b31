"""What the default schedule costs and how late it sees the end of a run, against fixed intervals; nothing but arithmetic."""

from __future__ import annotations

import random
import statistics

import msgspec

from airflow_provider_itwin.api.wait.schedule import PollSchedule

MINUTE = 60.0
DURATIONS = tuple(minutes * MINUTE for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 180))
INTERVALS = (None, 10.0, 60.0)


class Course(msgspec.Struct):
    """
    Runs of about one duration under one schedule.

    :param requests: for a run, mean
    :param late: seconds from its end to the look that sees it: mean, most
    """

    duration: float
    interval: float | None
    requests: float
    most_requests: int
    late: tuple[float, float]

    @property
    def an_hour(self) -> float:
        """Requests for an hour of waiting."""
        return self.requests * 60 * MINUTE / self.duration


def courses(trials: int = 2000) -> list[Course]:
    """Follow so many runs of each duration, give or take 2 %, under each schedule."""
    chance = random.Random(3)  # noqa: S311 (no secret)
    return [
        _course(duration, PollSchedule(interval), trials, chance) for duration in DURATIONS for interval in INTERVALS
    ]


def _course(duration: float, schedule: PollSchedule, trials: int, chance: random.Random) -> Course:
    requests, late = [], []
    for _ in range(trials):
        end = duration * chance.uniform(0.98, 1.02)
        moment, looks = 0.0, 1
        while moment < end:
            moment += schedule.next_pause(moment, chance.random())
            looks += 1
        requests.append(looks)
        late.append(moment - end)
    return Course(
        duration, schedule.interval, statistics.fmean(requests), max(requests), (statistics.fmean(late), max(late))
    )
