"""A job of the platform. As everything about a run, its state is a function of its plan and the time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from itwin_emulator.domain.job_kinds import JOB_KINDS, JobKind, JobKindName, States
from itwin_emulator.domain.job_plans import JobError, JobPlan

CANCELLATION = 30.0
"""Emulated seconds from a cancellation to its outcome, for kinds with a state in between."""
FAILING_SHARE = 0.05
_GENERAL_ERROR = JobError("The job failed.")


@dataclass(slots=True)
class Job:
    """A job. Times are seconds since the epoch, without the skew of the clock."""

    id: str
    kind_name: JobKindName
    itwin_id: str
    created: float
    plan: JobPlan
    speed: float
    creator: str
    """Id of a client."""
    imodel_id: str | None = None
    """The iModel that it is about, or that it writes to."""
    subject: str | None = None
    """Id of what it was started from, e.g. of a configuration."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """What the request asked for, without secrets."""
    previous: Job | None = None
    """The job after whose end it starts."""
    cancelled: float | None = None
    finished: float | None = None
    """Time at which a control has ended it."""
    collected: bool = False
    """Whether its result exists, or it ended without one."""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> JobKind:
        """How it proceeds."""
        return JOB_KINDS[self.kind_name]

    @property
    def started(self) -> float:
        """Time at which it leaves the queue."""
        # No recursion: a queue can be long.
        queue = [self]
        while queue[-1].previous is not None:
            queue.append(queue[-1].previous)
        moment = queue[-1].created
        for job in reversed(queue[1:]):
            moment = job._ended_after(max(moment, job.created))
        return max(moment, self.created)

    @property
    def ended(self) -> float:
        """Time of its outcome, past or future."""
        return self._ended_after(self.started)

    @property
    def outcome(self) -> str:
        """Its last state."""
        if self.cancelled is not None and self.kind.cancelled is not None:
            return self.kind.cancelled
        return self.kind.success if self.plan.outcome is None else self.plan.outcome

    @property
    def error(self) -> JobError | None:
        """Its error after the end, or None if it does not fail."""
        if self.outcome != self.kind.failure:
            return None if self.cancelled is not None else self.plan.error
        return self.plan.error or _GENERAL_ERROR

    def is_active(self, now: float) -> bool:
        """Return whether it has not ended."""
        return now < self.ended

    def is_waiting(self, now: float) -> bool:
        """Return whether it waits for another job."""
        return self.previous is not None and now < min(self.started, self.ended)

    def is_successful(self, now: float) -> bool:
        """Return whether it has ended with the success of its kind, or with a part of it."""
        return not self.is_active(now) and self.outcome in (self.kind.success, *self.kind.other_outcomes)

    def state(self, now: float) -> str:
        """Return its state."""
        if not self.is_active(now):
            return self.outcome
        if self.cancelled is not None and self.kind.cancelling is not None:
            return self.kind.cancelling
        states = self._states()
        limit = 0.0
        total = sum(share for _, share in states)
        share_of_time = self._share(now)
        for name, share in states:
            limit += share / total
            if share_of_time < limit:
                return name
        return states[-1][0]

    def percentage(self, now: float) -> float:
        """Return its progress between 0 and 100; 100 only after a success."""
        if self.is_successful(now):
            return 100.0
        share = self._share(min(now, self.ended if self.cancelled is None else self.cancelled))
        if self.plan.progress:
            return self.plan.progress[min(int(share * len(self.plan.progress)), len(self.plan.progress) - 1)]
        return float(min(99, int(100 * share)))

    def cancel(self, now: float) -> None:
        """Cancel it."""
        self.cancelled = now

    def finish(self, now: float, outcome: str | None) -> None:
        """
        End it.

        :param outcome: None: the planned outcome
        """
        # A job that still waits for another one ends, too.
        self.previous, self.finished, self.cancelled = None, now, None
        if outcome is not None:
            self.plan = replace(self.plan, outcome=outcome)

    def _ended_after(self, started: float) -> float:
        if self.cancelled is not None:
            return self.cancelled + (CANCELLATION / self.speed if self.kind.cancelling else 0.0)
        planned = started + self.plan.duration / self.speed
        return planned if self.finished is None else min(planned, self.finished)

    def _share(self, now: float) -> float:
        duration = self.plan.duration / self.speed
        return 1.0 if duration <= 0 else min(1.0, max(0.0, (now - self.started) / duration))

    def _states(self) -> States:
        if self.plan.states is not None:
            return self.plan.states
        if self.kind.failing is None or self.outcome != self.kind.failure:
            return self.kind.states
        total = sum(share for _, share in self.kind.states)
        return (*self.kind.states, (self.kind.failing, total * FAILING_SHARE))
