"""
Whether a task is deferred, and the limits of its wait.

Airflow's scheduler enforces the timeout of a deferral if no triggerer ends the wait.

DAG files import this module, so it imports nothing that they do not need.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.sdk_compat import conf

GRACE_OF_FRAMEWORK = 60.0
"""Seconds by which Airflow's timeout of a deferral is later than ours, so that a working triggerer always ends the wait first."""

_LONGEST = timedelta(days=3650)
"""A longer timeout counts as none: the database could not store its time."""


def default_deferrable() -> bool:
    """Return whether this deployment's tasks wait in the triggerer unless they say otherwise."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


class LimitedTask(Protocol):
    """An operator whose wait has limits: durations that start when its attempt begins."""

    deferrable: bool
    timeout: Any
    execution_timeout: timedelta | None


def operator_deadline(task: LimitedTask, began: float) -> float | None:
    """
    Return when the wait of an operator ends at the latest, in epoch seconds; None: no limit.

    :param began: epoch seconds at which this attempt of the task began
    """
    limits = [parse_seconds(task.timeout, "timeout")]
    if task.deferrable:
        # On a worker, Airflow itself enforces this one.
        limits.append(parse_seconds(task.execution_timeout, "execution_timeout"))
    known = [limit for limit in limits if limit is not None]
    return began + min(known) if known else None


def deferral_timeout(deadline: float | None, now: float) -> timedelta | None:
    """
    Return the timeout for a deferral.

    :param deadline: epoch seconds at which the trigger ends the wait; None: no limit
    :param now: epoch seconds
    :return: None: no limit
    """
    if deadline is None or deadline - now > _LONGEST.total_seconds():
        return None
    return timedelta(seconds=max(0.0, deadline - now) + GRACE_OF_FRAMEWORK)
