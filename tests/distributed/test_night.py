"""
Many connections on a distributed Airflow that loses processes: each is synchronized exactly once.

TEST_SEED sets the seed; TEST_NIGHT=full selects the full size, as ``make test-distributed`` does.
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
from .losses import LossSchedule, draw_losses
from .nightly_run import Night, NightSummary, Size, Stopwatch

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
LOG_TEXTS = {
    "retries that loaded the stored run": "A previous attempt of this task started run",
    "retries that found the run": "began after this task first asked for a run",
    "active runs that were adopted": "is active and counts as the run of this task",
}
TRIGGER_TIMEOUT = 60.0
STEPS_PER_QUERY = 20
"""Steps of the loss schedule between two queries of Airflow's database."""


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
            start_all_dag_runs(night, cluster)
            stopwatch = Stopwatch()
            schedule = LossSchedule(cluster, losses)
            wait_for_the_end(night, cluster, schedule)
            seconds = stopwatch.seconds
            nothing_waits = wait_until(lambda: cluster.count_triggers() == 0, TRIGGER_TIMEOUT, every=1.0)
            records = cluster.task_records()
            log_counts = Counter(dict.fromkeys(LOG_TEXTS, 0))
            for log in cluster.task_logs():
                log_counts.update(name for name, text in LOG_TEXTS.items() if text in log)
            log_counts["tasks queued again after the loss of a worker"] = cluster.count_requeued()
            log_counts["tasks adopted from a lost scheduler"] = cluster.count_adopted()
            summary = NightSummary(seed(), night, schedule.happened, records, log_counts, seconds)
            with capsys.disabled():
                print("", *summary.lines(), sep="\n")
            problems = night.problems(records)
            if problems:
                print(*cluster.task_errors(), cluster.last_output(), sep="\n")

    assert not problems, "\n".join(problems)
    assert schedule.is_over, "all scheduled losses happened"
    assert nothing_waits, "no trigger is left"


def start_all_dag_runs(night: Night, cluster: Cluster) -> None:
    """Start the DAG runs of all connections concurrently."""
    cluster.api.pause("nightly")
    for connection in night.connections:
        cluster.api.trigger("nightly", {"connection_id": connection})
    night.occupy()
    cluster.api.pause("nightly", paused=False)


def wait_for_the_end(night: Night, cluster: Cluster, schedule: LossSchedule) -> None:
    """Kill processes as scheduled, and wait until all DAG runs have ended."""
    steps = itertools.count()

    def is_over() -> bool:
        schedule.step(night.count_started() / night.expected_runs)
        if next(steps) % STEPS_PER_QUERY:
            return False
        schedule.replace_stopped()
        return schedule.is_over and not set(cluster.run_states()) - {"success", "failed"}

    wait_or_report(night.size.seconds, is_over, cluster)


def wait_or_report(seconds: float, is_over: Callable[[], bool], cluster: Cluster) -> None:
    """Wait for the end of the night; after the timeout, print the state and return."""
    if not wait_until(is_over, seconds, every=0.1):
        print(f"Not finished after {seconds:.0f} s: {cluster.run_states()}")
