"""
What a run operator does next, as one pure function of what it knows.

The synchronous loop and the steps after a deferral both use it, so they take the same way. DAG files import this module, so
it imports nothing beyond the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from airflow_provider_itwin.api.models.run_ref import RunRef

IfActiveName: TypeAlias = Literal["queue", "attach", "fail", "skip"]
"""The values of :class:`IfActive`, as a user writes them."""


class IfActive(StrEnum):
    """What to do when the iModel is already being synchronized."""

    QUEUE = "queue"
    ATTACH = "attach"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """
    The run that the service named instead of starting one.

    :param ref: its reference
    :param is_own: whether it is a run of the connection that was asked for
    :param is_fresh: whether it is one of that connection and certainly began no earlier than this task first asked for a run
    :param is_finished: whether it is known to have ended: the service can lock the iModel a little longer than the run lasts
    """

    ref: RunRef
    is_own: bool
    is_fresh: bool
    is_finished: bool = False


class Step(StrEnum):
    """
    What a run operator does next.

    ``start``: ask for a run. ``adopt``: take the active run as the run of this task. ``queue``: wait until the active run
    has ended, then ask again. ``fail``, ``skip``: do that, because of the active run. ``wait``: wait for the run of this task.
    ``finish``: judge the run of this task, which has ended. ``leave``: end without waiting for the run.
    """

    START = "start"
    ADOPT = "adopt"
    QUEUE = "queue"
    FAIL = "fail"
    SKIP = "skip"
    WAIT = "wait"
    FINISH = "finish"
    LEAVE = "leave"


class NextStep(NamedTuple):
    """A step, and the run that it is about; None for ``start``."""

    step: Step
    ref: RunRef | None = None


def next_step(
    if_active: IfActive,
    *,
    wait: bool,
    own: RunRef | None = None,
    active: ActiveRun | None = None,
    is_finished: bool = False,
) -> NextStep:
    """
    Return the next step.

    A fresh active run is the one that this task asked for: its own request arrived although the response did not, or somebody
    asked for the same thing since. Every policy adopts it. An older run of the same connection may lack the newest files, and a
    run of another connection synchronizes other files. Only ``attach`` adopts the former, and nothing adopts the latter.

    :param if_active: the policy
    :param wait: whether the task waits for its run to end
    :param own: the run of this task, once there is one
    :param active: the run that the service named in its last response instead of starting one
    :param is_finished: whether the run of this task has ended
    """
    if own is not None:
        if not wait:
            return NextStep(Step.LEAVE, own)
        return NextStep(Step.FINISH if is_finished else Step.WAIT, own)
    if active is None:
        return NextStep(Step.START)
    if active.is_fresh or (active.is_own and not active.is_finished and if_active is IfActive.ATTACH):
        return NextStep(Step.ADOPT, active.ref)
    return NextStep(_STEPS[if_active], active.ref)


_STEPS = {
    IfActive.QUEUE: Step.QUEUE,
    IfActive.ATTACH: Step.QUEUE,
    IfActive.FAIL: Step.FAIL,
    IfActive.SKIP: Step.SKIP,
}
