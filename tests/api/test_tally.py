"""What waiting costs is told once in a while, all of it and once only."""

from __future__ import annotations

from airflow_provider_itwin.api.wait.stats import (
    INTERVAL,
    Costs,
    Tally,
)


def test_tells_what_has_come_together_once() -> None:
    told: list[Costs] = []
    tally = Tally()
    tally.tell(told.append)
    assert tally.due == 0.0
    tally.polls += 3
    tally.throttled += 1
    tally.note_outage(12.5)
    tally.note_outage(-1.0)
    tally.flush(1000.0)
    assert told == [Costs(3, 1, 2, 12.5)]
    assert tally.due == 1000.0 + INTERVAL
    tally.flush(1001.0)
    assert len(told) == 1
    tally.polls += 1
    tally.flush(1040.0)
    assert told[1] == Costs(1, 0, 0, 0.0)


def test_is_never_due_when_nobody_listens() -> None:
    tally = Tally()
    assert tally.due == float("inf")
    tally.polls += 1
    tally.flush(1.0)
    told: list[Costs] = []
    tally.tell(told.append)
    tally.flush(2.0)
    assert told == []
    tally.tell(None)
    assert tally.due == float("inf")
