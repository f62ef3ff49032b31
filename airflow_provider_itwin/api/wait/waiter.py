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
    Sight,
    look_at_run,
    look_for_newest,
)
from airflow_provider_itwin.api.wait.models import (
    DEFAULT_OUTAGE_TOLERANCE,
    WaitEnd,
    WaitEvent,
    WaitOrder,
    WaitOutcome,
)
from airflow_provider_itwin.api.wait.schedule import PollSchedule
from airflow_provider_itwin.api.wait.stats import tally

log = logging.getLogger(__name__)

__all__ = [
    "DEFAULT_OUTAGE_TOLERANCE",
    "Finding",
    "Wait",
    "WaitEnd",
    "WaitEvent",
    "WaitOrder",
    "WaitOutcome",
    "find",
    "look",
    "wait",
]

PATIENCE_WITH_UNKNOWN_RUN = 60.0
"""Seconds after the start of a wait in which a 404 may mean that the run has not got around yet."""

REFUSAL_CONFIRMATION = 120.0
"""
Seconds for which a refusal has to last before it ends a wait that has had good answers.

A run that was visible a moment ago rarely becomes forbidden or disappears. Gateways and token checks of cloud services do
refuse good requests for a minute or two, while they are deployed or restarted. At the start of a wait a refusal counts at once:
there it usually means a wrong id, or a role that is missing.
"""

PATIENCE_AFTER_DEADLINE = 30.0
"""Seconds of trouble that are ridden out even when the deadline has passed: the run may have finished before it."""

_LONGEST_STATE = 40
_EVER = datetime.min.replace(tzinfo=UTC)

Finding: TypeAlias = Sight | ITwinError | None
"""What a look has found: a run, what was in the way, or no run yet."""


