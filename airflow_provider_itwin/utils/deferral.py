"""
Whether a task is deferred, and the timeout of the deferral, which Airflow's scheduler enforces if no triggerer does.

DAG files import this module, so it imports nothing that they do not need.
"""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_itwin.sdk_compat import conf

GRACE_OF_FRAMEWORK = 60.0
"""Seconds by which Airflow's timeout of a deferral is later than ours, so that a working triggerer always ends the wait first."""

_LONGEST = timedelta(days=3650)
"""A longer timeout counts as none: the database could not store its time."""


def default_deferrable() -> bool:
    """Return whether this deployment's tasks wait in the triggerer unless they say otherwise."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


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
