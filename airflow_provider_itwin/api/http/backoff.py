"""Backoff: how long to wait before a retry."""

from __future__ import annotations

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
LONGEST_RETRY_AFTER = 300.0
"""Seconds of a ``Retry-After`` that are honored; after a longer one, the request is retried earlier."""


def backoff(attempts: int, chance: float, retry_after: float | None = None) -> float:
    """
    Return the seconds until the next attempt: doubled each time up to a minute, or the ``Retry-After`` of the service.

    :param attempts: number of failed attempts, from 1
    :param chance: a random number from 0 to 1; jitter, so that clients that failed together do not retry together
    :param retry_after: seconds that the service asked to wait
    """
    growing = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempts - 1, 10)) * (0.5 + chance / 2)
    return max(growing, min(retry_after or 0.0, LONGEST_RETRY_AFTER) * (1 + chance / 10))
