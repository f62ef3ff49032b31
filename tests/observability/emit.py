"""
Emit every metric once, to the backend that the environment configures.

    python -m tests.observability.emit
"""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import get_meter_provider

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.report import JobReport
from airflow_provider_itwin.api.models.enums import ConnectionKind, ExecutionResult
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.wait.stats import PollCounts
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_2_PLUS, AIRFLOW_V_3_3_PLUS, configured_stats
from tests.airflow.sdk import import_string

SECONDS = 1500.5
RESULTS = (*ExecutionResult, "Exploded")
REPORT: dict[str, Any] = {
    "state": "Completed",
    "phase": None,
    "started": "2026-11-22T01:30:00+00:00",
    "ended": "2026-11-22T01:55:00.500000+00:00",
    "duration": SECONDS,
    "totals": {"jobs_by_result": {}, "tasks_by_result": {}},
}


def initialize() -> None:
    """Configure the metrics of this process as a worker does. Before Airflow 3.2, they configure themselves."""
    if AIRFLOW_V_3_3_PLUS:
        factory = import_string("airflow.sdk.observability.metrics.stats_utils.get_stats_factory")
        import_string("airflow.sdk._shared.observability.metrics.stats.initialize")(
            factory=factory(), export_legacy_names=False
        )
    elif AIRFLOW_V_3_2_PLUS:
        factory = import_string("airflow.sdk.observability.metrics.stats_utils.get_stats_factory")
        stats = import_string("airflow.sdk._shared.observability.metrics.stats.Stats")
        stats.initialize(factory=factory(stats))


def emit() -> None:
    """Emit each metric once for each kind of connection and each job, and for each result and outcome."""
    for kind in ConnectionKind:
        metrics.run_started(kind)
        metrics.run_adopted(kind)
        metrics.queued_behind(kind)
        ref = {"kind": str(kind), "connection_id": "c", "run_id": "r"}
        for result in RESULTS:
            metrics.run_ended(RunReport.from_dict(REPORT | {"ref": ref, "result": str(result)}))
    for name in ("Reality modeling job", "extraction"):
        metrics.job_started(name)
        metrics.job_adopted(name)
        for outcome in metrics.JOB_OUTCOMES:
            metrics.job_ended(JobReport(JobRef(name, "j"), "State", outcome))
    metrics.count_polls(PollCounts(polls=7, throttled=2, outages=1, outage_seconds=90.0))


if __name__ == "__main__":
    initialize()
    emit()
    # Only the provider of a configured OpenTelemetry backend has this method.
    getattr(get_meter_provider(), "force_flush", bool)()
    print(type(configured_stats()).__name__)
