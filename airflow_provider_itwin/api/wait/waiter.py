"""
Waiting for a run or a job: when to poll again, and when the wait ends.

:class:`Wait` has all the rules. The synchronous wait, each poke of a sensor and the poller of all triggers use it, so they
cannot differ.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeAlias, cast

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConnectionError,
    ITwinError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinRateLimitError,
)
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow, Pause
from airflow_provider_itwin.api.jobs.polling import JobPollResult, poll_job
from airflow_provider_itwin.api.models.durations import format_duration
from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs.not_found import explain_connection, explain_run
from airflow_provider_itwin.api.runs.polling import (
    PollResult,
    poll_newest_run,
    poll_run,
)
from airflow_provider_itwin.api.wait.any_wait import AnyResult, ResultT, WaitLimits
from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
from airflow_provider_itwin.api.wait.models import (
    DEFAULT_OUTAGE_TOLERANCE,
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.api.wait.schedule import PollSchedule
from airflow_provider_itwin.api.wait.stats import stats

log = logging.getLogger(__name__)

__all__ = [
    "DEFAULT_OUTAGE_TOLERANCE",
    "PollOutcome",
    "Wait",
    "WaitEnd",
    "WaitResult",
    "WaitSpec",
    "poll",
    "poll_once",
    "wait",
]

UNKNOWN_RUN_GRACE = 60.0
"""Seconds after the start of a wait during which a 404 is treated as eventual consistency."""

REFUSAL_CONFIRMATION = 120.0
"""
Seconds for which a refusal must persist before it ends a wait that has had a good response.

A run that was visible rarely becomes forbidden or disappears. Gateways and token checks of cloud services refuse valid requests
for a minute or two while they are deployed or restarted. At the start of a wait, a refusal ends it at once: there it usually
means a wrong id or a missing role.
"""

LIST_AFTER = 5.0
"""
Seconds after the start of a wait from which a 404 is checked against the list of the connection's runs.

