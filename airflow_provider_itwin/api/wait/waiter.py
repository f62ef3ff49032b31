"""
Waiting for a run: when to look again, when to give up.

The rules are those of :class:`Wait`, which is told what each look has found. The synchronous wait, each poke of a sensor and
the poller behind all triggers ask it, so that they cannot differ.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from math import inf
from typing import TypeAlias

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
from airflow_provider_itwin.api.models.durations import spoken_duration
from airflow_provider_itwin.api.models.resources import read_moment
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs.polling import (
    PollResult,
    poll_newest_run,
    poll_run,
)
from airflow_provider_itwin.api.wait.models import (
    DEFAULT_OUTAGE_TOLERANCE,
    WaitEnd,
    WaitEvent,
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
    "WaitEvent",
    "WaitResult",
    "WaitSpec",
    "find",
    "look",
    "wait",
]

UNKNOWN_RUN_GRACE = 60.0
"""Seconds after the start of a wait in which a 404 may mean that the run has not got around yet."""

REFUSAL_CONFIRMATION = 120.0
"""
Seconds for which a refusal has to last before it ends a wait that has had good answers.

A run that was visible a moment ago rarely becomes forbidden or disappears. Gateways and token checks of cloud services do
refuse good requests for a minute or two, while they are deployed or restarted. At the start of a wait a refusal counts at once:
there it usually means a wrong id, or a role that is missing.
"""

DEADLINE_GRACE = 30.0
"""Seconds of trouble that are ridden out even when the deadline has passed: the run may have finished before it."""

_LONGEST_STATE = 40
_EVER = datetime.min.replace(tzinfo=UTC)

PollOutcome: TypeAlias = PollResult | ITwinError | None
"""What a look has found: a run, what was in the way, or no run yet."""


class Wait:
    """
    One wait: takes in what each look has found, and says whether that is an end, and if not when to look again.

    :param account: for its clocks
    :param spec: what is waited for
    """

    __slots__ = (
        "_account",
        "_began_here",
        "_failing_since",
        "_failures",
        "_refused_since",
        "_schedule",
        "_seen",
        "_since",
        "_state",
        "_unseen",
        "error",
        "pause",
        "polls",
        "spec",
    )

    def __init__(self, account: Account, spec: WaitSpec) -> None:
        self.spec = spec
        self.pause = 0.0
        """Seconds until the next look."""
        self.error: ITwinError | None = None
        """What was in the way of the last look, if it can pass."""
        self.polls = 0
        self._account = account
        self._began_here = account.wall()
        self._schedule = PollSchedule(spec.poll_interval)
        self._since = None if spec.run_id is not None else read_moment(spec.started_after)
        self._state: str | None = None
        self._seen = spec.seen
        self._failures = 0
        self._failing_since = 0.0
        self._refused_since: float | None = None
        self._unseen = False

    def take_in(self, poll_outcome: PollOutcome) -> WaitResult:
        """
        Take in what a look has found.

        :return: how the wait stands; its `end` is None if it goes on
        """
        self.polls += 1
        stats.polls += 1
        self.error = None
        now = self._account.wall()
        elapsed = now - self.spec.began
        self.pause = self._schedule.next_pause(elapsed, self._account.chance())
        poll_outcome = self._own(poll_outcome)
        if isinstance(poll_outcome, PollResult) and poll_outcome.summary.ends_in_unknown_state:
            poll_outcome = _unknown_end(poll_outcome)
        if isinstance(poll_outcome, ITwinError):
            outcome = WaitResult(self._end_after(poll_outcome, elapsed), self.spec.ref, self._state, error=poll_outcome)
        else:
            outcome = self._outcome_of(poll_outcome, elapsed)
        if self.spec.not_before is not None and now < self.spec.not_before:
            outcome.end, outcome.run, self.pause = None, None, self.spec.not_before - now
        outcome = self._by_the_deadline(outcome)
        outcome.elapsed, outcome.polls = elapsed, self.polls
        if outcome.end is not None or now >= stats.due:
            stats.flush(now)
        return outcome

    def _own(self, poll_outcome: PollOutcome) -> PollOutcome:
        """Leave out a run that began too early: one poll serves all who wait for the newest run of a connection."""
        if self._since is None or not isinstance(poll_outcome, PollResult):
            return poll_outcome
        began = poll_outcome.summary.start_date_time
        return poll_outcome if began is not None and began >= self._since else None

    def _outcome_of(self, poll_result: PollResult | None, elapsed: float) -> WaitResult:
        if self._failures:
            lasted = self._account.clock() - self._failing_since
            stats.note_outage(lasted)
            log.info("The service answers again for %s, after %s", self.spec.target, spoken_duration(lasted))
        self._failures = 0
        self._refused_since = None
        self._unseen = False
        self._seen = True
        if poll_result is None:
            return WaitResult(None, self.spec.ref)
        state = excerpt(poll_result.summary.state, _LONGEST_STATE) if poll_result.summary.state is not None else None
        if state is not None and state != self._state:
            log.info("Run %s is %s after %s", poll_result.ref, state, spoken_duration(elapsed))
        self._state = state or self._state
        if poll_result.summary.is_finished:
            return WaitResult(WaitEnd.FINISHED, poll_result.ref, state, poll_result.run)
        return WaitResult(None, poll_result.ref, self._state)

    def _end_after(self, error: ITwinError, elapsed: float) -> WaitEnd | None:
        if error.transient:
            return self._end_after_trouble(error)
        if self.spec.queued and isinstance(error, ITwinPermissionError | ITwinNotFoundError):
            # Such a run may have ended, but asking for our own at once would only bring the same answer: wait first.
            self._unseen, was_unseen = True, self._unseen
            return WaitEnd.UNSEEN if was_unseen else None
        if isinstance(error, ITwinNotFoundError) and not self._seen and elapsed < UNKNOWN_RUN_GRACE:
            return None
        # Refused credentials end the wait at once: whoever started it reads them again, and confirms the refusal.
        if not self._seen or isinstance(error, ITwinAuthenticationError):
            return WaitEnd.REFUSED
        return self._end_after_refusal(error)

    def _end_after_refusal(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if self._refused_since is None:
            self._refused_since = now
        tolerance = min(REFUSAL_CONFIRMATION, self.spec.outage_tolerance)
        if not self._rides_out(error, self._refused_since + tolerance - now):
            return WaitEnd.REFUSED
        return None

    def _end_after_trouble(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if isinstance(error, ITwinRateLimitError):
            stats.throttled += 1
        since = self._failing_since if self._failures else now
        if not self._rides_out(error, since + self.spec.outage_tolerance - now):
            stats.note_outage(now - since)
            return WaitEnd.OUTAGE
        return None

    def _rides_out(self, error: ITwinError, left: float) -> bool:
        """
        Note a poll that failed, and set the pause before the next one.

        :param left: seconds for which such failures are still tolerated
        :return: False if they are not any more
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

    def _by_the_deadline(self, outcome: WaitResult) -> WaitResult:
        if self.spec.deadline is None or outcome.end is not None:
            return outcome
        left = self.spec.deadline - self._account.wall()
        if left > 0:
            self.pause = min(self.pause, left)
        elif self.error is None or self._account.clock() + self.pause - self._failing_since > DEADLINE_GRACE:
            outcome.end = WaitEnd.DEADLINE
        return outcome

    def judge_unanswered(self) -> WaitResult | None:
        """
        Judge the wait by what was seen last, while its poll has no answer or could not be sent.

        :return: None unless a limit has passed, and then the time in which a last poll could have been answered
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
        error = self.error or ITwinConnectionError(f"The last poll of {self.spec.target} has had no answer yet")
        elapsed = wall - self.spec.began
        return WaitResult(end, self.spec.ref, self._state, error=error, elapsed=elapsed, polls=self.polls)


def _unknown_end(poll_result: PollResult) -> ITwinProtocolError:
    summary = poll_result.summary
    return ITwinProtocolError(
        f"Run {poll_result.ref} has an end time and the result {summary.result}, but its state is {summary.state!r:.80}, which "
        "this provider does not know"
    )


def find(account: Account, spec: WaitSpec) -> Flow[PollOutcome]:
    """Look for the run of an order once; what is in the way is found, not raised."""
    ref = spec.ref
    latest = inf
    if spec.deadline is not None:
        # To be told to hold off is no reason to judge a deadline late: then it is judged by what was seen last.
        latest = account.clock() + max(0.0, spec.deadline - account.wall()) + DEADLINE_GRACE
    try:
        if ref is not None:
            return (yield from poll_run(account, ref, retry_budget=0, latest=latest))
        # How late it has to have begun is for each wait to say: see Wait.
        return (
            yield from poll_newest_run(account, spec.kind, spec.connection_id, _EVER, retry_budget=0, latest=latest)
        )
    except ITwinError as error:
        return error


def look(account: Account, spec: WaitSpec, retry_budget: float | None = None) -> Flow[WaitResult]:
    """
    Look until there is one good answer, or the trouble has lasted too long.

    :param retry_budget: seconds for which trouble is ridden out, None for as long as the order tolerates it
    :return: how the wait stands; its `end` is None if it goes on
    """
    give_up_at = float("inf") if retry_budget is None else account.clock() + retry_budget
    one = Wait(account, spec)
    while True:
        outcome = one.take_in((yield from find(account, spec)))
        if outcome.end is not None or one.error is None or account.clock() + one.pause > give_up_at:
            return outcome
        yield Pause(one.pause)


def wait(account: Account, spec: WaitSpec) -> Flow[WaitResult]:
    """Look until the wait has an end; the run is looked at before the deadline is judged, at least once."""
    one = Wait(account, spec)
    while True:
        outcome = one.take_in((yield from find(account, spec)))
        if outcome.end is not None:
            return outcome
        yield Pause(one.pause)
