"""That the account of a night tells what was lost and what happened twice: a check that finds nothing would be none."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator, ManualClock

from .cluster import Attempts
from .losses import draw_losses
from .nightly_run import Account, Night, Size

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


def live_through(night: Night, clock: ManualClock) -> list[Attempts]:
    """Synchronize all connections, one after the other, each until it has succeeded."""
    night.occupy()
    clock.advance(100)
    attempts = []
    for connection in night.connections:
        began = clock.now()
        for _ in range(1 + (connection in night.failing)):
            clock.advance(1)
            night.emulator.start_run(connection)
            clock.advance(100)
        attempts.append(Attempts(connection, "night", "success", 1, began))
    return attempts


def test_a_good_night_has_no_faults(night: Night, clock: ManualClock) -> None:
    assert night.faults(live_through(night, clock)) == []
    assert sum(len(runs) for runs in night.foreign.values()) == 1


def test_a_second_run_is_a_fault(night: Night, clock: ManualClock) -> None:
    attempts = live_through(night, clock)
    night.emulator.start_run(night.connections[2])
    clock.advance(100)
    [fault] = night.faults(attempts)
    assert fault.startswith(f"{night.connections[2]} was to have runs")


def test_a_connection_that_was_never_synchronized_is_a_fault(night: Night, clock: ManualClock) -> None:
    assert len(night.faults([])) == 2 * len(night.connections)


def test_a_task_that_still_waits_is_a_fault(night: Night, clock: ManualClock) -> None:
    first, *others = live_through(night, clock)
    [fault] = night.faults([first._replace(state="deferred"), *others])
    assert "has not succeeded" in fault


def test_a_run_that_began_before_its_task_is_a_fault(night: Night, clock: ManualClock) -> None:
    first, *others = live_through(night, clock)
    [fault] = night.faults([first._replace(began=clock.now()), *others])
    assert "was not synchronized after its task had begun" in fault


def test_a_refusal_is_a_fault_and_the_busiest_minute_is_found(night: Night, clock: ManualClock) -> None:
    attempts = live_through(night, clock)
    token = night.emulator.make_token(night.emulator.client_id)
    connection = night.connections[0]
    url = f"{night.emulator.url}/synchronization/imodels/storageconnections/{connection}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    for pause in (0, 30, 20, 20):
        clock.advance(pause)
        urllib.request.urlopen(request).close()
    assert (night.busiest_minute(), night.faults(attempts)) == (3, [])
    night.emulator.fail(status=429)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    assert night.faults(attempts) == ["1 requests were too many"]


def test_the_table_tells_what_happened(night: Night, clock: ManualClock) -> None:
    attempts = live_through(night, clock)
    account = Account(7, night, [(3.4, "worker 1")], attempts, Counter({"retries that knew the run": 2}), 65.0)
    table = dict(line.split("  ", 1) for line in account.lines())
    assert table["lost"].strip() == "worker 1 at 3 s"
    assert table["retries that knew the run"].strip() == "2"


def test_the_same_seed_draws_the_same_losses() -> None:
    first, again, other = (draw_losses(Random(seed), SIZE.losses) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(loss.name.split()[0] for loss in first) == ["scheduler", "worker", "worker"]
    assert first == sorted(first)
