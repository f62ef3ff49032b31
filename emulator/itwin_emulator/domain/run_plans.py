"""How a run is going to go: decided when it starts, told bit by bit as the clock moves on."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

RESULTS = ("Undetermined", "Success", "Error", "PartialSuccess", "Skipped", "Canceled", "Cancelled", "TimedOut")
"""The documented results, old spelling included. A plan may name any other: new ones have appeared before."""

STATES = ("NotStarted", "Idle", "WaitingToExecute", "WaitingToRetry", "Executing", "Finalizing", "Completed", "Queued")
"""The documented states."""

DEFAULT_STATES: tuple[tuple[str, float], ...] = (
    ("NotStarted", 0.01),
    ("Queued", 0.03),
    ("WaitingToExecute", 0.04),
    ("Executing", 0.84),
    ("Finalizing", 0.08),
)
"""What a run goes through before it is Completed, and the share of its duration that each takes."""


LONGEST_RUN = 1e9
MOST_FILES = 100_000


def check_name(name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that nobody can have meant: new ones are welcome, slips of the pen are not."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    if near and name not in known:
        raise ValueError(f"{name!r} looks like a slip for {near[0]!r}")


@dataclass(frozen=True, slots=True)
class RunError:
    """What went wrong with a run as a whole."""

    error_key: str
    description: str = ""

    def as_json(self) -> dict[str, str]:
        """Print it as the API does."""
        return {"errorKey": self.error_key, "description": self.description}


USER_NOT_AUTHENTICATED = RunError("UserNotAuthenticated", "User is not authenticated.")
"""How a run of a ``User`` connection ends whose owner's stored sign-in is gone."""


@dataclass(frozen=True, slots=True)
class FailingFile:
    """A file that ends otherwise than the run's other files, and the error that the API shows for it."""

    file: str | int
    """Name, storage file id or source file id, or position in the run from 0 on."""
    result: str = "Error"
    """Result of the task. ``"Success"`` is possible: the API's own examples show an error beside it."""
    retry_attempts: int = 0
    error_code: str = "TAE_BRG_1000"
    message: str = "Failed to process the file."
    details: str = "Error exit code received from bridge wrapper."
    bridge_exit_code: int = 4294967295
    system: str = "cloud_orchestrator"
    phase: str = "internal_server_error"
    category: str = "other"
    description_key: str = "RunOrchestrationError"
    description: str = "Failed to orchestrate Run."
    kb_article_link: str = ""
    can_user_fix: bool = False
    errors: int = 1
    """Number of errors in the file's synchronization report."""
    warnings: int = 0
    other_issues: int = 0

    def __post_init__(self) -> None:
        check_name(self.result, RESULTS)

    def as_json(self) -> dict[str, Any]:
        """Print the error as the API does."""
        return {
            "errorCode": self.error_code,
            "message": self.message,
            "details": self.details,
            "bridgeExitCode": self.bridge_exit_code,
            "system": self.system,
            "phase": self.phase,
            "category": self.category,
            "descriptionKey": self.description_key,
            "description": self.description,
            "kbArticleLink": self.kb_article_link,
            "canUserFix": self.can_user_fix,
        }


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Outcome and course of a run."""

    result: str = "Success"
    duration: float = 600.0
    """Emulated seconds from the start to Completed."""
    phase: str = "MasterFile"
    error: RunError | None = None
    """Error of the run as a whole. Without failing files it means that no file was worked on."""
    failing: tuple[FailingFile, ...] = ()
    warnings: int = 0
    """Warnings in the synchronization reports of the files that do not fail, all together."""
    errors: int = 0
    other_issues: int = 0
    invent_files: int | None = None
    """Work on so many invented files instead of those of the connection."""
    states: tuple[tuple[str, float], ...] = DEFAULT_STATES
    """States before Completed with their shares of the duration; any name will do."""

    def __post_init__(self) -> None:
        check_name(self.result, RESULTS)
        for state, _ in self.states:
            check_name(state, STATES)
        if self.duration < 0:
            raise ValueError("duration must not be negative")
        if not self.duration <= LONGEST_RUN:
            raise ValueError(f"duration must not be longer than {LONGEST_RUN:g} seconds")
        if self.invent_files is not None and not 0 <= self.invent_files <= MOST_FILES:
            raise ValueError(f"invent_files must be between 0 and {MOST_FILES}")
        if not self.states or any(share < 0 for _, share in self.states) or sum(share for _, share in self.states) <= 0:
            raise ValueError("states needs at least one state, and shares that are not negative")
