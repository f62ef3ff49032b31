"""Rate limits: how many requests the subscription of a client allows. Off unless a tier is chosen."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

from itwin_emulator.http.errors import ApiError, too_many_requests

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests allowed in any minute and in any hour; None: as many as one likes."""

    per_minute: int | None
    per_hour: int | None = None


TIERS: dict[str, Limit] = {
    "trial": Limit(500, 5000),
    "community": Limit(500, 5000),
    "basic": Limit(5000),
    "standard": Limit(5000),
    "premium": Limit(5000),
    "custom": Limit(5000),
}
"""Tiers under their names of 2024 and later."""


class RateLimiter:
    """Counts the requests of each client."""

    def __init__(self) -> None:
        self.tier: str | None = None
        """Tier of clients that have none of their own; None: no limit."""
        self.code = "RateLimitExceeded"
        """Code of the error: ``RateLimitExceeded``, or ``TooManyRequests`` as on older pages."""
        self.limits = dict(TIERS)
        """What the tiers allow; may be changed, and added to."""
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._seen.clear()

    def check(self, client_id: str, tier: str | None, api: str, operation: str, now: float) -> None:
        """Count a request, or refuse it if there were too many."""
        chosen = tier or self.tier
        if chosen is None:
            return
        limit = self.limits.get(chosen, Limit(None))
        with self._lock:
            seen = self._seen.setdefault(client_id, deque())
            while seen and seen[0] <= now - HOUR:
                seen.popleft()
            wait = max(_wait(seen, limit.per_minute, MINUTE, now), _wait(seen, limit.per_hour, HOUR, now))
            if wait <= 0:
                seen.append(now)
                return
        raise self._refusal(wait, chosen, api, operation, client_id)

    def _refusal(self, wait: float, tier: str, api: str, operation: str, client_id: str) -> ApiError:
        headers = {
            "Retry-After": str(max(1, math.ceil(wait))),
            "ITwinPlatform-RateLimited-Tier": tier.capitalize(),
            "ITwinPlatform-RateLimited-API": api,
            "ITwinPlatform-RateLimited-Operation": operation,
            "ITwinPlatform-RateLimited-Application": client_id,
        }
        return too_many_requests(self.code, headers)


def _wait(seen: deque[float], allowed: int | None, window: float, now: float) -> float:
    """Tell for how many seconds there would be too many requests in the window."""
    if allowed is None or len(seen) < allowed:
        return 0.0
    if allowed <= 0:
        return window
    return seen[-allowed] + window - now
