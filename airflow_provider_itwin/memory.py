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

from airflow_provider_itwin.api.conversations import Baseline
from airflow_provider_itwin.api.plan import Active
from airflow_provider_itwin.api.vocabulary import RunRef
from airflow_provider_itwin.api.waiting import WaitEvent

log = logging.getLogger(__name__)

_STORE_KEY = "itwin_run"


@dataclass(frozen=True, slots=True)
class Memory:
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

        :raises ValueError: if it is something else
        """
        try:
            baseline = values["baseline"]
            return cls(
                asked_at=float(values["asked_at"]),
                own=_ref(values["own"]),
                baseline=Baseline(
                    _ref(baseline["last_run"]),
                    _moment(baseline["asked_at"]),
                    names_last_run=bool(baseline.get("names_last_run", False)),
                )
                if baseline
                else None,
                # What an older version of this package has kept does not say.
                in_doubt=bool(values.get("in_doubt", True)),
                queue_turns=int(values.get("queue_turns", 0)),
                queued_behind=_ref(values.get("queued_behind")),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"What a task has kept about its run cannot be read: {values!r:.300}") from error


def _ref(parts: dict[str, Any] | None) -> RunRef | None:
    return RunRef.from_dict(parts) if parts else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


class Store:
    """
    The task state store of a task, as far as its Airflow has one and the task wants to use it.

    :param context: the context that the task runs in
    :param durable: whether to use the store
    :param target: what the task is about, in words; a task that was changed since is not helped by what is kept
    """

    def __init__(self, context: Mapping[str, Any], durable: bool, target: str) -> None:
        self._rows = context.get("task_state_store") if durable else None
        self._mark = {
            # A clear raises this, a retry does not.
            "max_tries": getattr(context["ti"], "max_tries", None),
            # Nor does the clear of a task whose worker is lost already. What raises this can be the clear of another task of
            # the DAG run, too; better a run too many then than an old one for somebody who asked for a new one.
            "clear_number": getattr(context.get("dag_run"), "clear_number", None),
            "target": target,
        }

    def keep(self, memory: Memory) -> None:
        """Write down what a later try needs in order to find the run of this one."""
        if self._rows is not None:
            self._rows.set(_STORE_KEY, memory.as_dict() | self._mark)

    def recall(self, now: float) -> Memory | None:
        """Give what an earlier try of this task has kept; None if there is none, or the task was cleared or changed since."""
        kept = self._rows.get(_STORE_KEY) if self._rows is not None else None
        if not isinstance(kept, dict) or any(kept.get(name) != value for name, value in self._mark.items()):
            return None
        try:
            memory = Memory.from_dict(kept)
        except ValueError as error:
            log.warning("What an earlier try of this task kept is passed over: %s", error)
            return None
        return replace(memory, asked_at=now, from_earlier_try=True)

    def forget(self) -> None:
        """Delete what was kept: a retry is to start anew."""
        if self._rows is not None:
            self._rows.delete(_STORE_KEY)
