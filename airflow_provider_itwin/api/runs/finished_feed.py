"""
The finished runs of a connection as a feed: which runs have finished since the last poll, whoever started them.

The position in the feed is a :class:`Cursor`, which can be stored. A poll costs one request while no run is active: it gets the
connection, whose ``lastRun`` changes when a run begins. During a run it costs two. Runs are listed only when there is a new one,
and without their jobs and tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow_provider_itwin.api.errors import ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Call, Flow, Response
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.decoding import converted
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import (
    RunSummary,
    RunSummaryPage,
    decoded,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.stored_version import VERSION_KEY, check_version
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.polling import poll_run

CURSOR_VERSION = 1
"""The form of a stored cursor; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""

MOST_LISTED = 99
"""Runs listed before the newest one, at most: so one poll can report one run more than that."""

_MOST_UNFINISHED = 20
"""Unfinished runs that are polled, at most. There is one at a time, except for runs that never finish."""

_MOST_PAGES = 100
_CLOCK_TOLERANCE = timedelta(hours=1)
"""How long before the last reported run a new one may have ended: the clocks of the service differ."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    The position in a feed. Its values can be stored as JSON.

    :param since: runs that ended before this time are not reported any more
    :param last: the newest run at the last poll
    :param known: runs near it, in the list of runs, that need no further poll
    :param unfinished: runs that had not finished
    """

    since: datetime
    last: str | None = None
    known: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the cursor as JSON values."""
        values = {VERSION_KEY: CURSOR_VERSION, **asdict(self)}
        return {
            **values,
            "since": self.since.isoformat(),
            "known": list(self.known),
            "unfinished": list(self.unfinished),
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises UnknownVersionError: if a newer version of this package has written it
        :raises ValueError: if it is something else
        """
        if isinstance(values, Mapping):
            check_version(values, CURSOR_VERSION, "The stored cursor of a watcher")
        return cls._of(values)

    @classmethod
    def from_newer(cls, values: Any) -> Self | None:
        """Return the readable part of a cursor of a newer version: `since`; None if that is invalid."""
        try:
            return cls._of({"since": values["since"]})
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _of(cls, values: Any) -> Self:
        cursor = converted(values, cls)
        if cursor.since.tzinfo is None:
            raise ValueError(f"since must have a time zone: {cursor.since}")
        return cursor

    def not_before(self, time: datetime) -> Cursor:
        """Return the cursor that reports no run that ended before `time`."""
        return replace(self, since=max(self.since, time))


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run."""

    report: RunReport
    began_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeedUpdate:
    """
    The result of a poll.

    :param cursor: the position in the feed after `finished`
    :param finished: the runs that have finished since the last poll, oldest first
    :param is_gap: whether more runs have begun since than are listed, so that older ones may be missing
    """

    cursor: Cursor
    finished: tuple[FinishedRun, ...] = ()
    is_gap: bool = False


def poll_finished_runs(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    cursor: Cursor | None,
    catch_up: float | None = None,
    polled: dict[str, FinishedRun] | None = None,
) -> Flow[FeedUpdate]:
    """
    Return which runs of a connection have finished since the last poll.

    The poll succeeds or fails as a whole, so that runs are reported in order. It is not retried.

    :param cursor: the cursor of the last poll; None for the first poll, which does not report runs that have finished before
    :param catch_up: seconds before now; runs that ended earlier are not reported
    :param polled: the finished runs that a failed poll has read already; changed by the poll, and to be passed to the next one
    :raises ITwinError: if the poll fails
    """
    connection, server_now = yield from perform_call(
        account, endpoints.get_connection_with_time(kind, connection_id), retry_budget=0
    )
    now = server_now or datetime.fromtimestamp(account.wall(), UTC)
    newest = connection.last_run(kind, connection_id)
    last = newest.run_id if newest and (newest.kind, newest.connection_id) == (kind, connection_id) else None
    is_first = cursor is None
    before = cursor or Cursor(now)
    if catch_up is not None:
        before = before.not_before(now - timedelta(seconds=catch_up))
    listed: Sequence[RunSummary] | None = None
    if is_first or last is None or last != before.last:
        listed = runs_near((yield from _list_near(account, kind, connection_id, last)), last)
    finished: dict[str, FinishedRun] = {} if polled is None else polled
    missing: set[str] = set()
    to_poll = before.unfinished if listed is None else runs_to_poll(before, listed, last, is_first=is_first)
    for run_id in to_poll:
        if run_id in finished:
            continue
        try:
            poll_result = yield from poll_run(account, RunRef(kind, connection_id, run_id), retry_budget=0)
        except ITwinNotFoundError:
            missing.add(run_id)
            continue
        if poll_result.run is not None:
            run = poll_result.run
            finished[run_id] = FinishedRun(RunReport.of(poll_result.ref, run), run.start_date_time, run.end_date_time)
    update = feed_update(
        before, last, listed, [finished[run_id] for run_id in to_poll if run_id in finished], missing, now, is_first
    )
    finished.clear()
    return update


def runs_near(listed: Sequence[RunSummary], last: str | None) -> list[RunSummary]:
    """Return the listed runs near the newest one, before and after it: the order of the list is not documented."""
    at = next((place for place, entry in enumerate(listed) if entry.id == last), 0)
    return [entry for entry in listed[max(0, at - MOST_LISTED) : at + MOST_LISTED + 1] if entry.id]


def runs_to_poll(before: Cursor, listed: Iterable[RunSummary], last: str | None, *, is_first: bool) -> tuple[str, ...]:
    """
    Return the ids of the runs to poll one by one.

    :param is_first: whether this is the first poll; then of the finished runs only the newest counts, which may be just finished
    """
    ids = {entry.id: None for entry in listed if entry.id and not (is_first and entry.is_finished)}
    if last is not None:
        ids[last] = None
    fresh = [run_id for run_id in ids if run_id not in before.known and run_id not in before.unfinished]
    return (*before.unfinished, *fresh)


def feed_update(
    before: Cursor,
    last: str | None,
    listed: Sequence[RunSummary] | None,
    finished: Iterable[FinishedRun],
    missing: set[str],
    now: datetime,
    is_first: bool,
) -> FeedUpdate:
    """
    Return the result of a poll.

    :param listed: what :func:`runs_near` returned; None if no runs were listed
    :param finished: the finished ones of the runs that were polled
    :param missing: those that the service did not find: deleted, or not visible yet
    :param now: the time of the poll, by the clock of the service
    """
    reported = sorted(
        (run for run in finished if _is_reported(run, before, is_first)), key=lambda run: _end_time(run, now)
    )
    done = {run.report.ref.run_id for run in finished}
    if listed is None:
        return FeedUpdate(
            replace(
                before,
                since=_since(before, reported, now),
                known=(*before.known, *(run_id for run_id in before.unfinished if run_id in done)),
                unfinished=tuple(run_id for run_id in before.unfinished if run_id not in done),
            ),
            tuple(reported),
        )
    polled = runs_to_poll(before, listed, last, is_first=is_first)
    # A missing run was deleted; the newest one may not be visible yet.
    unfinished = tuple(run_id for run_id in polled if run_id not in done and (run_id not in missing or run_id == last))
    unfinished = unfinished[-_MOST_UNFINISHED:]
    known = tuple(entry.id for entry in listed if entry.id and entry.id not in unfinished)
    if last in done and last not in known:
        known = (*known, last)
    return FeedUpdate(
        Cursor(_since(before, reported, now), last, known, unfinished),
        tuple(reported),
        is_gap=not is_first and len(listed) > MOST_LISTED and not _has_known_run(before, listed),
    )


def _has_known_run(before: Cursor, listed: Iterable[RunSummary]) -> bool:
    return any(entry.id in before.known or entry.id in before.unfinished for entry in listed)


def _is_reported(run: FinishedRun, before: Cursor, is_first: bool) -> bool:
    return not is_first if run.ended_at is None else run.ended_at >= before.since


def _end_time(run: FinishedRun, now: datetime) -> datetime:
    return run.ended_at or run.began_at or now


def _since(before: Cursor, reported: Iterable[FinishedRun], now: datetime) -> datetime:
    """Return the time before which no unknown run can have ended: a connection runs one run at a time."""
    return max((before.since, *(min(run.ended_at, now) - _CLOCK_TOLERANCE for run in reported if run.ended_at)))


def _list_near(account: Account, kind: ConnectionKind, connection_id: str, last: str | None) -> Flow[list[RunSummary]]:
    """List runs, only with id, state and result, until the newest one and those near it are listed."""
    pages: Pages[RunSummary] = Pages(
        lambda top, skip: get_run_summaries(kind, connection_id, top, skip),
        lambda page: (page.runs, page.links),
        retry_budget=0,
    )
    listed: list[RunSummary] = []
    for _ in range(_MOST_PAGES):
        listed += yield from pages.next_page(account)
        at = next((place for place, entry in enumerate(listed) if entry.id == last), None if last else 0)
        if pages.is_done or (at is not None and len(listed) > at + MOST_LISTED):
            break
    return listed


def get_run_summaries(kind: ConnectionKind, connection_id: str, top: int, skip: int) -> Call[RunSummaryPage]:
    """Return the call of :func:`~.endpoints.get_runs` for the fewest properties of each run that the service can return."""
    call = endpoints.get_runs(kind, connection_id, top, skip)
    headers = {"prefer": "return=minimal"} if "prefer" in call.headers else {}

    def read(response: Response) -> RunSummaryPage:
        return endpoints.check_runs(decoded(response.body, RunSummaryPage), connection_id)

    return replace(call, headers=headers, read=read)  # type: ignore[arg-type, return-value]
