"""Which processes are lost, and when: random, and reproducible from the seed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .cluster import SCHEDULERS, TRIGGERERS, WORKERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from .cluster import Cluster

IDLE_TIMEOUT = 60.0
"""Seconds to wait for an idle worker to get a task before it is killed anyway."""

MAX_STOPPED = 3
"""Processes that may stop by themselves in a night; a few such failures are not caused by the provider."""

KINDS = {"worker": WORKERS, "triggerer": TRIGGERERS, "scheduler": SCHEDULERS}

PAUSES = {"worker": 1.0, "triggerer": 3.0, "scheduler": 3.0}
"""Longest pauses before a loss, in seconds; short for workers, so that their task is still running."""


@dataclass(frozen=True, order=True)
class Loss:
    """
    The loss of one process.

    :param progress: share of the night's runs that have been started when it happens
    :param pause: seconds after that; for a worker, seconds after it was found running a task
    :param down: seconds until it is replaced
    """

    progress: float
    pause: float
    name: str
    down: float


def draw_losses(seeded_random: Random, counts: Mapping[str, int]) -> list[Loss]:
    """
    Draw the losses of a night, in order of time.

    :param counts: number of losses of each kind; they are spread over the night
    """
    losses = []
    for kind, count in counts.items():
        for number in range(count):
            progress = 0.05 + 0.8 * (number + seeded_random.random()) / count
            losses.append(
                Loss(
                    progress,
                    seeded_random.uniform(0, PAUSES[kind]),
                    seeded_random.choice(KINDS[kind]),
                    seeded_random.uniform(0, 8),
                )
            )
    return sorted(losses)


@dataclass
class LossSchedule:
    """
    Kills and replaces processes at the scheduled times.

    :param happened: name of each lost process, with the seconds since the start
    """

    cluster: Cluster
    losses: list[Loss]
    happened: list[tuple[float, str]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _due: float | None = None
    _idle_deadline: float | None = None
    _down: dict[str, float] = field(default_factory=dict)

    def step(self, progress: float) -> None:
        """Kill and replace the processes that are due."""
        now = time.monotonic()
        for name in [name for name, until in self._down.items() if now >= until]:
            del self._down[name]
            self.cluster.replace(name)
        if not self.losses or progress < self.losses[0].progress:
            return
        loss = self.losses[0]
        if self._due is None:
            if loss.name in self._down or not self._is_at_work(loss.name, now):
                return
            self._due = now + loss.pause
        if now >= self._due:
            self._due = None
            self.losses.pop(0)
            self.cluster.lose(loss.name)
            self.happened.append((now - self._began, loss.name))
            self._down[loss.name] = now + loss.down

    def replace_stopped(self) -> None:
        """Replace processes that have stopped by themselves, as a service manager does."""
        for name in self.cluster.stopped():
            self.happened.append((time.monotonic() - self._began, f"{name} (stopped by itself)"))
            assert sum("stopped by itself" in text for _, text in self.happened) <= MAX_STOPPED, self.happened
            self.cluster.lose(name)
            self.cluster.replace(name)

    def _is_at_work(self, name: str, now: float) -> bool:
        """Return whether the process is working; a worker counts as working after `IDLE_TIMEOUT`."""
        if name not in WORKERS:
            return True
        self._idle_deadline = self._idle_deadline or now + IDLE_TIMEOUT
        if now < self._idle_deadline and not self.cluster.is_at_work(name):
            return False
        self._idle_deadline = None
        return True

    @property
    def is_over(self) -> bool:
        """Whether all scheduled processes have been killed and replaced."""
        return not self.losses and not self._down
