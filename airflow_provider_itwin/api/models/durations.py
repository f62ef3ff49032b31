"""
Durations: as users write them, and as they read them.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import math
from datetime import timedelta

from airflow_provider_itwin.api.errors import ITwinInputError


def parse_seconds(value: object, name: str) -> float | None:
    """
    Return a duration in seconds; None stays None.

    :param value: a number of seconds or a timedelta; pendulum's durations are timedeltas
    :param name: name of the parameter, for the error text
    :raises ITwinInputError: if it is not positive, or not finite
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ITwinInputError(f"{name} must be a positive number of seconds, a timedelta, or None, not {value!r}")
    return seconds


def format_duration(seconds: float) -> str:
    """Format a duration: ``42 s``, ``25 min``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
