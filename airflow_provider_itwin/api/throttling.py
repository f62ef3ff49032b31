"""Logs when requests have to wait for their turn: once when that begins, and once when it is over."""

from __future__ import annotations

import contextvars
import logging

from airflow_provider_itwin.api.report import spoken_duration

log = logging.getLogger(__name__)

LONG_WAIT = 5.0
"""Seconds that a single request waits for its turn when that is worth a line in the log."""

LASTING = 10.0
"""Seconds without one request that could go out at once, when that is worth a line in the log."""

CALM = 60.0
"""Seconds without throttling after which it is over, so that a budget that is just used up makes no line a second."""

THROTTLED = (
    "Requests to %s are throttled: each waits for its turn, the last one %.1f s, so runs are polled less often than planned. "
    "The limit is requests_per_minute or requests_per_hour of [itwin], or what the service asks for (Retry-After)."
)
NOT_THROTTLED = "Requests to %s are no longer throttled, after %s"


class ThrottlingLog:
    """
    Logs the beginning and the end of throttling.

    Throttling is the account's affair and no task's: it is logged in no task's context.

    :param service: the host that is asked
    """

    __slots__ = ("_began", "_last", "_service", "_since")

    def __init__(self, service: str) -> None:
        self._service = service
        self._since: float | None = None
        self._began: float | None = None
        self._last = 0.0

    def note(self, seconds: float, now: float) -> None:
        """
        Note that a request takes its turn.

        :param seconds: how long it waits for it
        :param now: the moment at which it begins to wait
        """
        if seconds <= 0:
            self._since = None
            if self._began is not None and now - self._last >= CALM:
                contextvars.Context().run(log.info, NOT_THROTTLED, self._service, spoken_duration(now - self._began))
                self._began = None
            return
        if self._since is None:
            self._since = now
        if seconds >= LONG_WAIT or now - self._since >= LASTING:
            self._last = now + seconds
            if self._began is None:
                self._began = now
                contextvars.Context().run(log.warning, THROTTLED, self._service, seconds)
