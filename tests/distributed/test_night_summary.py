"""The checks of a night find lost and repeated runs; without these tests, a check that finds nothing could be broken."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator, ManualClock

from .cluster import TaskRecord
from .losses import draw_losses
from .nightly_run import Night, NightSummary, Size

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = Size(2, 4, {"worker": 2, "scheduler": 1}, 1, 1, per_minute=500, share=100, seconds=60)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def night(clock: ManualClock) -> Iterator[Night]:
    night = Night(SIZE, Random(7), Emulator(clock=clock))
    with night.emulator:
        yield night


def synchronize_all(night: Night, clock: ManualClock) -> list[TaskRecord]:
    """Synchronize all connections one after the other, each until it has succeeded."""
    night.occupy()
    clock.advance(100)
    records = []
    for connection in night.connections:
        began = clock.now()
        for _ in range(1 + (connection in night.failing)):
            clock.advance(1)
            night.emulator.start_run(connection)
            clock.advance(100)
        records.append(TaskRecord(connection, "night", "success", 1, began))
    return records


def test_a_successful_night_has_no_problems(night: Night, clock: ManualClock) -> None:
    assert night.problems(synchronize_all(night, clock)) == []
    assert sum(len(runs) for runs in night.foreign.values()) == 1


def test_a_second_run_is_a_problem(night: Night, clock: ManualClock) -> None:
    records = synchronize_all(night, clock)
    night.emulator.start_run(night.connections[2])
    clock.advance(100)
    [problem] = night.problems(records)
    assert problem.startswith(f"{night.connections[2]} must have runs")


def test_a_connection_that_was_never_synchronized_is_a_problem(night: Night, clock: ManualClock) -> None:
    assert len(night.problems([])) == 2 * len(night.connections)


def test_a_task_that_is_still_waiting_is_a_problem(night: Night, clock: ManualClock) -> None:
    first, *others = synchronize_all(night, clock)
    [problem] = night.problems([first._replace(state="deferred"), *others])
    assert "has not succeeded" in problem


def test_a_run_that_began_before_its_task_is_a_problem(night: Night, clock: ManualClock) -> None:
    first, *others = synchronize_all(night, clock)
    [problem] = night.problems([first._replace(began=clock.now()), *others])
    assert "was not synchronized after its task had started" in problem


def test_a_refusal_is_a_problem_and_the_busiest_minute_is_found(night: Night, clock: ManualClock) -> None:
    records = synchronize_all(night, clock)
    token = night.emulator.make_token(night.emulator.client_id)
    connection = night.connections[0]
    url = f"{night.emulator.url}/synchronization/imodels/storageconnections/{connection}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    for pause in (0, 30, 20, 20):
        clock.advance(pause)
        urllib.request.urlopen(request).close()
    assert (night.busiest_minute(), night.problems(records)) == (3, [])
    night.emulator.fail(status=429)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    assert night.problems(records) == ["1 requests exceeded the rate limit"]


def test_the_table_lists_what_happened(night: Night, clock: ManualClock) -> None:
    records = synchronize_all(night, clock)
    summary = NightSummary(
        7, night, [(3.4, "worker 1")], records, Counter({"retries that loaded the stored run": 2}), 65.0
    )
    table = dict(line.split("  ", 1) for line in summary.lines())
    assert table["lost"].strip() == "worker 1 at 3 s"
    assert table["retries that loaded the stored run"].strip() == "2"


def test_the_same_seed_draws_the_same_losses() -> None:
    first, again, other = (draw_losses(Random(seed), SIZE.losses) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(loss.name.split()[0] for loss in first) == ["scheduler", "worker", "worker"]
    assert first == sorted(first)
