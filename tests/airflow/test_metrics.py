"""Metrics of runs and of waits."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.wait.stats import stats
from airflow_provider_itwin.jobs import ITwinRealityModelingOperator
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_2_PLUS, AIRFLOW_V_3_3_PLUS
from tests.airflow.sdk import import_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

GOOD, PARTIAL, FAILING = "demo-storage-connection", "demo-partial-connection", "demo-failing-connection"
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


class Recorder:
    """A metrics backend that records its calls."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.tags: dict[str, Any] = {}
        self.timings: dict[str, Any] = {}

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: Any = None) -> None:
        self.counts[stat] += count
        self.tags[stat] = tags

    def timing(self, stat: str, dt: Any, *, tags: Any = None) -> None:
        self.timings[stat] = dt
        self.tags[stat] = tags

    def timer(self, stat: str | None = None, *, tags: Any = None) -> Any:
        """Airflow 3.0 measures its own work in the process of the test."""
        return nullcontext(SimpleNamespace(duration=0.0))

    def ours(self, what: str = "runs") -> dict[str, int]:
        return {stat: count for stat, count in self.counts.items() if stat.startswith(f"itwin.{what}")}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Airflow's metrics, enabled."""
    recorder = Recorder()
    # Reset the counts of other tests.
    stats.report_to(None)
    stats.report_to(metrics.count_polls)
    if AIRFLOW_V_3_3_PLUS:
        place = import_string("airflow.sdk._shared.observability.metrics.stats.Stats").__module__
        monkeypatch.setattr(sys.modules[place], "_factory", lambda: recorder)
        monkeypatch.setattr(sys.modules[place], "_backend", None)
    elif AIRFLOW_V_3_2_PLUS:
        # This module configures a copy of the metrics when it is imported.
        import_string("airflow.sdk.serde.serialize")
        copy = import_string("airflow.sdk._shared.observability.metrics.stats.Stats")
        for name, value in {"factory": lambda: recorder, "instance": None}.items():
            monkeypatch.setattr(copy, name, value)
    else:
        monkeypatch.setattr(import_string("airflow.stats.Stats"), "instance", recorder, raising=False)
    return recorder


def an_operator(connection_id: str, **more: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(task_id="a", connection_id=connection_id, wait_for_completion=True, **more)


def a_job(emulator: Emulator, **more: Any) -> ITwinRealityModelingOperator:
    return ITwinRealityModelingOperator(
        task_id="a",
        itwin_id=emulator.add_itwin(),
        name="Bridge",
        type="Calibration",
        specifications={"inputs": {}},
        **more,
    )


@MODES
def test_a_run_is_counted_from_its_start_to_its_end(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    outcome = run_task(an_operator(GOOD, deferrable=deferrable))
    assert outcome.state == "success"
    assert recorder.ours() == {"itwin.runs.started": 1, "itwin.runs.ended": 1, "itwin.runs.ended.success": 1}
    assert recorder.tags["itwin.runs.started"] == {"kind": "storage"}
    assert recorder.tags["itwin.runs.ended"] == {"kind": "storage", "result": "success"}
    assert recorder.timings["itwin.runs.duration"] == timedelta(seconds=outcome.xcoms["run_report"]["duration"])
    assert recorder.tags["itwin.runs.duration"] == {"kind": "storage", "result": "success"}
    polls = sum(entry.operation == "get-storage-connection-run" for entry in emulator.request_log)
    assert recorder.counts["itwin.polls"] == polls
    assert "itwin.throttled" not in recorder.counts
    assert "itwin.outages" not in recorder.counts


@pytest.mark.parametrize(
    ("connection_id", "name"),
    [(PARTIAL, "itwin.runs.ended.partial_success"), (FAILING, "itwin.runs.ended.error")],
)
@MODES
def test_a_sensor_counts_the_result(
    emulator: Emulator,
    recorder: Recorder,
    run_task: Callable[..., Any],
    deferrable: bool,
    connection_id: str,
    name: str,
) -> None:
    run_id = emulator.start_run(connection_id)
    run_task(
        ITwinStorageConnectionRunSensor(task_id="a", connection_id=connection_id, run_id=run_id, deferrable=deferrable)
    )
    assert recorder.ours() == {"itwin.runs.ended": 1, name: 1}


def test_an_unknown_result_is_counted_as_unknown(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any]
) -> None:
    from airflow_provider_itwin.api.models.report import RunReport

    outcome = run_task(an_operator(GOOD))
    report = RunReport.from_dict(outcome.xcoms["run_report"] | {"result": "evil.name\n", "duration": None})
    recorder.timings.clear()
    metrics.run_ended(report)
    assert recorder.counts["itwin.runs.ended.unknown"] == 1
    assert recorder.timings == {}


@MODES
def test_a_queued_task_is_counted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    emulator.start_run(GOOD)
    run_task(an_operator(GOOD, deferrable=deferrable))
    assert recorder.ours() == {
        "itwin.runs.queued_behind": 1,
        "itwin.runs.started": 1,
        "itwin.runs.ended": 1,
        "itwin.runs.ended.success": 1,
    }


def test_an_adopted_run_is_counted(emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any]) -> None:
    emulator.start_run(GOOD)
    run_task(an_operator(GOOD, if_active="attach"))
    assert recorder.ours() == {"itwin.runs.adopted": 1, "itwin.runs.ended": 1, "itwin.runs.ended.success": 1}


