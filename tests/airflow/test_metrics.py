"""What Airflow's metrics get to know of runs and of waiting."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.wait.stats import stats
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

GOOD, PARTIAL, FAILING = "demo-storage-connection", "demo-partial-connection", "demo-failing-connection"
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


class Recorder:
    """A backend of Airflow's metrics that keeps what it is told."""

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

    def ours(self) -> dict[str, int]:
        return {stat: count for stat, count in self.counts.items() if stat.startswith("itwin.runs")}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Airflow's metrics, as if somebody had switched them on."""
    recorder = Recorder()
    # Nothing of what other tests have left behind.
    stats.tell(metrics.waiting_cost)
    if AIRFLOW_V_3_3_PLUS:
        place = import_string("airflow.sdk._shared.observability.metrics.stats.Stats").__module__
        monkeypatch.setattr(sys.modules[place], "_factory", lambda: recorder)
        monkeypatch.setattr(sys.modules[place], "_backend", None)
    else:
        monkeypatch.setattr(import_string("airflow.stats.Stats"), "instance", recorder, raising=False)
    return recorder


def an_operator(connection_id: str, **more: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(task_id="a", connection_id=connection_id, wait_for_completion=True, **more)


@MODES
def test_a_run_is_counted_from_its_start_to_its_end(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    outcome = run_task(an_operator(GOOD, deferrable=deferrable))
    assert outcome.state == "success"
    assert recorder.ours() == {"itwin.runs.started": 1, "itwin.runs.ended.success": 1}
    assert recorder.tags["itwin.runs.started"] == {"kind": "storage"}
    assert recorder.timings["itwin.runs.duration"] == timedelta(seconds=outcome.xcoms["run_report"]["duration"])
    assert recorder.tags["itwin.runs.duration"] == {"kind": "storage", "result": "success"}
    looks = sum(entry.operation == "get-storage-connection-run" for entry in emulator.journal)
    assert recorder.counts["itwin.polls"] == looks
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
    assert recorder.ours() == {name: 1}


def test_a_result_that_nobody_knows_is_counted_as_such(
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
def test_who_queues_is_counted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    emulator.start_run(GOOD)
    run_task(an_operator(GOOD, deferrable=deferrable))
    assert recorder.ours() == {
        "itwin.runs.queued_behind": 1,
        "itwin.runs.started": 1,
        "itwin.runs.ended.success": 1,
    }


def test_who_adopts_is_counted(emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any]) -> None:
    emulator.start_run(GOOD)
    run_task(an_operator(GOOD, if_active="attach"))
    assert recorder.ours() == {"itwin.runs.adopted": 1, "itwin.runs.ended.success": 1}


@MODES
def test_throttling_and_outages_are_counted(
    emulator: Emulator, recorder: Recorder, run_task: Callable[..., Any], deferrable: bool
) -> None:
    run_id = emulator.start_run(GOOD)
    emulator.fail("get-storage-connection-run", 2, status=429)
    # More than the look before a deferral has the patience for.
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
        # Each poke is a wait of its own that rides out its trouble.
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


class Broken:
    """Metrics that do not work."""

    def __getattr__(self, name: str) -> Any:
        raise OSError("no such host")


def test_broken_metrics_cost_no_run(
    emulator: Emulator, run_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_stats", Broken)
    assert run_task(an_operator(GOOD)).state == "success"
    monkeypatch.setattr(metrics, "_stats", Broken().__getattr__)
    assert run_task(an_operator(GOOD)).state == "success"


def test_the_place_that_is_set_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, triggerer = (ModuleType(name) for name in metrics._PLACES)
    for module in (worker, triggerer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # Airflow 3.3 in the triggerer, then on a worker.
    vars(worker)["_factory"] = None
    vars(triggerer)["_factory"] = Recorder
    assert metrics._stats() is triggerer
    vars(worker)["_factory"] = Recorder
    assert metrics._stats() is worker
    # Airflow 3.2.
    vars(worker).pop("_factory")
    vars(triggerer).pop("_factory")
    vars(worker)["Stats"] = type("Stats", (), {})
    vars(triggerer)["Stats"] = type("Stats", (), {"factory": Recorder})
    assert metrics._stats() is vars(triggerer)["Stats"]
    # Where nothing is set up, whatever Airflow offers takes it.
    monkeypatch.undo()
    assert hasattr(metrics._stats(), "incr")
