"""Rate limits of the subscription tiers. Off unless a tier is set."""

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
    """Requests allowed per minute and per hour (sliding windows); None: no limit."""

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
"""The tiers, with their names since 2024."""


class RateLimiter:
    """Counts requests per client."""

    def __init__(self) -> None:
        self.tier: str | None = None
        """Tier of clients that have no tier of their own; None: no limit."""
        self.code: str | None = None
        """Error code, ``RateLimitExceeded`` or ``TooManyRequests``; None: the documented one of the operation."""
        self.limits = dict(TIERS)
        """Limits by tier; can be changed and extended."""
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Reset all counters."""
        with self._lock:
            self._seen.clear()

    def check(
        self,
        client_id: str,
        tier: str | None,
        api: str,
        operation: str,
        now: float,
        documented_code: str = "RateLimitExceeded",
    ) -> None:
        """
        Count a request.

        :param documented_code: documented error code of the operation
        :raises ApiError: the rate limit is exceeded
        """
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
        raise self._error(wait, chosen, api, operation, client_id, self.code or documented_code)

    def _error(self, wait: float, tier: str, api: str, operation: str, client_id: str, code: str) -> ApiError:
        headers = {
            "Retry-After": str(max(1, math.ceil(wait))),
            "ITwinPlatform-RateLimited-Tier": tier.capitalize(),
            "ITwinPlatform-RateLimited-API": api,
            "ITwinPlatform-RateLimited-Operation": operation,
            "ITwinPlatform-RateLimited-Application": client_id,
        }
        return too_many_requests(code, headers)


def _wait(seen: deque[float], allowed: int | None, window: float, now: float) -> float:
    """Return the seconds until the window has room for another request."""
    if allowed is None or len(seen) < allowed:
        return 0.0
    if allowed <= 0:
        return window
    return seen[-allowed] + window - now
