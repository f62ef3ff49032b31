"""The counters of polls are reported once in a while, each count once."""

from __future__ import annotations

from airflow_provider_itwin.api.wait.stats import (
    INTERVAL,
    PollCounts,
    PollStats,
)


def test_each_count_is_reported_once() -> None:
    reports: list[PollCounts] = []
    stats = PollStats()
    stats.report_to(reports.append)
    assert stats.due == 0.0
    stats.polls += 3
    stats.throttled += 1
    stats.note_outage(12.5)
    stats.note_outage(-1.0)
    stats.flush(1000.0)
    assert reports == [PollCounts(3, 1, 2, 12.5)]
    assert stats.due == 1000.0 + INTERVAL
    stats.flush(1001.0)
    assert len(reports) == 1
    stats.polls += 1
    stats.flush(1040.0)
    assert reports[1] == PollCounts(1, 0, 0, 0.0)


def test_no_report_is_due_without_a_listener() -> None:
    stats = PollStats()
    assert stats.due == float("inf")
    stats.polls += 1
    stats.flush(1.0)
    reports: list[PollCounts] = []
    stats.report_to(reports.append)
    stats.flush(2.0)
    assert reports == []
    stats.report_to(None)
    assert stats.due == float("inf")


def test_setting_the_same_listener_again_keeps_the_counts() -> None:
    reports: list[PollCounts] = []
    listener = reports.append
    stats = PollStats()
    stats.report_to(listener)
    stats.polls += 1
    stats.report_to(listener)
    stats.flush(0.0)
    assert reports == [PollCounts(1, 0, 0, 0.0)]