The list can lag behind a new run, as the run itself can, so the first 404 proves nothing.
"""

DEADLINE_GRACE = 30.0
"""Seconds for which failed polls are retried even after the deadline: the run may have finished before it."""

_LONGEST_STATE = 40
_ANY_TIME = datetime.min.replace(tzinfo=UTC)

PollOutcome: TypeAlias = PollResult | JobPollResult | ITwinError | None
"""The outcome of one poll: a run or a job, an error, or None if there is no run yet."""


class Wait:
    """
    The state of one wait: decides after each poll whether the wait ends, and when to poll next.

    :param account: its clocks are used
    :param spec: what to wait for
    """

    __slots__ = (
        "_account",
        "_began_here",
        "_failing_since",
        "_failures",
        "_progress",
        "_refused_since",
        "_schedule",
        "_seen",
        "_since",
        "_state",
        "_unseen",
        "_was_explained",
        "asks_why",
        "error",
        "pause",
        "polls",
        "spec",
    )

    def __init__(self, account: Account, spec: WaitLimits[Any]) -> None:
        self.spec = spec
        self.pause = 0.0
        """Seconds until the next poll."""
        self.error: ITwinError | None = None
        """The error of the last poll, if it is to be retried."""
        self.asks_why = False
        """Whether the next poll is to find out why the run is not found; one poll of a wait does."""
        self.polls = 0
        self._was_explained = False
        self._account = account
        self._began_here = account.wall()
        self._schedule = PollSchedule(spec.poll_interval)
        self._since = read_moment(spec.started_after) if isinstance(spec, WaitSpec) and spec.run_id is None else None
        self._state: str | None = None
        self._progress: float | None = None
        self._seen = spec.seen
        self._failures = 0
        self._failing_since = 0.0
        self._refused_since: float | None = None
        self._unseen = False

    def record(self, poll_outcome: PollOutcome) -> AnyResult:
        """
        Process the outcome of a poll.

        :return: the state of the wait; its `end` is None while the wait continues
        """
        self.polls += 1
        stats.polls += 1
        self.error = None
        now = self._account.wall()
        elapsed = now - self.spec.began
        self.pause = self._schedule.next_pause(elapsed, self._account.chance())
        poll_outcome = self._matching(poll_outcome)
        if isinstance(poll_outcome, PollResult) and poll_outcome.summary.ends_in_unknown_state:
            poll_outcome = _unknown_end(poll_outcome)
        if isinstance(poll_outcome, ITwinError):
            end = self._end_after(poll_outcome, elapsed)
            result = self.spec.result(end, state=self._state, error=poll_outcome)
        else:
            result = self._result_of(poll_outcome, elapsed)
        if self.spec.not_before is not None and now < self.spec.not_before:
            result.end, result.run, self.pause = None, None, self.spec.not_before - now
        result = self._apply_deadline(result)
        result.elapsed, result.polls = elapsed, self.polls
        if result.end is not None or now >= stats.due:
            stats.flush(now)
        return result

    def _matching(self, poll_outcome: PollOutcome) -> PollOutcome:
        """Drop a run that began too early: all waits for the newest run of a connection share one poll."""
        if self._since is None or not isinstance(poll_outcome, PollResult):
            return poll_outcome
        began = poll_outcome.summary.start_date_time
        return poll_outcome if began is not None and began >= self._since else None

    def _result_of(self, poll_result: PollResult | JobPollResult | None, elapsed: float) -> AnyResult:
        if self._failures:
            lasted = self._account.clock() - self._failing_since
            stats.note_outage(lasted)
            log.info("Polling %s works again after %s", self.spec.target, format_duration(lasted))
        self._failures = 0
        self._refused_since = None
        self._unseen = False
        self._seen = True
        if poll_result is None:
            return cast("AnyResult", self.spec.result(None))
        state = excerpt(poll_result.summary.state, _LONGEST_STATE) if poll_result.summary.state is not None else None
        if state is not None:
            self._log_state(poll_result, state, elapsed)
        self._state = state or self._state
        if poll_result.summary.is_finished:
            end: WaitEnd | None = WaitEnd.FINISHED
        else:
            end, state = None, self._state
        return cast("AnyResult", self.spec.result(end, poll_result.ref, poll_result.run, state=state))

    def _log_state(self, poll_result: PollResult | JobPollResult, state: str, elapsed: float) -> None:
        """Log a new state; for a job also its progress, and that the state is unknown."""
        if isinstance(poll_result, PollResult):
            if state != self._state:
                log.info("Run %s is %s after %s", poll_result.ref, state, format_duration(elapsed))
            return
        summary = poll_result.summary
        if state == self._state and summary.progress == self._progress:
            return
        self._progress = summary.progress
        progress = "" if summary.progress is None else f" ({summary.progress:g} %)"
        log.info("%s is %s%s after %s", poll_result.ref, state, progress, format_duration(elapsed))
        if summary.outcome is None and state != self._state:
            log.warning(
                "The state %s of %s is unknown; waiting until it changes or the timeout passes", state, poll_result.ref
            )

    def _end_after(self, error: ITwinError, elapsed: float) -> WaitEnd | None:
        if error.transient:
            return self._end_after_transient(error)
        if self.spec.queued and isinstance(error, ITwinPermissionError | ITwinNotFoundError):
            # The run may have ended, but a request for our own would get the same response now. Wait first.
            self._unseen, was_unseen = True, self._unseen
            return WaitEnd.UNSEEN if was_unseen else None
        if isinstance(error, ITwinNotFoundError) and not self._seen and elapsed < UNKNOWN_RUN_GRACE:
            self._was_explained = self._was_explained or error.is_explained
            self.asks_why = self.spec.may_not_exist and not self._was_explained
            return WaitEnd.REFUSED if error.is_certain and self.spec.may_not_exist else None
        # Refused credentials end the wait at once: its caller reads the connection again, and confirms the refusal.
        if not self._seen or isinstance(error, ITwinAuthenticationError):
            return WaitEnd.REFUSED
        return self._end_after_refusal(error)

    def _end_after_refusal(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if self._refused_since is None:
            self._refused_since = now
        tolerance = min(REFUSAL_CONFIRMATION, self.spec.outage_tolerance)
        if not self._tolerates(error, self._refused_since + tolerance - now):
            return WaitEnd.REFUSED
        return None

    def _end_after_transient(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if isinstance(error, ITwinRateLimitError):
            stats.throttled += 1
        since = self._failing_since if self._failures else now
        if not self._tolerates(error, since + self.spec.outage_tolerance - now):
            stats.note_outage(now - since)
            return WaitEnd.OUTAGE
        return None

    def _tolerates(self, error: ITwinError, left: float) -> bool:
        """
        Record a failed poll, and set the pause before the next one.

        :param left: seconds for which such errors are still tolerated
        :return: whether the error is tolerated
        """
        if not self._failures:
            self._failing_since = self._account.clock()
        self._failures += 1
        if left <= 0:
            return False
        self.error = error
        self.pause = min(backoff(self._failures, self._account.chance(), error.retry_after), left)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "A poll of %s failed; retrying in %.1f s. %s", self.spec.target, self.pause, error)
        return True

    def _apply_deadline(self, result: AnyResult) -> AnyResult:
        if self.spec.deadline is None or result.end is not None:
            return result
        left = self.spec.deadline - self._account.wall()
        if left > 0:
            self.pause = min(self.pause, left)
        elif self.error is None or self._account.clock() + self.pause - self._failing_since > DEADLINE_GRACE:
            result.end = WaitEnd.DEADLINE
        return result

    def result_without_response(self) -> AnyResult | None:
        """
        Judge the wait by the last good response, while its poll has no response or could not be sent.

        :return: the result once a limit has passed, and after it the time for one more poll; None before
        """
        now, wall = self._account.clock(), self._account.wall()
        deadline, outage_from = self.spec.deadline, self._failing_since + self.spec.outage_tolerance
        if deadline is not None and wall >= max(deadline, self._began_here) + DEADLINE_GRACE:
            end = WaitEnd.DEADLINE
        elif self._failures and now >= outage_from + DEADLINE_GRACE:
            stats.note_outage(now - self._failing_since)
            end = WaitEnd.OUTAGE
        else:
            return None
        error = self.error or ITwinConnectionError(f"The last poll of {self.spec.target} has had no response yet")
        elapsed = wall - self.spec.began
        result = self.spec.result(end, state=self._state, error=error, elapsed=elapsed, polls=self.polls)
        return cast("AnyResult", result)


def _unknown_end(poll_result: PollResult) -> ITwinProtocolError:
    summary = poll_result.summary
    return ITwinProtocolError(
        f"Run {poll_result.ref} has an end time and the result {summary.result}, but an unknown state: "
        f"{summary.state!r:.80}"
    )


def poll(account: Account, spec: WaitLimits[Any], *, asks_why: bool = False) -> Flow[PollOutcome]:
    """
    Poll once for the run or the job of a wait; errors are returned, not raised.

    :param asks_why: whether to find out what a 404 means, once the wait is old enough
    """
    latest = inf
    if spec.deadline is not None:
        # A long Retry-After must not delay the deadline: it is then judged by the last good response.
        latest = account.clock() + max(0.0, spec.deadline - account.wall()) + DEADLINE_GRACE
    try:
        if isinstance(spec, JobWaitSpec):
            return (yield from poll_job(account, spec.definition, spec.ref, retry_budget=0, latest=latest))
        if not isinstance(spec, WaitSpec):
            raise TypeError(f"A {type(spec).__name__} cannot be polled")
        if spec.ref is not None:
            return (yield from poll_run(account, spec.ref, retry_budget=0, latest=latest))
        # Each wait has its own started_after: see Wait.
        return (
            yield from poll_newest_run(account, spec.kind, spec.connection_id, _ANY_TIME, retry_budget=0, latest=latest)
        )
    except ITwinNotFoundError as error:
        if not isinstance(spec, WaitSpec) or not asks_why or account.wall() - spec.began < LIST_AFTER:
            return error
        if spec.ref is not None:
            return (yield from explain_run(account, error, spec.ref))
        return (yield from explain_connection(account, error, spec.kind, spec.connection_id))
    except ITwinError as error:
        return error


def poll_once(account: Account, spec: WaitLimits[ResultT], retry_budget: float | None = None) -> Flow[ResultT]:
    """
    Poll until there is one good response, or errors have lasted too long.

    :param retry_budget: seconds for which errors are retried; None: the outage tolerance of `spec`
    :return: the state of the wait; its `end` is None while the wait continues
    """
    give_up_at = float("inf") if retry_budget is None else account.clock() + retry_budget
    current = Wait(account, spec)
    while True:
        result = current.record((yield from poll(account, spec, asks_why=spec.may_not_exist)))
        if result.end is not None or current.error is None or account.clock() + current.pause > give_up_at:
            return cast("ResultT", result)
        yield Pause(current.pause)


def wait(account: Account, spec: WaitLimits[ResultT]) -> Flow[ResultT]:
    """Poll until the wait ends; the run is polled at least once, before the deadline is judged."""
    current = Wait(account, spec)
    while True:
        result = current.record((yield from poll(account, spec, asks_why=current.asks_why)))
        if result.end is not None:
            return cast("ResultT", result)
        yield Pause(current.pause)
