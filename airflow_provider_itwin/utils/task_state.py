"""
What a run operator must not forget: across a deferral, and, where Airflow has a task state store (3.3), across a crash.

The store keeps its rows over retries and over clears alike. So what is kept says which clear it belongs to: a retry after a
lost worker finds its run, a cleared task never does. It is deleted when a retry is to start a new run; a good end leaves it, for
a worker can be lost between that and the moment at which Airflow hears of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.stored_version import (
    VERSION_KEY,
    UnknownVersionError,
    check_version,
)
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.start import Baseline
from airflow_provider_itwin.api.wait.waiter import WaitEvent
from airflow_provider_itwin.exceptions import ITwinStoredVersionError

log = logging.getLogger(__name__)

_STORE_KEY = "itwin_run"

TASK_STATE_VERSION = 1
"""The version of what is stored; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """
    What a task knows of its run so far.

    :param asked_at: epoch seconds at which this try of the task first asked for a run
    :param baseline: how the connection stood before it did
    :param own: the run of this task
    :param active: the run that the service named instead of starting one, in its last answer
    :param ending: how the run of this task ended
    :param from_earlier_try: whether `baseline` was taken by an earlier try
    :param in_doubt: whether the service was about to be asked for a run, and its answer is not known
    :param queue_turns: how many requests for a run were answered with an active run
    :param queued_behind: the active run of the last such answer
    :param next_start_at: epoch seconds before which no run is asked for again
    """

    asked_at: float
    baseline: Baseline | None = None
    own: RunRef | None = None
    active: Active | None = None
    ending: WaitEvent | None = None
    from_earlier_try: bool = False
    in_doubt: bool = False
    queue_turns: int = 0
    queued_behind: RunRef | None = None
    next_start_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give what has to survive as JSON values."""
        baseline = self.baseline
        return {
            VERSION_KEY: TASK_STATE_VERSION,
            "asked_at": self.asked_at,
            "own": self.own.as_dict() if self.own else None,
            "in_doubt": self.in_doubt,
            "queue_turns": self.queue_turns,
            "queued_behind": self.queued_behind.as_dict() if self.queued_behind else None,
            "baseline": {
                "last_run": baseline.last_run.as_dict() if baseline.last_run else None,
                "asked_at": baseline.asked_at.isoformat() if baseline.asked_at else None,
                "names_last_run": baseline.names_last_run,
            }
            if baseline
            else None,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` gave.

        The baseline finds a run that has no name yet; a task that knows its run does without.

        :raises UnknownVersionError: if a newer version of this package has written it
        :raises ValueError: if it is something else
        """
        if isinstance(values, Mapping):
            check_version(values, TASK_STATE_VERSION, "What the task has stored about its run")
        try:
            own = _ref(values["own"])
            return cls(
                asked_at=float(values["asked_at"]),
                own=own,
                baseline=_baseline(values.get("baseline"), is_needed=own is None),
                # What an older version of this package has kept does not say.
                in_doubt=bool(values.get("in_doubt", True)),
                queue_turns=int(values.get("queue_turns", 0)),
                queued_behind=_ref(values.get("queued_behind")),
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError(f"What a task has kept about its run cannot be read: {values!r:.300}") from None


def _baseline(values: Any, *, is_needed: bool) -> Baseline | None:
    try:
        if not values:
            return None
        return Baseline(
            _ref(values["last_run"]),
            _moment(values["asked_at"]),
            names_last_run=bool(values.get("names_last_run", False)),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        if is_needed:
            raise
        return None


def _ref(parts: dict[str, Any] | None) -> RunRef | None:
    return RunRef.from_dict(parts) if parts else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


class Store:
    """
    The task state store of a task, as far as its Airflow has one and the task wants to use it.

    :param context: the context that the task runs in
    :param durable: whether to use the store
    :param target: the kind and the ids of what the task is about; it is stored and compared, so its spelling stays
    """

    def __init__(self, context: Mapping[str, Any], durable: bool, target: str) -> None:
        self._rows = context.get("task_state_store") if durable else None
        self._clears = {
            # A clear raises this, a retry does not.
            "max_tries": getattr(context["ti"], "max_tries", None),
            # Nor does the clear of a task whose worker is lost already. What raises this can be the clear of another task of
            # the DAG run, too; better a run too many then than an old one for somebody who asked for a new one.
            "clear_number": getattr(context.get("dag_run"), "clear_number", None),
        }
        self._target = target

    def keep(self, memory: TaskState) -> None:
        """Write down what a later try needs in order to find the run of this one."""
        if self._rows is not None:
            self._rows.set(_STORE_KEY, {**memory.as_dict(), **self._clears, "target": self._target})

    def recall(self, now: float) -> TaskState | None:
        """
        Give what an earlier try of this task has kept; None if there is none, or the task was cleared or changed since.

        :raises ITwinStoredVersionError: if a newer version of this package has written it: without it, a second run could start
        """
        kept = self._rows.get(_STORE_KEY) if self._rows is not None else None
        if not isinstance(kept, dict) or any(kept.get(name) != value for name, value in self._clears.items()):
            return None
        try:
            check_version(kept, TASK_STATE_VERSION, "What an earlier try of this task has stored about its run")
            if kept.get("target") != self._target:
                return None
            # Only a memo needs the moment: a retry has its own.
            memory = TaskState.from_dict({"asked_at": now, **kept} if "asked_at" not in kept else kept)
        except UnknownVersionError as error:
            raise ITwinStoredVersionError(f"{error} Or clear the task: it starts a new run then.") from None
        except ValueError as error:
            log.warning("What an earlier try of this task kept is passed over: %s", error)
            return None
        return replace(memory, asked_at=now, from_earlier_try=True)

    def forget(self) -> None:
        """Delete what was kept: a retry is to start anew."""
        if self._rows is not None:
            self._rows.delete(_STORE_KEY)
