"""
The state of a run operator that survives a deferral and, with the task state store of Airflow 3.3, a lost worker.

The store keeps its rows over retries and clears. So each row contains the number of the clear: a retry after a lost worker finds
its run, a cleared task does not. The row is deleted when a retry must start a new run. A success leaves it: a worker can be
lost before Airflow learns of the success.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeVar

from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.stored_version import (
    VERSION_KEY,
    UnknownVersionError,
    check_version,
)
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.start import StartAttempt
from airflow_provider_itwin.api.wait.models import WaitResult
from airflow_provider_itwin.exceptions import ITwinStoredVersionError

log = logging.getLogger(__name__)

_STORE_KEY = "itwin_run"

TASK_STATE_VERSION = 1
"""The version of what is stored; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """
    The state of a task: what is known about its run so far.

    :param asked_at: epoch seconds at which this attempt of the task first asked for a run
    :param attempt: what is known about starting the run
    :param own: the run of this task
    :param active: the run that the service named in its last response instead of starting one
    :param wait_result: how the run of this task ended
    :param queue_turns: how many requests for a run were answered with an active run
    :param queued_behind: the active run of the last such response
    :param next_start_at: epoch seconds before which no run is asked for again
    """

    asked_at: float
    attempt: StartAttempt = field(default_factory=StartAttempt)
    own: RunRef | None = None
    active: ActiveRun | None = None
    wait_result: WaitResult | None = None
    queue_turns: int = 0
    queued_behind: RunRef | None = None
    next_start_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what has to survive, as JSON values."""
        return {
            VERSION_KEY: TASK_STATE_VERSION,
            "asked_at": self.asked_at,
            "own": self.own.as_dict() if self.own else None,
            "queue_turns": self.queue_turns,
            "queued_behind": self.queued_behind.as_dict() if self.queued_behind else None,
            **self.attempt.as_dict(),
        }

    def restored(self, now: float) -> Self:
        """Return the state of a previous attempt as that of this one, which began at `now`."""
        return replace(self, asked_at=now, attempt=replace(self.attempt, is_restored=True))

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` returned.

        The attempt is needed to find a run whose id is not known. If the run is known, an unreadable attempt is ignored.

        :raises UnknownVersionError: if a newer version of this package has written it
        :raises ValueError: if it is something else
        """
        if isinstance(values, Mapping):
            check_version(values, TASK_STATE_VERSION, "The stored state of the task")
        try:
            own = _ref(values["own"])
            return cls(
                asked_at=float(values["asked_at"]),
                attempt=_attempt(values, is_needed=own is None),
                own=own,
                queue_turns=int(values.get("queue_turns", 0)),
                queued_behind=_ref(values.get("queued_behind")),
            )
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            raise ValueError(f"The stored state of the task is unreadable: {values!r:.300}") from None


def _attempt(values: Mapping[str, Any], *, is_needed: bool) -> StartAttempt:
    try:
        return StartAttempt.from_dict(values)
    except (KeyError, TypeError, AttributeError, ValueError):
        if is_needed:
            raise
        return StartAttempt()


def _ref(parts: dict[str, Any] | None) -> RunRef | None:
    return RunRef.from_dict(parts) if parts else None


class StoredState(Protocol):
    """The state of a task, as the store uses it."""

    def as_dict(self) -> dict[str, Any]:
        """Return what has to survive, as JSON values."""

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises ValueError: if it is something else
        """

    def restored(self, now: float) -> Self:
        """Return the state of a previous attempt as that of this one, which began at `now`."""


StateT = TypeVar("StateT", bound=StoredState)


class TaskStateStore(Generic[StateT]):
    """
    The task state store of Airflow for one task; does nothing where Airflow has none, or the task does not use it.

    :param context: the context of the task
    :param durable: whether to use the store
    :param target: kind and ids of what the task is about; it is stored and compared, so its spelling must not change
    :param shape: the class of the state
    :param key: the key of the row
    """

    def __init__(
        self, context: Mapping[str, Any], durable: bool, target: str, shape: type[StateT], key: str = _STORE_KEY
    ) -> None:
        self._shape = shape
        self._key = key
        self._rows = context.get("task_state_store") if durable else None
        self._clears = {
            # A clear raises this, a retry does not.
            "max_tries": getattr(context["ti"], "max_tries", None),
            # A clear does not raise max_tries if the worker is lost already. The clear of another task of the DAG run raises
            # clear_number too. Then a second run starts: better than an old run for a user who cleared the task.
            "clear_number": getattr(context.get("dag_run"), "clear_number", None),
        }
        self._target = target

    def save(self, state: StateT) -> None:
        """Save what a later attempt needs to find the run or the job of this one."""
        if self._rows is not None:
            self._rows.set(self._key, {**state.as_dict(), **self._clears, "target": self._target})

    def load(self, now: float) -> StateT | None:
        """
        Return what a previous attempt of this task has stored; None if there is none, or the task was cleared or changed since.

        :raises ITwinStoredVersionError: if a newer version of this package has stored it: without it, a second run could start
        """
        stored = self._rows.get(self._key) if self._rows is not None else None
        if not isinstance(stored, dict) or any(stored.get(name) != value for name, value in self._clears.items()):
            return None
        try:
            check_version(stored, TASK_STATE_VERSION, "The state that a previous attempt of this task stored")
            if stored.get("target") != self._target:
                return None
            # Only the state in a trigger needs the time: a retry has its own.
            state = self._shape.from_dict({"asked_at": now, **stored} if "asked_at" not in stored else stored)
        except UnknownVersionError as error:
            raise ITwinStoredVersionError(f"{error} Or clear the task: it then starts anew.") from None
        except ValueError as error:
            log.warning("Ignoring the state that a previous attempt of this task stored: %s", error)
            return None
        return state.restored(now)

    def clear(self) -> None:
        """Delete what was stored, so that a retry starts a new run or job."""
        if self._rows is not None:
            self._rows.delete(self._key)
