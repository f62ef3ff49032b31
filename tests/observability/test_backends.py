"""Names, tags and values of all metrics, sent by Airflow's own StatsD and OpenTelemetry clients."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.metrics import JOB_OUTCOMES, METRICS, Metric
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS
from scripts.airflow_home import CHECKOUT, plain_environment
from scripts.processes import wait_until

from .emit import SECONDS
from .receivers import Key, OtlpReceiver, Receiver, StatsdListener, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ("storage", "manifest", "export")
JOBS = ("reality_modeling_job", "extraction")
POLLS = {"itwin.polls": 7, "itwin.throttled": 2, "itwin.outages": 1, "itwin.outage_seconds": 90}


RESULTS = (
    "success",
    "partial_success",
    "skipped",
    "error",
    "timed_out",
    "canceled",
    "undetermined",
    "unknown",
)


def series_of(metric: Metric) -> list[Key]:
    """Return the metric with each combination of the values of its tags."""
    values = {"kind": KINDS, "result": RESULTS, "job": JOBS, "outcome": JOB_OUTCOMES}
    combinations = product(*(values[tag] for tag in metric.tags))
    return [key(metric.name, **dict(zip(metric.tags, combination, strict=True))) for combination in combinations]


def expected_counters() -> dict[Key, int]:
    counters = [metric for metric in METRICS if metric.kind == "counter"]
    return {series: POLLS.get(metric.name, 1) for metric in counters for series in series_of(metric)}


def expected_timers() -> dict[Key, list[float]]:
    timers = [metric for metric in METRICS if metric.kind == "timer"]
    return {series: [1, SECONDS * 1000] for metric in timers for series in series_of(metric)}


def emit(receiver: Receiver, home: Path) -> None:
    # Airflow logs to its home at import.
    environment = plain_environment() | {"AIRFLOW_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-m", "tests.observability.emit"],
        env=environment | receiver.environment,
        cwd=CHECKOUT,
        check=True,
        timeout=180,
    )


@pytest.mark.parametrize(
    "backend",
    [StatsdListener, OtlpReceiver, partial(OtlpReceiver, delta=False)],
    ids=["statsd", "otel-delta", "otel-cumulative"],
)
def test_a_backend_receives_exactly_the_listed_metrics(backend: Callable[[], Receiver], tmp_path: Path) -> None:
    with backend() as receiver:
        emit(receiver, tmp_path)
        wait_until(lambda: receiver.counters() == expected_counters(), 10.0)
        assert receiver.counters() == expected_counters()
        timers = receiver.timers()
        if not AIRFLOW_V_3_0_PLUS and isinstance(receiver, OtlpReceiver):
            # Airflow 2.11 has gauges instead of timers; the newest OpenTelemetry SDK exports one combination of tags only.
            assert timers
            assert timers.items() <= expected_timers().items()
        else:
            assert timers == expected_timers()


def test_statsd_without_tags_has_the_same_names(tmp_path: Path) -> None:
    with StatsdListener(tags=False) as receiver:
        emit(receiver, tmp_path)
        names = {f"airflow.{metric.name}" for metric in METRICS if metric.kind == "counter"}
        wait_until(lambda: {name for name, _ in receiver.counters()} == names, 10.0)
        assert {name for name, _ in receiver.counters()} == names
        assert receiver.counters()[key("itwin.runs.started")] == 3
