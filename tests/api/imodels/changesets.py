"""Changesets and runs for tests, with times in seconds from the start of the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_itwin.api.imodels.run_changes import RunTrace
from airflow_provider_itwin.api.models.imodels import Changeset, SynchronizationInfo

START = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)
SECONDS = 600
END = START + timedelta(seconds=SECONDS)

RUN, JOB, TASK = "a1ec-run", "d6ec-job", "f5ec-task"
UNSET: Any = object()


def trace(**fields: Any) -> RunTrace:
    """Make the trace of a run that took `SECONDS`."""
    usual: dict[str, Any] = {"run_id": RUN, "ids": frozenset({RUN, JOB, TASK}), "start": START, "end": END}
    return RunTrace(**usual | fields)


def changeset(
    index: int | None,
    seconds: float | None = None,
    task_id: str | None = UNSET,
    group_id: str | None = None,
    **fields: Any,
) -> Changeset:
    """
    Make a changeset.

    :param seconds: when it was pushed, from the start of the run; None: the service does not say
    :param task_id: of its synchronization, None for one without; left out: a person pushed it
    """
    text = None if seconds is None else (START + timedelta(seconds=seconds)).isoformat()
    info = None if task_id is UNSET else SynchronizationInfo(task_id=task_id)
    given = {"id": f"changeset-{index}", "push_text": text, "synchronization_info": info, "group_id": group_id}
    return Changeset(index=index, **given | fields)


def listed(one: Changeset) -> dict[str, Any]:
    """Return a changeset as the service lists it."""
    info = one.synchronization_info
    return {
        "id": one.id,
        "index": one.index,
        "pushDateTime": one.push_text,
        "groupId": one.group_id,
        "state": one.state or "fileUploaded",
        "synchronizationInfo": {"taskId": info.task_id, "changedFiles": None} if info else None,
    }
