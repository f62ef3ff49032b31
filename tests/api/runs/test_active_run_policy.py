"""What a run operator does next, for every policy in every situation."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.active_run_policy import (
    Active,
    Adopt,
    IfActive,
    Judge,
    Leave,
    QueueBehind,
    RefuseBecauseOf,
    SkipBecauseOf,
    Start,
    Step,
    WaitFor,
    next_step,
)

OWN = RunRef(ConnectionKind.STORAGE, "c1", "own")
REF = RunRef(ConnectionKind.STORAGE, "c1", "active")

FOREIGN = Active(REF, ours=False, fresh=False)
OLDER = Active(REF, ours=True, fresh=False)
FRESH = Active(REF, ours=True, fresh=True)

QUEUE, ATTACH, FAIL, SKIP = IfActive.QUEUE, IfActive.ATTACH, IfActive.FAIL, IfActive.SKIP


@pytest.mark.parametrize(
    ("policy", "active", "step"),
    [
        (QUEUE, None, Start()),
        (ATTACH, None, Start()),
        (FAIL, None, Start()),
        (SKIP, None, Start()),
        (QUEUE, FOREIGN, QueueBehind(REF)),
        (ATTACH, FOREIGN, QueueBehind(REF)),
        (FAIL, FOREIGN, RefuseBecauseOf(REF)),
        (SKIP, FOREIGN, SkipBecauseOf(REF)),
        (QUEUE, OLDER, QueueBehind(REF)),
        (ATTACH, OLDER, Adopt(REF)),
        (FAIL, OLDER, RefuseBecauseOf(REF)),
        (SKIP, OLDER, SkipBecauseOf(REF)),
        (QUEUE, FRESH, Adopt(REF)),
        (ATTACH, FRESH, Adopt(REF)),
        (FAIL, FRESH, Adopt(REF)),
        (SKIP, FRESH, Adopt(REF)),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_before_there_is_a_run_of_ones_own(policy: IfActive, active: Active | None, step: Step, wait: bool) -> None:
    assert next_step(policy, wait=wait, active=active) == step


@pytest.mark.parametrize("policy", IfActive)
@pytest.mark.parametrize("active", [None, FOREIGN, OLDER, FRESH])
@pytest.mark.parametrize(
    ("wait", "finished", "step"),
    [(True, False, WaitFor(OWN)), (True, True, Judge()), (False, False, Leave()), (False, True, Leave())],
)
def test_once_there_is_one(policy: IfActive, active: Active | None, wait: bool, finished: bool, step: Step) -> None:
    assert next_step(policy, wait=wait, own=OWN, active=active, finished=finished) == step


@pytest.mark.parametrize("policy", IfActive)
def test_nothing_ever_adopts_the_run_of_another_connection(policy: IfActive) -> None:
    for finished in (False, True):
        for wait in (False, True):
            assert not isinstance(
                next_step(policy, wait=wait, active=FOREIGN, finished=finished), Adopt | Judge | Leave
            )


def test_policies_as_users_write_them() -> None:
    assert [IfActive(text) for text in ("queue", "attach", "fail", "skip")] == [QUEUE, ATTACH, FAIL, SKIP]
    with pytest.raises(ValueError, match="'wait' is not a valid IfActive"):
        IfActive("wait")
