"""
Kinds of connections, states and results of runs.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn

from airflow_provider_itwin.api.errors import ITwinInputError


class ConnectionKind(StrEnum):
    """Kinds of connections: where design files are read from, or exported to."""

    STORAGE = "storage"
    MANIFEST = "manifest"
    EXPORT = "export"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ITwinInputError(f"invalid kind {value!r:.80}; expected one of {', '.join(map(repr, map(str, cls)))}")


class ExecutionState(StrEnum):
    """States of a run; only ``Completed`` is final, and an unknown state counts as running."""

    NOT_STARTED = "NotStarted"
    IDLE = "Idle"
    QUEUED = "Queued"
    WAITING_TO_EXECUTE = "WaitingToExecute"
    WAITING_TO_RETRY = "WaitingToRetry"
    EXECUTING = "Executing"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"


class ExecutionResult(StrEnum):
    """Results of a run; an unknown result counts as a failure."""

    SUCCESS = "Success"
    PARTIAL_SUCCESS = "PartialSuccess"
    SKIPPED = "Skipped"
    ERROR = "Error"
    TIMED_OUT = "TimedOut"
    CANCELED = "Canceled"
    UNDETERMINED = "Undetermined"


USER_NOT_AUTHENTICATED = "UserNotAuthenticated"
"""Error key of a run in the name of a user whose sign-in is missing or older than 30 days."""


_RESULTS = {result.value.lower(): result for result in ExecutionResult} | {"cancelled": ExecutionResult.CANCELED}


_STATES = {state.value.lower(): state for state in ExecutionState}


def known_state(text: str | None) -> ExecutionState | None:
    """Return the state named `text`, without regard to case and blanks; None for an unknown one."""
    return _STATES.get(text.strip().lower()) if text else None


def known_result(text: str | None) -> ExecutionResult | None:
    """Return the result named `text`, in any case and either spelling of Canceled; None for an unknown one."""
    return _RESULTS.get(text.strip().lower()) if text else None