class Wait:
    """
    One wait: takes in what each look has found, and says whether that is an end, and if not when to look again.

    :param account: for its clocks
    :param order: what is waited for
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
        "order",
        "pause",
        "polls",
        "trouble",
    )

    def __init__(self, account: Account, order: WaitOrder) -> None:
        self.order = order
        self.pause = 0.0
        """Seconds until the next look."""
        self.trouble: ITwinError | None = None
        """What was in the way of the last look, if it can pass."""
        self.polls = 0
        self._account = account
        self._began_here = account.wall()
        self._schedule = PollSchedule(order.poll_interval)
        self._since = None if order.run_id is not None else read_moment(order.started_after)
        self._state: str | None = None
        self._seen = order.seen
        self._failures = 0
        self._failing_since = 0.0
        self._refused_since: float | None = None
        self._unseen = False

    def take_in(self, finding: Finding) -> WaitOutcome:
        """
        Take in what a look has found.

        :return: how the wait stands; its `end` is None if it goes on
        """
        self.polls += 1
        tally.polls += 1
        self.trouble = None
        now = self._account.wall()
        elapsed = now - self.order.began
        self.pause = self._schedule.next_pause(elapsed, self._account.chance())
        finding = self._own(finding)
        if isinstance(finding, Sight) and finding.glance.ends_in_unknown_state:
            finding = _unknown_end(finding)
        if isinstance(finding, ITwinError):
            outcome = WaitOutcome(self._end_after(finding, elapsed), self.order.ref, self._state, error=finding)
        else:
            outcome = self._outcome_of(finding, elapsed)
        if self.order.not_before is not None and now < self.order.not_before:
            outcome.end, outcome.run, self.pause = None, None, self.order.not_before - now
        outcome = self._by_the_deadline(outcome)
        outcome.elapsed, outcome.polls = elapsed, self.polls
        if outcome.end is not None or now >= tally.due:
            tally.flush(now)
        return outcome

    def _own(self, finding: Finding) -> Finding:
        """Leave out a run that began too early: one poll serves all who wait for the newest run of a connection."""
        if self._since is None or not isinstance(finding, Sight):
            return finding
        began = finding.glance.start_date_time
        return finding if began is not None and began >= self._since else None

    def _outcome_of(self, sight: Sight | None, elapsed: float) -> WaitOutcome:
        if self._failures:
            lasted = self._account.clock() - self._failing_since
            tally.note_outage(lasted)
            log.info("The service answers again for %s, after %s", self.order.target, spoken_duration(lasted))
        self._failures = 0
        self._refused_since = None
        self._unseen = False
        self._seen = True
        if sight is None:
            return WaitOutcome(None, self.order.ref)
        state = excerpt(sight.glance.state, _LONGEST_STATE) if sight.glance.state is not None else None
        if state is not None and state != self._state:
            log.info("Run %s is %s after %s", sight.ref, state, spoken_duration(elapsed))
        self._state = state or self._state
        if sight.glance.is_finished:
            return WaitOutcome(WaitEnd.FINISHED, sight.ref, state, sight.run)
        return WaitOutcome(None, sight.ref, self._state)

    def _end_after(self, error: ITwinError, elapsed: float) -> WaitEnd | None:
        if error.transient:
            return self._end_after_trouble(error)
        if self.order.in_queue and isinstance(error, ITwinPermissionError | ITwinNotFoundError):
            # Such a run may have ended, but asking for our own at once would only bring the same answer: wait first.
            self._unseen, was_unseen = True, self._unseen
            return WaitEnd.UNSEEN if was_unseen else None
        if isinstance(error, ITwinNotFoundError) and not self._seen and elapsed < PATIENCE_WITH_UNKNOWN_RUN:
            return None
        # Refused credentials end the wait at once: whoever started it reads them again, and confirms the refusal.
        if not self._seen or isinstance(error, ITwinAuthenticationError):
            return WaitEnd.REFUSED
        return self._end_after_refusal(error)

    def _end_after_refusal(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if self._refused_since is None:
            self._refused_since = now
        tolerance = min(REFUSAL_CONFIRMATION, self.order.outage_tolerance)
        if not self._rides_out(error, self._refused_since + tolerance - now):
            return WaitEnd.REFUSED
        return None

    def _end_after_trouble(self, error: ITwinError) -> WaitEnd | None:
        now = self._account.clock()
        if isinstance(error, ITwinRateLimitError):
            tally.throttled += 1
        since = self._failing_since if self._failures else now
        if not self._rides_out(error, since + self.order.outage_tolerance - now):
            tally.note_outage(now - since)
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
        self.trouble = error
        self.pause = min(backoff(self._failures, self._account.chance(), error.retry_after), left)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "A poll of %s failed; retrying in %.1f s. %s", self.order.target, self.pause, error)
        return True

    def _by_the_deadline(self, outcome: WaitOutcome) -> WaitOutcome:
        if self.order.deadline is None or outcome.end is not None:
            return outcome
        left = self.order.deadline - self._account.wall()
        if left > 0:
            self.pause = min(self.pause, left)
        elif self.trouble is None or self._account.clock() + self.pause - self._failing_since > PATIENCE_AFTER_DEADLINE:
            outcome.end = WaitEnd.DEADLINE
        return outcome

    def judge_unanswered(self) -> WaitOutcome | None:
        """
        Judge the wait by what was seen last, while its poll has no answer or could not be sent.

        :return: None unless a limit has passed, and then the time in which a last poll could have been answered
        """
        now, wall = self._account.clock(), self._account.wall()
        deadline, outage_from = self.order.deadline, self._failing_since + self.order.outage_tolerance
        if deadline is not None and wall >= max(deadline, self._began_here) + PATIENCE_AFTER_DEADLINE:
            end = WaitEnd.DEADLINE
        elif self._failures and now >= outage_from + PATIENCE_AFTER_DEADLINE:
            tally.note_outage(now - self._failing_since)
            end = WaitEnd.OUTAGE
        else:
            return None
        error = self.trouble or ITwinConnectionError(f"The last poll of {self.order.target} has had no answer yet")
        elapsed = wall - self.order.began
        return WaitOutcome(end, self.order.ref, self._state, error=error, elapsed=elapsed, polls=self.polls)


def _unknown_end(sight: Sight) -> ITwinProtocolError:
    glance = sight.glance
    return ITwinProtocolError(
        f"Run {sight.ref} has an end time and the result {glance.result}, but its state is {glance.state!r:.80}, which this "
        "provider does not know"
    )


def find(account: Account, order: WaitOrder) -> Flow[Finding]:
    """Look for the run of an order once; what is in the way is found, not raised."""
    ref = order.ref
    latest = inf
    if order.deadline is not None:
        # To be told to hold off is no reason to judge a deadline late: then it is judged by what was seen last.
        latest = account.clock() + max(0.0, order.deadline - account.wall()) + PATIENCE_AFTER_DEADLINE
    try:
        if ref is not None:
            return (yield from look_at_run(account, ref, patience=0, latest=latest))
        # How late it has to have begun is for each wait to say: see Wait.
        return (yield from look_for_newest(account, order.kind, order.connection_id, _EVER, patience=0, latest=latest))
    except ITwinError as error:
        return error


def look(account: Account, order: WaitOrder, patience: float | None = None) -> Flow[WaitOutcome]:
    """
    Look until there is one good answer, or the trouble has lasted too long.

    :param patience: seconds for which trouble is ridden out, None for as long as the order tolerates it
    :return: how the wait stands; its `end` is None if it goes on
    """
    give_up_at = float("inf") if patience is None else account.clock() + patience
    one = Wait(account, order)
    while True:
        outcome = one.take_in((yield from find(account, order)))
        if outcome.end is not None or one.trouble is None or account.clock() + one.pause > give_up_at:
            return outcome
        yield Pause(one.pause)


def wait(account: Account, order: WaitOrder) -> Flow[WaitOutcome]:
    """Look until the wait has an end; the run is looked at before the deadline is judged, at least once."""
    one = Wait(account, order)
    while True:
        outcome = one.take_in((yield from find(account, order)))
        if outcome.end is not None:
            return outcome
        yield Pause(one.pause)
