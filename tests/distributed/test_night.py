"""
Many connections at once on a distributed Airflow that loses its processes: none is synchronized twice, and none never.

TEST_SEED draws another night, TEST_NIGHT=full a whole one (which ``make test-distributed`` does).
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.airflow_home import itwin_connection
from scripts.processes import wait_until
from tests.seeded_random import seed, seeded_random

from .cluster import Cluster
from .losses import Fate, draw_losses
from .nightly_run import Account, Night, Size, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

DAG_FILES = sorted((Path(__file__).parent / "dags").glob("*.py"))
SIZES = {
    "small": Size(8, 20, {"worker": 1, "triggerer": 1, "scheduler": 1}, 2, 3, per_minute=500, share=100, seconds=600),
    "full": Size(
        40, 200, {"worker": 5, "triggerer": 5, "scheduler": 2}, 10, 12, per_minute=500, share=100, seconds=3600
    ),
}
WORDS = {
    "retries that knew the run": "An earlier try of this task has started run",
    "retries that found the run": "began after an earlier try of this task had asked for it",
    "active runs taken for their own": "is active and counts as the run of this task",
}
SHORT = 60.0
LOOKS_BETWEEN = 20
"""Looks at the clock between two looks at Airflow's database."""


@pytest.mark.usefixtures("services")
def test_every_connection_is_synchronized_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = SIZES[os.environ.get("TEST_NIGHT", "small")]
    night = Night(size, seeded_random("night"))
    losses = draw_losses(seeded_random("losses"), size.losses)
    with night.emulator as emulator:
        settings = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret) | {
            "AIRFLOW__ITWIN__REQUESTS_PER_MINUTE": str(size.share),
            "AIRFLOW__ITWIN__REQUESTS_PER_HOUR": "0",
        }
        with Cluster(tmp_path / "airflow", DAG_FILES, settings) as cluster:
            cluster.api.wait_for_dag("nightly")
            ask_for_everything(night, cluster)
            stopwatch = Stopwatch()
            fate = Fate(cluster, losses)
            live_through(night, cluster, fate)
            seconds = stopwatch.seconds
            nothing_waits = wait_until(lambda: cluster.count_triggers() == 0, SHORT, every=1.0)
            attempts = cluster.attempts()
            words = Counter(dict.fromkeys(WORDS, 0))
            for log in cluster.task_logs():
                words.update(name for name, said in WORDS.items() if said in log)
            words["tasks queued anew, lost with a worker"] = cluster.count_handed_out_again()
            words["tasks taken over from a lost scheduler"] = cluster.count_adopted()
            account = Account(seed(), night, fate.happened, attempts, words, seconds)
            with capsys.disabled():
                print("", *account.lines(), sep="\n")
            faults = night.faults(attempts)
            if faults:
                print(*cluster.errors_of_tasks(), cluster.last_words(), sep="\n")

    assert not faults, "\n".join(faults)
    assert fate.is_over, "all was lost that was to be"
    assert nothing_waits, "nothing was left in the triggerers"


def ask_for_everything(night: Night, cluster: Cluster) -> None:
    """Let the synchronization of all connections begin at once."""
    cluster.api.pause("nightly")
    for connection in night.connections:
        cluster.api.trigger("nightly", {"connection_id": connection})
    night.occupy()
    cluster.api.pause("nightly", paused=False)


def live_through(night: Night, cluster: Cluster, fate: Fate) -> None:
    """Let processes be lost, and wait for the end of it all."""
    looks = itertools.count()

    def is_over() -> bool:
        fate.go_on(night.count_started() / night.runs_wanted)
        if next(looks) % LOOKS_BETWEEN:
            return False
        fate.replace_fallen()
        return fate.is_over and not set(cluster.run_states()) - {"success", "failed"}

    within(night.size.seconds, is_over, cluster)


def within(seconds: float, is_over: Callable[[], bool], cluster: Cluster) -> None:
    """Wait for the end of the night, and go on to its account even if it does not come."""
    if not wait_until(is_over, seconds, every=0.1):
        print(f"Not over after {seconds:.0f} s: {cluster.run_states()}")
