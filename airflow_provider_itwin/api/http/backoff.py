"""Backoff: how long to wait before a retry."""

from __future__ import annotations

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
LONGEST_OBEDIENCE = 300.0
"""Seconds for which a ``Retry-After`` is obeyed; a longer one is tried again before it has passed."""


def backoff(tries: int, chance: float, retry_after: float | None = None) -> float:
    """
    Give the seconds until the next try after trouble: twice as many each time, up to a minute, or what the service asks for.

    :param tries: how often it was tried so far, from 1
    :param chance: a random number from 0 up to 1, that keeps those in the same trouble from coming back together
    :param retry_after: seconds that the service asked for
    """
    growing = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries - 1, 10)) * (0.5 + chance / 2)
    return max(growing, min(retry_after or 0.0, LONGEST_OBEDIENCE) * (1 + chance / 10))
