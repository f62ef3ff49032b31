"""The next step of a run operator, for every policy in every situation."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.active_run_policy import (
    ActiveRun,
    IfActive,
    NextStep,
    Step,
    next_step,
)

OWN = RunRef(ConnectionKind.STORAGE, "c1", "own")
REF = RunRef(ConnectionKind.STORAGE, "c1", "active")

FOREIGN = ActiveRun(REF, is_own=False, is_fresh=False)
OLDER = ActiveRun(REF, is_own=True, is_fresh=False)
ENDED = ActiveRun(REF, is_own=True, is_fresh=False, is_finished=True)
FRESH = ActiveRun(REF, is_own=True, is_fresh=True)
FRESH_AND_ENDED = ActiveRun(REF, is_own=True, is_fresh=True, is_finished=True)
EVERY_ACTIVE_RUN = [None, FOREIGN, OLDER, ENDED, FRESH, FRESH_AND_ENDED]

QUEUE, ATTACH, FAIL, SKIP = IfActive.QUEUE, IfActive.ATTACH, IfActive.FAIL, IfActive.SKIP


@pytest.mark.parametrize(
    ("active", "queue", "attach", "fail", "skip"),
    [
        (None, Step.START, Step.START, Step.START, Step.START),
        (FOREIGN, Step.QUEUE, Step.QUEUE, Step.FAIL, Step.SKIP),
        (OLDER, Step.QUEUE, Step.ADOPT, Step.FAIL, Step.SKIP),
        (ENDED, Step.QUEUE, Step.QUEUE, Step.FAIL, Step.SKIP),
        (FRESH, Step.ADOPT, Step.ADOPT, Step.ADOPT, Step.ADOPT),
        (FRESH_AND_ENDED, Step.ADOPT, Step.ADOPT, Step.ADOPT, Step.ADOPT),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_without_a_run_of_its_own_the_step_depends_on_the_policy_and_the_active_run(
    active: ActiveRun | None, queue: Step, attach: Step, fail: Step, skip: Step, wait: bool
) -> None:
    ref = None if active is None else active.ref
    for policy, step in ((QUEUE, queue), (ATTACH, attach), (FAIL, fail), (SKIP, skip)):
        assert next_step(policy, wait=wait, active=active) == NextStep(step, ref), policy


@pytest.mark.parametrize("policy", IfActive)
@pytest.mark.parametrize("active", EVERY_ACTIVE_RUN)
@pytest.mark.parametrize(
    ("wait", "is_finished", "step"),
    [(True, False, Step.WAIT), (True, True, Step.FINISH), (False, False, Step.LEAVE), (False, True, Step.LEAVE)],
)
def test_with_a_run_of_its_own_neither_the_policy_nor_the_active_run_matters(
    policy: IfActive, active: ActiveRun | None, wait: bool, is_finished: bool, step: Step
) -> None:
    assert next_step(policy, wait=wait, own=OWN, active=active, is_finished=is_finished) == NextStep(step, OWN)


@pytest.mark.parametrize("policy", IfActive)
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("is_finished", [True, False])
def test_the_run_of_another_connection_is_never_adopted(policy: IfActive, wait: bool, is_finished: bool) -> None:
    step = next_step(policy, wait=wait, active=FOREIGN, is_finished=is_finished).step

    assert step not in (Step.ADOPT, Step.FINISH, Step.LEAVE)


def test_a_policy_is_one_of_four_words() -> None:
    assert [IfActive(text) for text in ("queue", "attach", "fail", "skip")] == [QUEUE, ATTACH, FAIL, SKIP]
    with pytest.raises(ValueError, match="'wait' is not a valid IfActive"):
        IfActive("wait")
