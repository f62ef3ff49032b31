"""
Counters and timers for Airflow's metrics (``[metrics]`` of its configuration); nothing happens where there are none.

``itwin.runs.started``, ``itwin.runs.adopted``, ``itwin.runs.queued_behind``
    runs that an operator has started, has taken for its own, or waits for to start its own; tag `kind`
``itwin.runs.ended.<result>``
    runs that operators and sensors have seen end, such as ``itwin.runs.ended.partial_success``; tag `kind`
``itwin.runs.duration``
    a timer of how long they took in the cloud; tags `kind`, `result`
``itwin.polls``, ``itwin.throttled``, ``itwin.outages``, ``itwin.outage_seconds``
    what waiting costs: looks at runs, answers 429, and trouble with the service; told at the end of a wait, and every half
    minute while one goes on
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.models.enums import known_result

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.stats import PollCosts

log = logging.getLogger(__name__)

_PREFIX = "itwin"
_PLACES = ("airflow.sdk._shared.observability.metrics.stats", "airflow._shared.observability.metrics.stats")


def run_started(kind: str) -> None:
    """Count a run that a task has started."""
    _count("runs.started", kind=kind)


def run_adopted(kind: str) -> None:
    """Count a run that a task has taken for its own."""
    _count("runs.adopted", kind=kind)


def queued_behind(kind: str) -> None:
    """Count a run that a task waits for in order to start its own."""
    _count("runs.queued_behind", kind=kind)


def run_ended(report: RunReport) -> None:
    """Count a run that a task has seen the end of, by its result, and tell how long it took."""
    known = known_result(report.result)
    result = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", known.value).lower() if known else "unknown"
    kind = str(report.ref.kind)
    _count(f"runs.ended.{result}", kind=kind)
    if report.duration is not None:
        _do("timing", "runs.duration", timedelta(seconds=report.duration), {"kind": kind, "result": result})


def waiting_cost(costs: PollCosts) -> None:
    """Tell what waiting has cost lately."""
    for name in ("polls", "throttled", "outages"):
        if number := getattr(costs, name):
            _count(name, number)
    if costs.outage_seconds:
        _count("outage_seconds", max(1, round(costs.outage_seconds)))


def _count(name: str, number: int = 1, **tags: str) -> None:
    _do("incr", name, number, tags)


def _do(what: str, name: str, value: Any, tags: dict[str, str]) -> None:
    try:
        getattr(_stats(), what)(f"{_PREFIX}.{name}", value, tags=tags)
    except Exception as error:  # noqa: BLE001 (no run fails for the lack of a number)
        log.debug("The metric %s could not be told: %s", name, error)


def _stats() -> Any:
    """
    Find where this process tells its metrics.

    Airflow 3.2 and 3.3 have two such places: one is set up on workers, the other in the triggerer. Older ones have one, which
    sets itself up when it is asked.
    """
    for name in _PLACES:
        place = sys.modules.get(name)
        if getattr(place, "_factory", None) is not None:
            return place
        stats = getattr(place, "Stats", None)
        if stats is not None and vars(stats).get("factory") is not None:
            return stats
    from airflow.providers.common.compat.sdk import Stats

    return Stats
