"""Plans of runs: states, result and failing files of a run, fixed at its start."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

RESULTS = ("Undetermined", "Success", "Error", "PartialSuccess", "Skipped", "Canceled", "Cancelled", "TimedOut")
"""The documented results, including the old spelling. A plan may name any other: new ones have appeared before."""

STATES = ("NotStarted", "Idle", "WaitingToExecute", "WaitingToRetry", "Executing", "Finalizing", "Completed", "Queued")
"""The documented states."""

DEFAULT_STATES: tuple[tuple[str, float], ...] = (
    ("NotStarted", 0.01),
    ("Queued", 0.03),
    ("WaitingToExecute", 0.04),
    ("Executing", 0.84),
    ("Finalizing", 0.08),
)
"""States before ``Completed`` with their shares of the duration."""

MAX_DURATION = 1e9
MAX_FILES = 100_000
MAX_CHANGESETS = 1000


def check_name(name: str, known: tuple[str, ...]) -> None:
    """Reject a misspelled name. Unknown names are allowed, names close to a known one are not."""
    if name in known:
        return
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        raise ValueError(f"{name!r} looks like a misspelling of {near[0]!r}")


@dataclass(frozen=True, slots=True)
class RunError:
    """The error of a run as a whole."""

    error_key: str
    description: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the error in the format of the API."""
        return {"errorKey": self.error_key, "description": self.description}


USER_NOT_AUTHENTICATED = RunError("UserNotAuthenticated", "User is not authenticated.")
"""Error of a run of a ``User`` connection whose owner has no stored sign-in."""


@dataclass(frozen=True, slots=True)
class FailingFile:
    """A file whose result differs from that of the other files, and its error in the API."""

    file: str | int
    """Name, storage file id, source file id, or zero-based position in the run."""
    result: str = "Error"
    """Result of the task. ``"Success"`` is allowed: the API's examples show it together with an error."""
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
    """Number of errors in the synchronization report of the file."""
    warnings: int = 0
    other_issues: int = 0

    def __post_init__(self) -> None:
        check_name(self.result, RESULTS)

    def as_json(self) -> dict[str, Any]:
        """Return the error in the format of the API."""
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
    """States and outcome of a run."""

    result: str = "Success"
    duration: float = 600.0
    """Emulated seconds from the start to ``Completed``."""
    phase: str = "MasterFile"
    error: RunError | None = None
    """Error of the run as a whole. Without failing files it means that no file was processed."""
    failing: tuple[FailingFile, ...] = ()
    warnings: int = 0
    """Total of warnings in the synchronization reports of the files that do not fail."""
    errors: int = 0
    other_issues: int = 0
    invent_files: int | None = None
    """Process this number of invented files instead of the files of the connection."""
    changesets: int | None = None
    """Number of changesets that it pushes if it is successful; None: one if files have changed, otherwise none."""
    states: tuple[tuple[str, float], ...] = DEFAULT_STATES
    """States before ``Completed`` with their shares of the duration; any name is allowed."""

    def __post_init__(self) -> None:
        check_name(self.result, RESULTS)
        for state, _ in self.states:
            check_name(state, STATES)
        if self.duration < 0:
            raise ValueError("duration must not be negative")
        if not self.duration <= MAX_DURATION:
            raise ValueError(f"duration must not be longer than {MAX_DURATION:g} seconds")
        if self.invent_files is not None and not 0 <= self.invent_files <= MAX_FILES:
            raise ValueError(f"invent_files must be between 0 and {MAX_FILES}")
        if self.changesets is not None and not 0 <= self.changesets <= MAX_CHANGESETS:
            raise ValueError(f"changesets must be between 0 and {MAX_CHANGESETS}")
        if not self.states or any(share < 0 for _, share in self.states) or sum(share for _, share in self.states) <= 0:
            raise ValueError("states must have at least one state and no negative share")
