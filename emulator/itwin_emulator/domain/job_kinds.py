"""The kinds of jobs of the platform, and how they proceed: one table for all APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JobKindName = Literal[
    "transformation",
    "changed-elements",
    "extraction",
    "reality-modeling",
    "reality-analysis",
    "reality-conversion",
]
States = tuple[tuple[str, float], ...]
"""States before the outcome, each with its share of the duration."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How jobs of one kind proceed."""

    name: JobKindName
    states: States
    success: str
    """Outcome of a job whose plan names none."""
    failure: str
    other_outcomes: tuple[str, ...] = ()
    cancelled: str | None = None
    """Outcome of a cancelled job; None: jobs of this kind cannot be cancelled."""
    cancelling: str | None = None
    """State between the cancellation and its outcome; None: a job ends at once."""
    failing: str | None = None
    """State in the last part of a job that fails."""

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The documented outcomes."""
        cancelled = () if self.cancelled is None else (self.cancelled,)
        return (self.success, self.failure, *self.other_outcomes, *cancelled)

    @property
    def all_states(self) -> tuple[str, ...]:
        """The documented states, and the outcomes."""
        between = (one for one in (self.cancelling, self.failing) if one is not None)
        return (*(name for name, _ in self.states), *between, *self.outcomes)


def _reality(name: JobKindName) -> JobKind:
    return JobKind(
        name,
        states=(("Queued", 0.05), ("Active", 0.95)),
        success="Success",
        failure="Failed",
        cancelled="Cancelled",
        cancelling="TerminatingOnCancel",
        failing="TerminatingOnFailure",
    )


TRANSFORMATION = JobKind(
    "transformation",
    states=(("Created", 0.05), ("Initializing", 0.15), ("Started", 0.8)),
    success="Succeeded",
    failure="Failed",
    cancelled="Aborted",
)
CHANGED_ELEMENTS = JobKind(
    "changed-elements", states=(("Queued", 0.1), ("Started", 0.9)), success="Completed", failure="Failed"
)
EXTRACTION = JobKind(
    "extraction",
    states=(("Queued", 0.1), ("Running", 0.9)),
    success="Succeeded",
    failure="Failed",
    other_outcomes=("PartiallySucceeded",),
)
REALITY_MODELING = _reality("reality-modeling")
REALITY_ANALYSIS = _reality("reality-analysis")
REALITY_CONVERSION = _reality("reality-conversion")

JOB_KINDS: dict[JobKindName, JobKind] = {
    one.name: one
    for one in (
        TRANSFORMATION,
        CHANGED_ELEMENTS,
        EXTRACTION,
        REALITY_MODELING,
        REALITY_ANALYSIS,
        REALITY_CONVERSION,
    )
}
