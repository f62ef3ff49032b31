"""The state of a run operator in the task state store of Airflow 3.3: a lost worker loses no run, a clear starts a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinWaitTimeLimitError
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS
from tests.airflow.single_task import FakeStore, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

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
    """The worker is lost; none of its code may run any more."""


def operator(**arguments: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(**({"task_id": "synchronize", "connection_id": NIGHT} | arguments))


@pytest.fixture
def store() -> FakeStore:
    """The store of one task instance, shared by its attempts."""
    return FakeStore()


def run_ids(emulator: Emulator) -> list[str]:
    return [run["id"] for run in emulator.runs(NIGHT)]


def stored_run(store: FakeStore) -> str:
    run: str = store.rows["itwin_run"]["own"]["run_id"]
    return run


def posts(emulator: Emulator) -> int:
    return sum(entry.operation == "run-storage-connection" for entry in emulator.request_log)


def lose_worker_in_next_pause(clock: FakeClock) -> None:
    def lost() -> None:
        raise WorkerLostError

    clock.at(0, lost)


def lose_worker(run_task: RunTask, clock: FakeClock, task: Any, **arguments: Any) -> None:
    lose_worker_in_next_pause(clock)
    with pytest.raises(WorkerLostError):
        run_task(task, **arguments)


# What is stored, and when


@ALL_MODES
def test_the_state_is_stored_before_the_start_request(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    stored: list[Any] = []
    outcome = run_task(operator(**mode), store=store, on_push=lambda key: stored.append((key, dict(store.rows))))
    assert outcome.state == "success"
    key, rows = stored[0]
    assert key == "run_ref"
    assert rows["itwin_run"]["own"]["run_id"] == outcome.value
    # Once before the start request, once after its response.
    assert store.history == ["get", "set", "set"]
    assert stored_run(store) == outcome.value


@ALL_MODES
def test_a_worker_lost_before_it_reported_the_end_starts_no_second_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    first = run_task(operator(**mode), store=store)
    retry = run_task(operator(**mode), store=store)
    assert (retry.state, retry.value, run_ids(emulator)) == ("success", first.value, [first.value])
    if mode.get("wait_for_completion"):
        assert retry.xcoms["run_report"] == first.xcoms["run_report"]


def test_a_worker_lost_before_it_reported_a_skip_starts_no_second_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess")
    for _ in range(2):
        assert run_task(operator(**WORKER, skip_on=["PartialSuccess"]), store=store).state == "skipped"
    assert len(run_ids(emulator)) == 1


@ALL_MODES
def test_clearing_a_successful_task_starts_a_new_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    first = run_task(operator(retries=2, **mode), store=store, max_tries=2)
    emulator.finish_run(NIGHT)
    second = run_task(operator(retries=2, **mode), store=store, max_tries=3, dag_clears=1)
    assert run_ids(emulator) == [first.value, second.value]
    assert stored_run(store) == second.value


def test_the_state_is_kept_while_deferred(emulator: Emulator, run_task: RunTask, store: FakeStore) -> None:
    outcome = run_task(operator(**DEFERRED), store=store, resume=False)
    assert outcome.state == "deferred"
    assert stored_run(store) == run_ids(emulator)[0]


@ALL_MODES
def test_the_store_is_not_used_if_not_durable(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    assert run_task(operator(durable=False, **mode), store=store).state == "success"
    assert store.history == []


@WAITING
def test_a_failed_run_deletes_the_state_so_that_a_retry_starts_a_new_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error")
    for attempt in (1, 2):
        outcome = run_task(operator(**mode), store=store)
        assert isinstance(outcome.error, ITwinRunFailedError)
        assert store.rows == {}
        assert len(run_ids(emulator)) == attempt


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_the_state_is_deleted_if_the_active_run_is_not_adopted(
    emulator: Emulator, run_task: RunTask, store: FakeStore, policy: str
) -> None:
    emulator.start_run(RIVAL)
    run_task(operator(if_active=policy), store=store)
    assert store.rows == {}


# A lost worker


@SKEWS
@ALL_MODES
def test_a_retry_finds_the_run_whose_response_a_lost_worker_never_received(
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
    assert stored_run(store) == started


@WAITING
@pytest.mark.parametrize(("result", "state"), [("Success", "success"), ("Error", "up_for_retry")])
def test_a_retry_finds_that_run_even_if_it_has_finished(
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
def test_a_retry_starts_a_run_if_the_lost_worker_started_none(
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
def test_a_retry_resumes_the_run_of_a_lost_worker(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    lose_worker_in_next_pause(clock)
    with pytest.raises(WorkerLostError):
        run_task(operator(**WORKER), store=store)
    [started] = run_ids(emulator)
    outcome = run_task(operator(**mode), store=store)
    assert (outcome.state, outcome.value) == ("success", started)
    assert (run_ids(emulator), posts(emulator)) == ([started], 1)
    # Airflow deletes XComs before the next attempt.
    assert outcome.pushed_without_links == ["run_ref", "run_report"]


def test_a_retry_of_a_task_that_does_not_wait_returns_the_same_run(
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
def test_a_retry_after_the_timeout_resumes_the_same_run(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 3000)
    first = run_task(operator(timeout=1800, **mode), store=store)
    assert isinstance(first.error, ITwinWaitTimeLimitError)
    second = run_task(operator(timeout=1800, **mode), store=store)
    assert (second.state, [second.value]) == ("success", run_ids(emulator))


@WAITING
def test_a_retry_after_a_loss_in_the_queue_queues_again(
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
def test_an_export_lost_in_the_queue_does_not_adopt_a_foreign_export(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.add_connection("export", EXPORT, "tower-imodel")
    emulator.start_run(RIVAL)
    lose_worker(run_task, clock, export(**WORKER), store=store)
    assert not store.rows["itwin_run"]["in_doubt"], "the service has responded that no run was started"
    emulator.finish_run(RIVAL)
    anothers = emulator.start_run(EXPORT)
    emulator.finish_run(EXPORT)
    clock.sleep(60)
    outcome = run_task(export(**mode), store=store)
    assert outcome.state == "success"
    assert [anothers, outcome.value] == [run["id"] for run in emulator.runs(EXPORT)]


@WAITING
def test_an_export_whose_request_arrives_after_the_loss_of_its_worker_is_found(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore, mode: dict[str, Any]
) -> None:
    emulator.add_connection("export", EXPORT, "tower-imodel")
    emulator.fail("create-export-connection-run", kind="reset-before")
    lose_worker(run_task, clock, export(**mode), store=store)
    assert store.rows["itwin_run"]["in_doubt"]
    # The request of the lost worker is processed after the retry has looked for its run.
    emulator.quirks.stale_last_run_for = 30.0
    late = emulator.start_run(EXPORT)
    outcome = run_task(export(**mode), store=store)
    assert (outcome.state, outcome.value) == ("success", late)
    assert [run["id"] for run in emulator.runs(EXPORT)] == [late]


def test_the_state_of_an_older_version_is_loaded(
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
def test_a_cleared_task_starts_a_new_run_whatever_is_stored(
    emulator: Emulator, run_task: RunTask, store: FakeStore, mode: dict[str, Any], clear: dict[str, Any]
) -> None:
    def lost(key: str) -> None:
        raise WorkerLostError

    with pytest.raises(WorkerLostError):
        run_task(operator(retries=2, **mode), store=store, max_tries=2, on_push=lost)
    assert stored_run(store) == run_ids(emulator)[0]
    outcome = run_task(operator(retries=2, **mode), store=store, **clear)
    old, new = run_ids(emulator)
    assert (outcome.state, outcome.value) == ("success", new)
    assert outcome.value != old
    assert stored_run(store) == new


def test_a_cleared_task_does_not_adopt_the_run_of_a_previous_attempt(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, store: FakeStore
) -> None:
    emulator.fail("run-storage-connection", kind="reset-after")
    lose_worker(run_task, clock, operator(), store=store)
    clock.sleep(30)
    outcome = run_task(operator(), store=store, max_tries=1)
    assert outcome.value == run_ids(emulator)[1]


# Foreign rows in the store


MARK = {"max_tries": 0, "clear_number": 0, "target": f"storage/{NIGHT} itwin_default"}


def test_the_state_is_loaded_only_with_the_same_mark(emulator: Emulator, run_task: RunTask, store: FakeStore) -> None:
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
def test_an_unreadable_state_is_ignored(emulator: Emulator, run_task: RunTask, store: FakeStore, row: Any) -> None:
    store.rows["itwin_run"] = row
    outcome = run_task(operator(), store=store)
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert stored_run(store) == outcome.value


def test_the_stored_run_is_ignored_if_the_connection_of_the_task_has_changed(
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
def test_a_retry_works_with_the_real_store_of_airflow(
    emulator: Emulator, run_dag: Callable[..., Any], deferrable: bool
) -> None:
    # The first attempt gets no response until its retry budget is exhausted; its run has started nevertheless.
    emulator.fail("run-storage-connection", None, kind="reset-after", lasting=200)
    emulator.fail("get-storage-connection", None, status=503, after=1, lasting=200)
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{NIGHT}", wait_for_completion=True, deferrable={deferrable},
            retries=1, retry_delay=pendulum.duration(seconds=0),
        )
        """
    )
    assert (result.states, result.attempts) == ({"synchronize": ["success"]}, {"synchronize": 2})
    [run] = run_ids(emulator)
    assert result.xcom("synchronize") == run
    [(stored,)] = result.rows("SELECT value FROM task_state_store WHERE dag_id = ?", result.dag_id)
    assert run in stored


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with a task state store")
def test_a_clear_works_with_the_real_store_of_airflow(emulator: Emulator, run_dag: Callable[..., Any]) -> None:
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
    [(stored,)] = first.rows(query, first.dag_id)
    [old] = run_ids(emulator)
    assert old in stored
    emulator.plan_run(NIGHT, "Success", 10)
    emulator.finish_run(NIGHT)
    first.clear_and_run("synchronize")
    *_, state = first.rows("SELECT state FROM task_instance WHERE dag_id = ? ORDER BY try_number", first.dag_id)
    assert state == ("success",)
    [_, new] = run_ids(emulator)
    [(stored,)] = first.rows(query, first.dag_id)
    assert new in stored
    assert new != old


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with a task state store")
def test_airflow_marks_the_clear_of_a_running_task(emulator: Emulator, run_dag: Callable[..., Any]) -> None:
    result = run_dag(f'ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="{NIGHT}")')
    marks = "SELECT max_tries, clear_number FROM task_instance JOIN dag_run USING (dag_id, run_id) WHERE dag_id = ?"
    before = result.rows(marks, result.dag_id)
    result.clear_while_running("synchronize")
    assert before == [(0, 0)]
    assert result.rows(marks, result.dag_id) == [(0, 1)]
