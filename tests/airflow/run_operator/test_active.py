"""What a run operator makes of a run that is active already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinRunActiveError,
)
from tests.airflow.single_task import Outcome

from .operators import (
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
def test_takes_the_run_that_it_started_itself_for_its_own_when_the_answer_is_lost(
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
    emulator.oddities.stale_last_run_for = stale
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(if_active=policy, **mode))
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)
    assert starts(emulator) == asked


@ALL_MODES
def test_a_run_that_ends_before_its_lost_answer_is_asked_for_again_is_not_started_twice(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Skipped", 0.1)
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@SKEWS
@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_an_older_run_of_its_own_connection(
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
        check_left_alone(outcome, policy, f"storage/{NIGHT}/{older}")
        assert run_ids(emulator) == [older]


@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_a_run_of_another_connection_is_never_taken_for_ours(
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
        check_left_alone(outcome, policy, f"storage/{RIVAL}/{foreign}")
        assert runs(emulator) == []


def check_left_alone(outcome: Outcome, policy: str, ref: str) -> None:
    assert outcome.state == {"fail": "up_for_retry", "skip": "skipped"}[policy]
    assert ref in outcome.text
    assert NIGHT in outcome.text
    assert policy in outcome.text
    assert outcome.xcoms == {}
    if policy == "fail":
        assert isinstance(outcome.error, ITwinRunActiveError)


def test_queues_deferred_when_deferrable_even_if_it_does_not_wait_for_its_own_run(
    emulator: Emulator, run_task: RunTask
) -> None:
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(**LEAVING_DEFERRABLE))
    [trigger] = outcome.triggers
    kwargs = trigger.serialize()[1]
    assert (kwargs["connection_id"], kwargs["run_id"], kwargs["queued"]) == (RIVAL, foreign, True)
    assert runs(emulator)[0]["state"] != "Completed"


@WAITING
def test_queues_again_when_somebody_else_was_faster(
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
def test_how_the_run_that_it_queued_behind_ended_is_none_of_its_business(
    emulator: Emulator, run_task: RunTask, result: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, result)
    emulator.start_run(RIVAL)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert outcome.xcoms["run_report"]["ref"]["connection_id"] == NIGHT


@WAITING
@pytest.mark.parametrize("status", [403, 404])
def test_queues_behind_a_run_that_it_may_not_see(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.start_run(RIVAL)
    emulator.fail("get-storage-connection-run", None, status, connection_id=RIVAL)
    outcome = run_task(operator(poll_interval=60, **mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert len(starts(emulator)) < 20
