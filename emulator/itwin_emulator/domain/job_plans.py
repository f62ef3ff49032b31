"""Plans of jobs: states, outcome, progress and messages of a job, fixed at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from itwin_emulator.domain.job_kinds import JobKind, States
from itwin_emulator.domain.run_plans import MAX_DURATION, check_name

MAX_MESSAGES = 10_000


@dataclass(frozen=True, slots=True)
class JobError:
    """The error of a job that fails."""

    message: str
    code: str = "InternalError"
    """Transformations have numbers as codes; anything else is 0 there."""


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A message about a job, as far as its API has messages."""

    message: str
    level: Literal["information", "warning", "error"] = "error"
    code: str = "Emulated"
    title: str = ""
    params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobPlan:
    """States and outcome of a job."""

    outcome: str | None = None
    """Last state; None: the success of the kind. Any name is allowed, as new ones can appear."""
    duration: float = 600.0
    """Emulated seconds from the start to the outcome."""
    states: States | None = None
    """States before the outcome with their shares of the duration; None: those of the kind. Any name is allowed."""
    progress: tuple[float, ...] = ()
    """Percentages in equal parts of the duration, e.g. ``[0, 40, 40, 99]``; empty: it grows evenly."""
    error: JobError | None = None
    """None: a general one if the job fails."""
    messages: tuple[JobMessage, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.duration <= MAX_DURATION:
            raise ValueError(f"duration must be between 0 and {MAX_DURATION:g} seconds")
        if any(not 0 <= one <= 100 for one in self.progress):
            raise ValueError("progress must contain percentages between 0 and 100")
        if len(self.messages) > MAX_MESSAGES:
            raise ValueError(f"messages must not be more than {MAX_MESSAGES}")
        if self.states is None:
            return
        if not self.states or any(share < 0 for _, share in self.states) or sum(share for _, share in self.states) <= 0:
            raise ValueError("states must have at least one state and no negative share")

    def check(self, kind: JobKind) -> None:
        """
        Reject misspelled states and outcomes of a kind of job.

        :raises ValueError: a name is close to a documented one
        """
        if self.outcome is not None:
            check_name(self.outcome, kind.outcomes)
        for state, _ in self.states or ():
            check_name(state, kind.all_states)
