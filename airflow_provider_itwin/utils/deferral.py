"""
The time limit that Airflow's scheduler itself enforces on a deferred task, for when no triggerer can.

DAG files reach this module, so it imports nothing that they do not need.
"""

from __future__ import annotations

from datetime import timedelta

GRACE_OF_FRAMEWORK = 60.0
"""Seconds by which Airflow's own limit for a deferral lies behind ours, so that a working triggerer is always first."""

_LONGEST = timedelta(days=3650)
"""A longer limit is none: the database could not store when it ends."""

FAILED_DEFERRAL = "__fail__"
"""What Airflow names as the method to resume a task with whose deferral has failed."""


def deferral_timeout(deadline: float | None, now: float) -> timedelta | None:
    """
    Return the time limit for a deferral.

    :param deadline: epoch seconds at which the trigger ends the wait; None for never
    :return: None for no limit
    """
    if deadline is None or deadline - now > _LONGEST.total_seconds():
        return None
    return timedelta(seconds=max(0.0, deadline - now) + GRACE_OF_FRAMEWORK)


def is_deferral_timeout(error: Exception) -> bool:
    """Return whether a deferral failed because its time limit passed; Airflow 2 has no exception of its own for that."""
    return type(error).__name__ == "TaskDeferralTimeout" or str(error) == "Trigger/execution timeout"
