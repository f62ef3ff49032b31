"""
Counters and timers for Airflow's metrics (section ``[metrics]`` of its configuration).

``itwin.runs.started``, ``itwin.runs.adopted``, ``itwin.runs.queued_behind``
    runs that an operator started, adopted, or waits for before it starts its own; tag `kind`
``itwin.runs.ended.<result>``
    finished runs of operators and sensors by result, such as ``itwin.runs.ended.partial_success``; tag `kind`
``itwin.runs.duration``
    timer: duration of finished runs in the cloud; tags `kind`, `result`
``itwin.polls``, ``itwin.throttled``, ``itwin.outages``, ``itwin.outage_seconds``
    polls, responses 429, outages and their duration; reported when a wait ends, and every 30 s during a wait
"""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.models.enums import known_result
from airflow_provider_itwin.version_compat import configured_stats

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.stats import PollCounts

log = logging.getLogger(__name__)

_PREFIX = "itwin"


def run_started(kind: str) -> None:
    """Count a run that a task started."""
    _count("runs.started", kind=kind)


def run_adopted(kind: str) -> None:
    """Count an active run that a task adopted as its own."""
    _count("runs.adopted", kind=kind)


def queued_behind(kind: str) -> None:
    """Count a run that a task waits for before it starts its own."""
    _count("runs.queued_behind", kind=kind)


def run_ended(report: RunReport) -> None:
    """Count a finished run by its result, and record its duration."""
    known = known_result(report.result)
    result = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", known.value).lower() if known else "unknown"
    kind = str(report.ref.kind)
    _count(f"runs.ended.{result}", kind=kind)
    if report.duration is not None:
        _emit("timing", "runs.duration", timedelta(seconds=report.duration), {"kind": kind, "result": result})


def count_polls(counts: PollCounts) -> None:
    """Count polls, responses 429 and outages since the last report."""
    for name in ("polls", "throttled", "outages"):
        if number := getattr(counts, name):
            _count(name, number)
    if counts.outage_seconds:
        _count("outage_seconds", max(1, round(counts.outage_seconds)))


def _count(name: str, number: int = 1, **tags: str) -> None:
    _emit("incr", name, number, tags)


def _emit(method: str, name: str, value: Any, tags: dict[str, str]) -> None:
    try:
        getattr(configured_stats(), method)(f"{_PREFIX}.{name}", value, tags=tags)
    except Exception as error:  # noqa: BLE001 (a metric must not fail a task)
        log.debug("Cannot emit the metric %s: %s", name, error)
