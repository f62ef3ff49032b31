"""When to ask again."""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST = 10.0
LONGEST = 120.0
SHARE = 0.05
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """
    When to look at a run again.

    Without a fixed interval the next look comes after 5 % of the time that the wait has lasted, but not within 10 seconds
    nor later than after two minutes, give or take a tenth so that waits that began together do not look together. An hour's
    run then costs some eighty looks, and its end is seen at most 5 % of its length late.

    :param interval: seconds between two looks, None for the adaptive schedule
    """

    interval: float | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and not self.interval > 0:
            raise ValueError(f"poll_interval must be a positive number of seconds or None, not {self.interval!r}")

    def next_pause(self, elapsed: float, chance: float) -> float:
        """
        Give the seconds until the next look.

        :param elapsed: seconds that the wait has lasted
        :param chance: a random number from 0 up to 1
        """
        if self.interval is not None:
            return self.interval
        return min(LONGEST, max(SHORTEST, SHARE * elapsed)) * (1 + JITTER * (2 * chance - 1))
