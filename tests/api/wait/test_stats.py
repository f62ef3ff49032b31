"""What waiting costs is told once in a while, all of it and once only."""

from __future__ import annotations

from airflow_provider_itwin.api.wait.stats import (
    INTERVAL,
    PollCosts,
    PollStats,
)


def test_tells_what_has_come_together_once() -> None:
    told: list[PollCosts] = []
    stats = PollStats()
    stats.tell(told.append)
    assert stats.due == 0.0
    stats.polls += 3
    stats.throttled += 1
    stats.note_outage(12.5)
    stats.note_outage(-1.0)
    stats.flush(1000.0)
    assert told == [PollCosts(3, 1, 2, 12.5)]
    assert stats.due == 1000.0 + INTERVAL
    stats.flush(1001.0)
    assert len(told) == 1
    stats.polls += 1
    stats.flush(1040.0)
    assert told[1] == PollCosts(1, 0, 0, 0.0)


def test_is_never_due_when_nobody_listens() -> None:
    stats = PollStats()
    assert stats.due == float("inf")
    stats.polls += 1
    stats.flush(1.0)
    told: list[PollCosts] = []
    stats.tell(told.append)
    stats.flush(2.0)
    assert told == []
    stats.tell(None)
    assert stats.due == float("inf")
