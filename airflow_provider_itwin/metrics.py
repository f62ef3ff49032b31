"""
Counters and timers for Airflow's metrics (section ``[metrics]`` of its configuration).

:data:`METRICS` lists them. Airflow adds its own prefix to the names. Counts of polls are reported when a wait ends, and every
30 s during a wait.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_itwin.api.models.enums import ExecutionResult, known_result
from airflow_provider_itwin.version_compat import configured_stats

if TYPE_CHECKING:
    from airflow_provider_itwin.api.jobs.definition import JobOutcome
    from airflow_provider_itwin.api.jobs.report import JobReport
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.stats import PollCounts

log = logging.getLogger(__name__)

_UNKNOWN = "unknown"

JOB_OUTCOMES: tuple[JobOutcome, ...] = ("passed", "warned", "failed")


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric of this provider.

    :param name: name, without Airflow's prefix
    :param kind: a counter, or a timer
    :param meaning: what it counts or measures
    :param tags: names of its tags
    """

    name: str
    kind: Literal["counter", "timer"]
    meaning: str
    tags: tuple[str, ...] = ()


def _name_of(result: ExecutionResult) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", result.value).lower()


METRICS = (
    Metric("itwin.runs.started", "counter", "runs that operators started", ("kind",)),
    Metric("itwin.runs.adopted", "counter", "active runs that operators use as their own", ("kind",)),
    Metric(
        "itwin.runs.queued_behind", "counter", "runs that operators wait for before they start their own", ("kind",)
    ),
    Metric("itwin.runs.ended", "counter", "finished runs of operators and sensors", ("kind", "result")),
    *(
        Metric(f"itwin.runs.ended.{result}", "counter", f"finished runs with the result `{result}`", ("kind",))
        for result in (*map(_name_of, ExecutionResult), _UNKNOWN)
    ),
    Metric("itwin.runs.duration", "timer", "duration of finished runs in the cloud", ("kind", "result")),
    Metric("itwin.jobs.started", "counter", "jobs that operators started", ("job",)),
    Metric("itwin.jobs.adopted", "counter", "jobs that operators found and use as their own", ("job",)),
    Metric("itwin.jobs.ended", "counter", "ended jobs of operators and sensors", ("job", "outcome")),
    *(
        Metric(f"itwin.jobs.ended.{outcome}", "counter", f"ended jobs with the outcome `{outcome}`", ("job",))
        for outcome in JOB_OUTCOMES
    ),
    Metric("itwin.polls", "counter", "polls of runs and jobs"),
    Metric("itwin.throttled", "counter", "polls that were answered with status 429"),
    Metric("itwin.outages", "counter", "outages of the service"),
    Metric("itwin.outage_seconds", "counter", "duration of these outages in seconds"),
)
"""All metrics of this provider."""


def run_started(kind: str) -> None:
    """Count a run that a task started."""
    _count("itwin.runs.started", kind=kind)


def run_adopted(kind: str) -> None:
    """Count an active run that a task adopted as its own."""
    _count("itwin.runs.adopted", kind=kind)


def queued_behind(kind: str) -> None:
    """Count a run that a task waits for before it starts its own."""
    _count("itwin.runs.queued_behind", kind=kind)


def run_ended(report: RunReport) -> None:
    """Count a finished run by its result, and record its duration."""
    known = known_result(report.result)
    result = _name_of(known) if known else _UNKNOWN
    kind = str(report.ref.kind)
    _count("itwin.runs.ended", kind=kind, result=result)
    # The result is also part of a name, for StatsD without tags.
    _count(f"itwin.runs.ended.{result}", kind=kind)
    if report.duration is not None:
        _emit("timing", "itwin.runs.duration", timedelta(seconds=report.duration), {"kind": kind, "result": result})


def job_started(name: str) -> None:
    """Count a job that a task started."""
    _count("itwin.jobs.started", job=_tag(name))


def job_adopted(name: str) -> None:
    """Count a job that a task found and uses as its own."""
    _count("itwin.jobs.adopted", job=_tag(name))


def job_ended(report: JobReport) -> None:
    """Count an ended job by its outcome."""
    job = _tag(report.ref.name)
    _count("itwin.jobs.ended", job=job, outcome=report.outcome)
    _count(f"itwin.jobs.ended.{report.outcome}", job=job)


def _tag(name: str) -> str:
    """Return the name of a job as a tag: StatsD's formats allow no blanks, commas and colons."""
    return re.sub(r"\W+", "_", name.lower()).strip("_") or _UNKNOWN


def count_polls(counts: PollCounts) -> None:
    """Count polls, responses 429 and outages since the last report."""
    for name in ("polls", "throttled", "outages"):
        if number := getattr(counts, name):
            _count(f"itwin.{name}", number)
    if counts.outage_seconds:
        _count("itwin.outage_seconds", max(1, round(counts.outage_seconds)))


def _count(name: str, number: int = 1, **tags: str) -> None:
    _emit("incr", name, number, tags)


def _emit(method: str, name: str, value: Any, tags: dict[str, str]) -> None:
    try:
        getattr(configured_stats(), method)(name, value, tags=tags)
    except Exception as error:  # noqa: BLE001 (a metric must not fail a task)
        log.debug("Cannot emit the metric %s: %s", name, error)
