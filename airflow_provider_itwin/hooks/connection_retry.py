"""When to read the Airflow connection again during a wait: after Airflow could not read it, or its credentials were refused."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError, ITwinInputError
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.models.durations import format_duration
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.wait.any_wait import AnyResult, WaitLimits
from airflow_provider_itwin.api.wait.waiter import (
    DEADLINE_GRACE,
    REFUSAL_CONFIRMATION,
    WaitEnd,
)

log = logging.getLogger(__name__)

sleep = time.sleep
sleep_async = asyncio.sleep

_LONGEST_REASON = 400


class ConnectionRetry:
    """
    Decides what a wait does when its Airflow connection cannot be read, or its credentials are refused.

    A failure to read the connection (a secrets backend or an API server is down, a user is editing the connection) is retried
    like an error of the service. Refused credentials end a wait at once if it has had no good response yet. Later, the refusal
    must be confirmed. The connection is read again before each attempt, so that a changed secret is used.

    :param conn_id: the Airflow connection, for messages
    :param spec: what to wait for
    :param process: the process that waits, such as ``triggerer``
    :param retry_budget: seconds after which the wait returns without an end, to be continued elsewhere; None: no limit
    """

    def __init__(
        self,
        conn_id: str,
        spec: WaitLimits[Any],
        process: str,
        retry_budget: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self._conn_id = conn_id
        self._process = process
        self._clock = clock
        self._wall = wall
        self._give_up_at = inf if retry_budget is None else clock() + retry_budget
        self._unreadable_since: float | None = None
        self._unreadable = 0
        self._refused_since: float | None = None
        self._refusals = 0
        self._refused: dict[object, AnyResult] = {}

    def after_unreadable(self, error: Exception) -> float | AnyResult:
        """
        Record that Airflow could not read the connection, or that its settings are invalid.

        :return: seconds until it is read again, or the end of the wait
        """
        is_invalid = isinstance(error, ITwinInputError) or (isinstance(error, ITwinError) and not error.transient)
        if is_invalid and not self.spec.seen:
            return self._end(WaitEnd.REFUSED, ITwinError(str(error)))
        now = self._clock()
        if self._unreadable_since is None:
            self._unreadable_since, self._unreadable = now, 0
        self._unreadable += 1
        lasted = now - self._unreadable_since
        failure = self._read_error(error, lasted)
        left = self.spec.outage_tolerance - lasted
        if left <= 0:
            return self._end(WaitEnd.OUTAGE, failure)
        pause = min(_backoff(self._unreadable), left)
        if self._unreadable == 1:
            log.warning("%s Reading it again in %.0f s.", failure, pause)
        return self._pause_or_end(pause, lasted, failure)

    def after_read(self, key: object) -> float | AnyResult | None:
        """
        Record that the connection was read.

        :param key: identifies the credentials
        :return: None to wait with them. If they were refused before: seconds until the connection is read again, or the end of
            the wait
        """
        self._unreadable_since = None
        refused = self._refused.get(key)
        if refused is None or self._refused_since is None:
            return None
        lasted = self._clock() - self._refused_since
        left = min(REFUSAL_CONFIRMATION, self.spec.outage_tolerance) - lasted
        if not self.spec.seen or left <= 0:
            return refused
        del self._refused[key]
        self._refusals += 1
        error = refused.error or ITwinError("The service refused the credentials")
        return self._pause_or_end(min(_backoff(self._refusals), left), lasted, error)

    def after_refused(self, result: AnyResult, key: object) -> None:
        """
        Record that the service refused the credentials; the connection must be read again now.

        :param result: the result of the wait with these credentials
        :param key: identifies the credentials
        """
        had_response = result.state is not None
        self.spec = replace(self.spec, seen=self.spec.seen or had_response)
        if had_response or self._refused_since is None:
            self._refused_since, self._refusals = self._clock(), 0
            self._refused.clear()
            if self.spec.seen:
                log.warning("%s Reading the Airflow connection again to confirm the refusal.", result.error)
        self._refused[key] = result

    def _read_error(self, error: Exception, lasted: float) -> ITwinConnectionError:
        reason = excerpt(f"{type(error).__name__}: {error}", _LONGEST_REASON).rstrip(".")
        duration = f" for {format_duration(lasted)}" if lasted >= 1 else ""
        failure = ITwinConnectionError(
            f"The {self._process} could not read the Airflow connection {self._conn_id!r}{duration}: {reason}"
        )
        hint = (
            f"Check that every {self._process} has the same connections as the workers: the same secrets backend, environment "
            "variables and team."
        )
        return failure.with_hint(
            f"The connection could be read when the wait began. {hint}" if self.spec.seen else hint
        )

    def _pause_or_end(self, pause: float, lasted: float, error: ITwinError) -> float | AnyResult:
        if self._clock() + pause > self._give_up_at:
            return self._end(None, error)
        if self.spec.deadline is None:
            return pause
        left = self.spec.deadline - self._wall()
        if left > 0:
            return min(pause, left)
        return self._end(WaitEnd.DEADLINE, error) if lasted + pause > DEADLINE_GRACE else pause

    def _end(self, end: WaitEnd | None, error: ITwinError) -> AnyResult:
        result: AnyResult = self.spec.result(end, error=error, elapsed=self._wall() - self.spec.began)
        return result


def _backoff(attempts: int) -> float:
    return backoff(attempts, random.random())  # noqa: S311 (no secret)