@MODES
def test_throttling_and_outages_are_counted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    run_id = emulator.start_run(GOOD)
    emulator.fail("get-storage-connection-run", 2, status=429)
    # Longer than the retry budget of the poll before a deferral.
    emulator.fail("get-storage-connection-run", 6, status=503)
    outcome = run_task(
        ITwinStorageConnectionRunSensor(
            task_id="a", connection_id=GOOD, run_id=run_id, deferrable=deferrable, mode="poke"
        )
    )
    assert outcome.state == "success"
    assert recorder.counts["itwin.throttled"] == 2
    assert recorder.counts["itwin.polls"] > 5
    if not deferrable:
        # Each poke is a wait of its own, with its own retries.
        assert recorder.counts["itwin.outages"] == 1
    assert recorder.counts["itwin.outages"] >= 1
    assert recorder.counts["itwin.outage_seconds"] >= 1


def test_an_outage_that_ends_the_wait_is_counted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "120")
    emulator.fail("get-storage-connection-run", None, status=503)
    outcome = run_task(an_operator(GOOD))
    assert outcome.state == "up_for_retry"
    assert recorder.counts["itwin.outages"] == 1
    assert 120 <= recorder.counts["itwin.outage_seconds"] < 200


@MODES
@pytest.mark.parametrize(("planned", "outcome"), [(None, "passed"), ("Failed", "failed")])
def test_a_job_is_counted_from_its_start_to_its_end(
    emulator: Emulator,
    recorder: Recorder,
    run_task: Callable[..., Any],
    deferrable: bool,
    planned: str | None,
    outcome: str,
) -> None:
    emulator.plan_job("reality-modeling", planned)
    run_task(a_job(emulator, deferrable=deferrable))
    assert recorder.ours("jobs") == {
        "itwin.jobs.started": 1,
        "itwin.jobs.ended": 1,
        f"itwin.jobs.ended.{outcome}": 1,
    }
    assert recorder.tags["itwin.jobs.started"] == {"job": "reality_modeling_job"}
    assert recorder.tags["itwin.jobs.ended"] == {"job": "reality_modeling_job", "outcome": outcome}
    assert recorder.counts["itwin.polls"] > 0


def test_a_job_whose_response_was_lost_is_adopted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any]
) -> None:
    emulator.fail("reality-modeling-jobs-create", kind="reset-after")
    assert run_task(a_job(emulator)).state == "success"
    assert recorder.ours("jobs") == {"itwin.jobs.adopted": 1, "itwin.jobs.ended": 1, "itwin.jobs.ended.passed": 1}


class Broken:
    """Metrics that fail."""

    def __getattr__(self, name: str) -> Any:
        raise OSError("no such host")


def test_broken_metrics_do_not_fail_the_task(
    emulator: Emulator, run_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "configured_stats", Broken)
    assert run_task(an_operator(GOOD)).state == "success"
    monkeypatch.setattr(metrics, "configured_stats", Broken().__getattr__)
    assert run_task(an_operator(GOOD)).state == "success"
