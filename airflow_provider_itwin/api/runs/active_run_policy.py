"""
What a run operator does next: one pure function of what it knows.

Asked by the synchronous loop and by the deferred steps alike, so that both take the same way. Light: DAG files reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from airflow_provider_itwin.api.models.run_ref import RunRef


class IfActive(StrEnum):
    """What to do when the iModel is already being synchronized."""

    QUEUE = "queue"
    ATTACH = "attach"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Active:
    """
    The run that the service named instead of starting one.

    :param ref: its name
    :param ours: whether it is a run of the connection that was asked for
    :param fresh: whether it is ours and certainly began no earlier than this task asked
    :param finished: whether it is known to have ended already: the service can lock the iModel a little longer than its run lasts
    """

    ref: RunRef
    ours: bool
    fresh: bool
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Ask the service for a run."""


@dataclass(frozen=True, slots=True)
class QueueBehind:
    """Wait until `ref`, which is not ours to report, has ended; then ask again."""

    ref: RunRef


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take the active run for the one that this task asked for."""

    ref: RunRef


@dataclass(frozen=True, slots=True)
class RefuseBecauseOf:
    """Fail, and name the active run."""

    ref: RunRef


@dataclass(frozen=True, slots=True)
class SkipBecauseOf:
    """Skip, and name the active run."""

    ref: RunRef


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait until the run of this task has ended."""

    ref: RunRef


@dataclass(frozen=True, slots=True)
class Judge:
    """The run of this task has ended: say what that means."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The run of this task has started, and nobody wants to wait for it."""


Step: TypeAlias = Start | QueueBehind | Adopt | RefuseBecauseOf | SkipBecauseOf | WaitFor | Judge | Leave


def next_step(
    if_active: IfActive,
    *,
    wait: bool,
    own: RunRef | None = None,
    active: Active | None = None,
    finished: bool = False,
) -> Step:
    """
    Say what comes next.

    An active run that is fresh is the one that this task asked for (its own request arrived although the answer did not,
    or somebody asked for the same thing since): every policy takes it. One that is ours but older may lack the newest
    files, and one of another connection has nothing to do with ours; passing either off as the run of this task would
    be a lie, so only ``attach``, which asks for it, adopts the former, and nothing adopts the latter.

    :param if_active: the policy
    :param wait: whether the task waits for its run to end
    :param own: the run of this task, once there is one
    :param active: the run that the service named instead of starting one, if that was its last answer
    :param finished: whether the run of this task has ended
    """
    if own is not None:
        if not wait:
            return Leave()
        return Judge() if finished else WaitFor(own)
    if active is None:
        return Start()
    if active.fresh or (active.ours and not active.finished and if_active is IfActive.ATTACH):
        return Adopt(active.ref)
    if if_active is IfActive.FAIL:
        return RefuseBecauseOf(active.ref)
    if if_active is IfActive.SKIP:
        return SkipBecauseOf(active.ref)
    return QueueBehind(active.ref)
