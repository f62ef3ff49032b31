"""Which processes are lost at which moment: drawn by lot, and the same for the same seed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .cluster import SCHEDULERS, TRIGGERERS, WORKERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from .cluster import Cluster

PATIENCE = 60.0
"""Seconds for which a worker may be idle before it is lost all the same."""

MOST_FALLEN = 3
"""Processes that may end by themselves in a night: Airflow's own affair, as long as it is rare."""

KINDS = {"worker": WORKERS, "triggerer": TRIGGERERS, "scheduler": SCHEDULERS}

PAUSES = {"worker": 1.0, "triggerer": 3.0, "scheduler": 3.0}
"""Longest pauses before a loss, in seconds: a task is short, and to be hit."""


@dataclass(frozen=True, order=True)
class Loss:
    """
    One process that is lost.

    :param progress: share of the night's runs that have been started when it happens
    :param pause: seconds after that; with a worker, after it has been found at work
    :param down: seconds until there is another in its place
    """

    progress: float
    pause: float
    name: str
    down: float


def draw_losses(seeded_random: Random, counts: Mapping[str, int]) -> list[Loss]:
    """
    Draw the losses of a night, in their order.

    :param counts: how many of each kind; they are spread over the night
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
class Fate:
    """
    Brings the losses about, one look at the clock after the other.

    :param happened: what was lost, and how many seconds after the beginning
    """

    cluster: Cluster
    losses: list[Loss]
    happened: list[tuple[float, str]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _due: float | None = None
    _patience: float | None = None
    _down: dict[str, float] = field(default_factory=dict)

    def go_on(self, progress: float) -> None:
        """Lose and replace what it is time for."""
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

    def replace_fallen(self) -> None:
        """Replace what has ended by itself, as a service manager does."""
        for name in self.cluster.fallen():
            self.happened.append((time.monotonic() - self._began, f"{name}, which fell over,"))
            assert sum("fell over" in what for _, what in self.happened) <= MOST_FALLEN, self.happened
            self.cluster.lose(name)
            self.cluster.replace(name)

    def _is_at_work(self, name: str, now: float) -> bool:
        """Whether something is lost with it; a worker that stays idle is not waited for forever."""
        if name not in WORKERS:
            return True
        self._patience = self._patience or now + PATIENCE
        if now < self._patience and not self.cluster.is_at_work(name):
            return False
        self._patience = None
        return True

    @property
    def is_over(self) -> bool:
        """Whether all has been lost, and replaced, that was to be."""
        return not self.losses and not self._down
