"""A run operator and runs that are already active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinRunActiveError,
)
from tests.airflow.operators.run_operators import (
    ALL_MODES,
    LEAVING_DEFERRABLE,
    NIGHT,
    RIVAL,
    WAITING,
    operator,
    run_ids,
    runs,
    starts,
)
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


SKEWS = pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0], ids=["clocks agree", "service ahead", "service behind"])


@SKEWS
@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
@pytest.mark.parametrize(("stale", "asked"), [(0.0, [None]), (5.0, [None, 303])], ids=["seen", "not seen yet"])
def test_a_lost_response_adopts_the_run_that_the_request_started(
    emulator: Emulator,
    run_task: RunTask,
    clock: FakeClock,
    policy: str,
    mode: dict[str, Any],
    skew: float,
    stale: float,
    asked: list[int | None],
) -> None:
    clock.skew = skew
    emulator.quirks.stale_last_run_for = stale
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(if_active=policy, **mode))
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)
    assert starts(emulator) == asked


@ALL_MODES
def test_a_run_that_ended_before_the_repeated_request_is_not_started_twice(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Skipped", 0.1)
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@SKEWS
@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_if_active_decides_about_an_older_run_of_the_same_connection(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, policy: str, mode: dict[str, Any], skew: float
) -> None:
    clock.skew = skew
    older = emulator.start_run(NIGHT)
    clock.sleep(120)
    outcome = run_task(operator(if_active=policy, **mode))
    if policy == "queue":
        first, second = runs(emulator)
        assert (outcome.state, outcome.value) == ("success", second["id"])
        assert first["state"] == "Completed"
        assert second["startDateTime"] >= first["endDateTime"]
        assert outcome.xcoms["run_ref"]["run_id"] == second["id"]
    elif policy == "attach":
        assert (outcome.state, outcome.value) == ("success", older)
        assert run_ids(emulator) == [older]
    else:
        check_not_adopted(outcome, policy, f"storage/{NIGHT}/{older}")
        assert run_ids(emulator) == [older]


@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_a_run_of_another_connection_is_never_adopted(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, policy: str, mode: dict[str, Any]
) -> None:
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(if_active=policy, **mode))
    if policy in ("queue", "attach"):
        [own] = runs(emulator)
        assert (outcome.state, outcome.value) == ("success", own["id"])
        assert own["startDateTime"] >= runs(emulator, RIVAL)[0]["endDateTime"]
        assert outcome.xcoms["run_ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": own["id"]}
    else:
        check_not_adopted(outcome, policy, f"storage/{RIVAL}/{foreign}")
        assert runs(emulator) == []


def check_not_adopted(outcome: Outcome, policy: str, ref: str) -> None:
    assert outcome.state == {"fail": "up_for_retry", "skip": "skipped"}[policy]
    assert ref in outcome.text
    assert NIGHT in outcome.text
    assert policy in outcome.text
    assert outcome.xcoms == {}
    if policy == "fail":
        assert isinstance(outcome.error, ITwinRunActiveError)


def test_a_deferrable_task_queues_deferred_even_without_wait_for_completion(
    emulator: Emulator, run_task: RunTask
) -> None:
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(**LEAVING_DEFERRABLE))
    [trigger] = outcome.triggers
    spec = trigger.serialize()[1]["spec"]
    assert (spec["connection_id"], spec["run_id"], spec["queued"]) == (RIVAL, foreign, True)
    assert runs(emulator)[0]["state"] != "Completed"


@WAITING
def test_queues_again_when_another_run_starts_first(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", duration=600)
    emulator.start_run(RIVAL)
    clock.at(601, lambda: emulator.start_run(RIVAL))
    outcome = run_task(operator(poll_interval=70, **mode))
    [own] = runs(emulator)
    first, second = runs(emulator, RIVAL)
    assert (outcome.state, outcome.value, own["result"]) == ("success", own["id"], "Success")
    assert first["endDateTime"] <= second["startDateTime"] < second["endDateTime"] <= own["startDateTime"]


@WAITING
@pytest.mark.parametrize("result", ["Error", "Canceled", "Exploded"])
def test_the_result_of_the_run_ahead_in_the_queue_does_not_matter(
    emulator: Emulator, run_task: RunTask, result: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, result)
    emulator.start_run(RIVAL)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert outcome.xcoms["run_report"]["ref"]["connection_id"] == NIGHT


@WAITING
@pytest.mark.parametrize("status", [403, 404])
def test_queues_behind_a_run_that_it_has_no_permission_to_read(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.start_run(RIVAL)
    emulator.fail("get-storage-connection-run", None, status, connection_id=RIVAL)
    outcome = run_task(operator(poll_interval=60, **mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert len(starts(emulator)) < 20
