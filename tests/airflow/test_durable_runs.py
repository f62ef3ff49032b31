"""What a run operator keeps in the task state store of Airflow 3.3: a lost worker costs no run, and a clear starts one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinWaitTimeLimitError
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

from .single_task import FakeStore, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock

    RunTask = Callable[..., Outcome]

NIGHT = "night-connection"
RIVAL = "rival-connection"

WORKER = {"wait_for_completion": True}
DEFERRED = {"wait_for_completion": True, "deferrable": True}
LEAVING = {"wait_for_completion": False}
WAITING = pytest.mark.parametrize("mode", [WORKER, DEFERRED], ids=["worker", "deferred"])
ALL_MODES = pytest.mark.parametrize("mode", [WORKER, DEFERRED, LEAVING], ids=["worker", "deferred", "leave"])
SKEWS = pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0], ids=["clocks agree", "service ahead", "service behind"])


class WorkerLostError(BaseException):
    """The worker is gone; no Python code of it runs any more."""


def operator(**arguments: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(**({"task_id": "synchronize", "connection_id": NIGHT} | arguments))


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """Two connections of one iModel."""
    for connection_id in (NIGHT, RIVAL):
        emulator.add_connection(connection_id=connection_id, imodel_id="tower-imodel", files=["Tower.dgn"])
    return emulator


@pytest.fixture
def store() -> FakeStore:
    """The store of one task instance, which outlives its tries."""
    return FakeStore()


def run_ids(emulator: Emulator) -> list[str]:
    return [run["id"] for run in emulator.runs(NIGHT)]


def kept_run(store: FakeStore) -> str:
    run: str = store.rows["itwin_run"]["own"]["run_id"]
    return run


def posts(emulator: Emulator) -> int:
    return sum(entry.operation == "run-storage-connection" for entry in emulator.journal)


def lose_worker_in_next_pause(clock: FakeClock) -> None:
    def lost() -> None:
        raise WorkerLostError

    clock.at(0, lost)


def lose_worker(run_task: RunTask, clock: FakeClock, task: Any, **arguments: Any) -> None:
    lose_worker_in_next_pause(clock)
    with pytest.raises(WorkerLostError):
        run_task(task, **arguments)


# What is kept, and when


@ALL_MODES
def test_keeps_what_a_later_try_needs_before_it_asks(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    kept: list[Any] = []
    outcome = run_task(operator(**mode), store=store, on_push=lambda key: kept.append((key, dict(store.rows))))
    assert outcome.state == "success"
    key, rows = kept[0]
    assert key == "run_ref"
    assert rows["itwin_run"]["own"]["run_id"] == outcome.value
    # Once before the service was asked, once when the run had a name.
    assert store.history == ["get", "set", "set"]
    assert kept_run(store) == outcome.value


@ALL_MODES
def test_a_worker_lost_before_it_could_tell_of_the_end_costs_no_second_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    first = run_task(operator(**mode), store=store)
    retry = run_task(operator(**mode), store=store)
    assert (retry.state, retry.value, run_ids(emulator)) == ("success", first.value, [first.value])
    if mode.get("wait_for_completion"):
        assert retry.xcoms["run_report"] == first.xcoms["run_report"]


def test_a_worker_lost_before_it_could_tell_that_the_task_is_skipped_costs_no_second_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess")
    for _ in range(2):
        assert run_task(operator(**WORKER, skip_on=["PartialSuccess"]), store=store).state == "skipped"
    assert len(run_ids(emulator)) == 1


@ALL_MODES
def test_a_task_that_has_succeeded_and_is_cleared_starts_a_new_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    first = run_task(operator(retries=2, **mode), store=store, max_tries=2)
    emulator.finish_run(NIGHT)
    second = run_task(operator(retries=2, **mode), store=store, max_tries=3, dag_clears=1)
    assert run_ids(emulator) == [first.value, second.value]
    assert kept_run(store) == second.value


def test_keeps_it_while_deferred(emulator: Emulator, run_task: RunTask, store: FakeStore) -> None:
    outcome = run_task(operator(**DEFERRED), store=store, resume=False)
    assert outcome.state == "deferred"
    assert kept_run(store) == run_ids(emulator)[0]


@ALL_MODES
def test_leaves_the_store_alone_if_not_durable(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    assert run_task(operator(durable=False, **mode), store=store).state == "success"
    assert store.history == []


@WAITING
def test_drops_it_when_the_run_has_failed_so_that_a_retry_starts_a_new_one(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error")
    for tries in (1, 2):
        outcome = run_task(operator(**mode), store=store)
        assert isinstance(outcome.error, ITwinRunFailedError)
        assert store.rows == {}
        assert len(run_ids(emulator)) == tries


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_drops_it_when_it_leaves_the_active_run_alone(
    emulator: Emulator, run_task: RunTask, store: FakeStore, policy: str
) -> None:
    emulator.start_run(RIVAL)
    run_task(operator(if_active=policy), store=store)
    assert store.rows == {}


# A worker that is lost


@SKEWS
@ALL_MODES
def test_a_retry_finds_the_run_that_a_lost_worker_had_asked_for_and_never_heard_of(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any], skew: float
) -> None:
    clock.skew = skew
    emulator.fail("run-storage-connection", kind="reset-after")
    lose_worker(run_task, clock, operator(**mode), store=store)
    assert store.rows["itwin_run"]["own"] is None
    [started] = run_ids(emulator)
    clock.sleep(200)
    outcome = run_task(operator(**mode), store=store)
    assert (outcome.state, outcome.value) == ("success", started)
    assert outcome.xcoms["run_ref"]["run_id"] == started
    assert (run_ids(emulator), posts(emulator)) == ([started], 1)
    assert kept_run(store) == started


@WAITING
@pytest.mark.parametrize(("result", "state"), [("Success", "success"), ("Error", "up_for_retry")])
def test_even_if_that_run_has_ended_meanwhile(
    emulator: Emulator,
    run_task: RunTask,
    clock: FakeClock,
    store: FakeStore,
    mode: dict[str, Any],
    result: str,
    state: str,
) -> None:
    emulator.plan_run(NIGHT, result, 600)
    emulator.fail("run-storage-connection", kind="reset-after")
    lose_worker(run_task, clock, operator(**mode), store=store)
    clock.sleep(4000)
    outcome = run_task(operator(**mode), store=store)
    assert outcome.state == state
    assert outcome.xcoms["run_report"]["ref"]["run_id"] == run_ids(emulator)[0]
    assert posts(emulator) == 1


@SKEWS
@ALL_MODES
def test_a_retry_starts_a_run_if_the_lost_worker_had_not(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any], skew: float
) -> None:
    clock.skew = skew
    emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    clock.sleep(30)
    emulator.fail("run-storage-connection", kind="reset-before")
    lose_worker(run_task, clock, operator(**mode), store=store)
    outcome = run_task(operator(**mode), store=store)
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)[1:]


@WAITING
def test_a_retry_goes_on_with_the_run_that_a_lost_worker_was_waiting_for(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    lose_worker_in_next_pause(clock)
    with pytest.raises(WorkerLostError):
        run_task(operator(**WORKER), store=store)
    [started] = run_ids(emulator)
    outcome = run_task(operator(**mode), store=store)
    assert (outcome.state, outcome.value) == ("success", started)
    assert (run_ids(emulator), posts(emulator)) == ([started], 1)
    # XComs do not outlive a try.
    assert outcome.pushed_without_links == ["run_ref", "run_report"]


def test_a_retry_of_a_task_that_does_not_wait_gives_the_same_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore
) -> None:
    def lost(key: str) -> None:
        raise WorkerLostError

    with pytest.raises(WorkerLostError):
        run_task(operator(), store=store, on_push=lost)
    [started] = run_ids(emulator)
    outcome = run_task(operator(), store=store)
    assert (outcome.state, outcome.value, run_ids(emulator)) == ("success", started, [started])


@WAITING
def test_a_retry_after_the_time_limit_goes_on_with_the_same_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 3000)
    first = run_task(operator(timeout=1800, **mode), store=store)
    assert isinstance(first.error, ITwinWaitTimeLimitError)
    second = run_task(operator(timeout=1800, **mode), store=store)
    assert (second.state, [second.value]) == ("success", run_ids(emulator))


@WAITING
def test_a_worker_lost_in_the_queue_starts_its_run_in_its_turn(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.start_run(RIVAL)
    lose_worker_in_next_pause(clock)
    with pytest.raises(WorkerLostError):
        run_task(operator(**WORKER), store=store)
    outcome = run_task(operator(**mode), store=store)
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


EXPORT = "export-connection"


def export(**arguments: Any) -> ITwinRunExportConnectionOperator:
    given: dict[str, Any] = {"task_id": "export", "connection_id": EXPORT, "body": {"exportType": "IFC"}}
    return ITwinRunExportConnectionOperator(**given | arguments)


@WAITING
def test_an_export_lost_in_the_queue_does_not_take_up_what_somebody_else_has_exported_since(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.add_connection("export", EXPORT, "tower-imodel")
    emulator.start_run(RIVAL)
    lose_worker(run_task, clock, export(**WORKER), store=store)
    assert not store.rows["itwin_run"]["in_doubt"], "the service has answered that it has started nothing"
    emulator.finish_run(RIVAL)
    anothers = emulator.start_run(EXPORT)
    emulator.finish_run(EXPORT)
    clock.sleep(60)
    outcome = run_task(export(**mode), store=store)
    assert outcome.state == "success"
    assert [anothers, outcome.value] == [run["id"] for run in emulator.runs(EXPORT)]


@WAITING
def test_an_export_whose_answer_was_lost_with_the_worker_is_found_even_when_it_arrives_late(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.add_connection("export", EXPORT, "tower-imodel")
    emulator.fail("create-export-connection-run", kind="reset-before")
    lose_worker(run_task, clock, export(**mode), store=store)
    assert store.rows["itwin_run"]["in_doubt"]
    # The retry has looked already, and finds nothing, when the request of the lost worker is carried out after all.
    emulator.oddities.stale_last_run_for = 30.0
    late = emulator.start_run(EXPORT)
    outcome = run_task(export(**mode), store=store)
    assert (outcome.state, outcome.value) == ("success", late)
    assert [run["id"] for run in emulator.runs(EXPORT)] == [late]


def test_what_an_older_version_has_kept_is_understood(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore
) -> None:
    emulator.fail("run-storage-connection", kind="reset-after")
    lose_worker(run_task, clock, operator(), store=store)
    del store.rows["itwin_run"]["in_doubt"]
    outcome = run_task(operator(), store=store)
    assert (outcome.state, [outcome.value], posts(emulator)) == ("success", run_ids(emulator), 1)


# A clear


@pytest.mark.parametrize(
    "clear", [{"max_tries": 3, "dag_clears": 1}, {"max_tries": 2, "dag_clears": 1}], ids=["in the end", "while running"]
)
@ALL_MODES
def test_a_cleared_task_starts_a_new_run_whatever_is_kept(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any], clear: dict[str, Any]
) -> None:
    def lost(key: str) -> None:
        raise WorkerLostError

    with pytest.raises(WorkerLostError):
        run_task(operator(retries=2, **mode), store=store, max_tries=2, on_push=lost)
    assert kept_run(store) == run_ids(emulator)[0]
    outcome = run_task(operator(retries=2, **mode), store=store, **clear)
    old, new = run_ids(emulator)
    assert (outcome.state, outcome.value) == ("success", new)
    assert outcome.value != old
    assert kept_run(store) == new


def test_a_cleared_task_does_not_take_up_what_an_earlier_try_had_asked_for(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore
) -> None:
    emulator.fail("run-storage-connection", kind="reset-after")
    lose_worker(run_task, clock, operator(), store=store)
    clock.sleep(30)
    outcome = run_task(operator(), store=store, max_tries=1)
    assert outcome.value == run_ids(emulator)[1]


# What somebody else has left in the store


MARK = {"max_tries": 0, "clear_number": 0, "target": f"storage/{NIGHT} itwin_default"}


def test_knows_its_own_mark(emulator: Emulator, run_task: RunTask, store: FakeStore) -> None:
    run_task(operator(**DEFERRED), store=store, resume=False)
    assert store.rows["itwin_run"].items() >= MARK.items()


@pytest.mark.parametrize(
    "row",
    [
        "storage/a/b",
        42,
        [],
        {},
        MARK,
        {**MARK, "asked_at": "now", "own": None, "baseline": None},
        {**MARK, "asked_at": 1.0, "own": "storage/a/b", "baseline": None},
        {
            "max_tries": 0,
            "asked_at": 1.0,
            "own": {"kind": "storage", "connection_id": "", "run_id": "b"},
            "baseline": {},
        },
        {**MARK, "asked_at": 1.0, "own": None, "baseline": {"last_run": None, "asked_at": "yesterday"}},
    ],
    ids=str,
)
def test_passes_over_what_it_cannot_read(emulator: Emulator, run_task: RunTask, store: FakeStore, row: Any) -> None:
    store.rows["itwin_run"] = row
    outcome = run_task(operator(), store=store)
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert kept_run(store) == outcome.value


def test_does_not_take_the_run_of_another_connection_for_its_own_when_the_task_has_changed(
    emulator: Emulator, run_task: RunTask, store: FakeStore
) -> None:
    def lost(key: str) -> None:
        raise WorkerLostError

    with pytest.raises(WorkerLostError):
        run_task(operator(connection_id=RIVAL), store=store, on_push=lost)
    outcome = run_task(operator(**WORKER), store=store)
    assert outcome.xcoms["run_ref"]["connection_id"] == NIGHT
    assert [outcome.value] == run_ids(emulator)


# The real store


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with a task state store")
@pytest.mark.parametrize("deferrable", [False, True])
def test_the_store_of_airflow_itself(emulator: Emulator, run_dag: Callable[..., Any], deferrable: bool) -> None:
    # The first try is answered by silence until its patience ends, and can see nothing; its run has started all the same.
    emulator.fail("run-storage-connection", None, kind="reset-after", lasting=150)
    emulator.fail("get-storage-connection", None, status=503, after=1, lasting=150)
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{NIGHT}", wait_for_completion=True, deferrable={deferrable},
            retries=1, retry_delay=pendulum.duration(seconds=0),
        )
        """
    )
    assert (result.states, result.tries) == ({"synchronize": ["success"]}, {"synchronize": 2})
    [run] = run_ids(emulator)
    assert result.xcom("synchronize") == run
    [(kept,)] = result.rows("SELECT value FROM task_state_store WHERE dag_id = ?", result.dag_id)
    assert run in kept


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with a task state store")
def test_a_clear_by_airflow_itself(emulator: Emulator, run_dag: Callable[..., Any]) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    first = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{NIGHT}", wait_for_completion=True, timeout=60
        )
        """
    )
    assert first.states == {"synchronize": ["failed"]}
    query = "SELECT value FROM task_state_store WHERE dag_id = ?"
    [(kept,)] = first.rows(query, first.dag_id)
    [old] = run_ids(emulator)
    assert old in kept
    emulator.plan_run(NIGHT, "Success", 10)
    emulator.finish_run(NIGHT)
    first.clear_and_run("synchronize")
    assert first.rows("SELECT state FROM task_instance WHERE dag_id = ?", first.dag_id) == [("success",)]
    [_, new] = run_ids(emulator)
    [(kept,)] = first.rows(query, first.dag_id)
    assert new in kept
    assert new != old


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with a task state store")
def test_how_a_clear_of_a_running_task_can_be_told(emulator: Emulator, run_dag: Callable[..., Any]) -> None:
    result = run_dag(f'ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="{NIGHT}")')
    marks = "SELECT max_tries, clear_number FROM task_instance JOIN dag_run USING (dag_id, run_id) WHERE dag_id = ?"
    before = result.rows(marks, result.dag_id)
    result.clear_while_running("synchronize")
    assert before == [(0, 0)]
    assert result.rows(marks, result.dag_id) == [(0, 1)]
