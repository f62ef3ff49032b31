"""
Watching a connection: which of its runs have ended since the last look, whoever started them.

What is known from look to look is a :class:`Cursor`, plain enough to be written down. In the quiet a look costs one request,
for the connection itself, whose ``lastRun`` tells whether anything has begun; while a run is going on it costs two. Runs are
listed only when there is a new one, and without their jobs and tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow_provider_itwin.api.errors import ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Call, Flow, Response
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
from airflow_provider_itwin.api.runs.pagination import Pages
from airflow_provider_itwin.api.runs.polling import poll_run

CURSOR_VERSION = 1
"""The form of a stored cursor; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""

MOST_AT_ONCE = 99
"""Runs before the newest one that a look takes note of: as many as can have ended between two looks and all be told."""

_MOST_GOING_ON = 20
"""Runs without an end that are looked at each time; there is one at a time, but for those that never end."""

_MOST_PAGES = 100
_SLACK = timedelta(hours=1)
"""How far before the end of the last run that was told a new one may have ended: clocks differ."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    How far a watcher has come, in values that can be written down as JSON.

    :param since: runs that ended before this moment have been told, or were not to be
    :param last: the newest run when last looked
    :param known: runs near to it, in the list of runs, that have been dealt with
    :param going_on: runs that had not ended
    """

    since: datetime
    last: str | None = None
    known: tuple[str, ...] = ()
    going_on: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give the cursor as JSON values."""
        values = {VERSION_KEY: CURSOR_VERSION, **asdict(self)}
        return {**values, "since": self.since.isoformat(), "known": list(self.known), "going_on": list(self.going_on)}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Read what :meth:`as_dict` gave.

        :raises UnknownVersionError: if a newer version of this package has written it
        :raises ValueError: if it is something else
        """
        if isinstance(values, Mapping):
            check_version(values, CURSOR_VERSION, "What is stored about a watcher")
        return cls._of(values)

    @classmethod
    def from_newer(cls, values: Any) -> Self | None:
        """Return as much of a cursor of a newer version as can be read: the moment, or None."""
        try:
            return cls._of({"since": values["since"]})
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _of(cls, values: Any) -> Self:
        cursor = converted(values, cls)
        if cursor.since.tzinfo is None:
            raise ValueError(f"since must name its zone: {cursor.since}")
        return cursor

    def not_before(self, moment: datetime) -> Cursor:
        """Give the cursor that tells of no run that ended before `moment`."""
        return replace(self, since=max(self.since, moment))


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended."""

    report: RunReport
    began_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """
    What a look has found.

    :param cursor: how far the watcher has come, once it has told of `news`
    :param news: the runs that have ended since, oldest first
    :param is_gap: whether more runs have begun since than are listed, so that older ones may have gone unseen
    """

    cursor: Cursor
    news: tuple[Ended, ...] = ()
    is_gap: bool = False


def look_for_ended(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    cursor: Cursor | None,
    catch_up: float | None = None,
    memo: dict[str, Ended] | None = None,
) -> Flow[PollOutcome]:
    """
    Look which runs of a connection have ended.

    The look succeeds or fails as a whole, so that runs are told in their order; there is no patience in it.

    :param cursor: what the look before gave; None for the first, which takes all that has ended for history
    :param catch_up: seconds before now; what ended earlier is not told
    :param memo: what a look that failed has read already, for the next one to go on with; is changed
    :raises ITwinError: what kept it from succeeding
    """
    connection, told_at = yield from perform_call(
        account, endpoints.get_connection_with_time(kind, connection_id), retry_budget=0
    )
    now = told_at or datetime.fromtimestamp(account.wall(), UTC)
    newest = connection.last_run(kind, connection_id)
    last = newest.run_id if newest and (newest.kind, newest.connection_id) == (kind, connection_id) else None
    is_first = cursor is None
    before = cursor or Cursor(now)
    if catch_up is not None:
        before = before.not_before(now - timedelta(seconds=catch_up))
    listed: Sequence[RunSummary] | None = None
    if is_first or last is None or last != before.last:
        listed = neighbours((yield from _list_around(account, kind, connection_id, last)), last)
    ended: dict[str, Ended] = {} if memo is None else memo
    missing: set[str] = set()
    to_ask = before.going_on if listed is None else to_look_at(before, listed, last, is_first=is_first)
    for run_id in to_ask:
        if run_id in ended:
            continue
        try:
            poll_result = yield from poll_run(account, RunRef(kind, connection_id, run_id), retry_budget=0)
        except ITwinNotFoundError:
            missing.add(run_id)
            continue
        if poll_result.run is not None:
            run = poll_result.run
            ended[run_id] = Ended(RunReport.of(poll_result.ref, run), run.start_date_time, run.end_date_time)
    poll_outcome = found(
        before, last, listed, [ended[run_id] for run_id in to_ask if run_id in ended], missing, now, is_first
    )
    ended.clear()
    return poll_outcome


def neighbours(listed: Sequence[RunSummary], last: str | None) -> list[RunSummary]:
    """Give the entries of the list of runs near to the newest one, on either side: nobody says which way it is sorted."""
    at = next((place for place, entry in enumerate(listed) if entry.id == last), 0)
    return [entry for entry in listed[max(0, at - MOST_AT_ONCE) : at + MOST_AT_ONCE + 1] if entry.id]


def to_look_at(before: Cursor, listed: Iterable[RunSummary], last: str | None, *, is_first: bool) -> tuple[str, ...]:
    """
    Tell which runs are to be looked at one by one.

    :param is_first: then what has ended is history, but for the newest, which may just have done so
    """
    ids = {entry.id: None for entry in listed if entry.id and not (is_first and entry.is_finished)}
    if last is not None:
        ids[last] = None
    fresh = [run_id for run_id in ids if run_id not in before.known and run_id not in before.going_on]
    return (*before.going_on, *fresh)


def found(
    before: Cursor,
    last: str | None,
    listed: Sequence[RunSummary] | None,
    ended: Iterable[Ended],
    missing: set[str],
    now: datetime,
    is_first: bool,
) -> PollOutcome:
    """
    Conclude a look.

    :param listed: what :func:`neighbours` gave, None if nothing was listed
    :param ended: what has ended, of the runs that were looked at
    :param missing: those that the service does not find (any more, or yet)
    :param now: the moment of the look, by the clock of the service
    """
    news = sorted((run for run in ended if _is_news(run, before, is_first)), key=lambda run: _moment(run, now))
    done = {run.report.ref.run_id for run in ended}
    if listed is None:
        return PollOutcome(
            replace(
                before,
                since=_since(before, news, now),
                known=(*before.known, *(run_id for run_id in before.going_on if run_id in done)),
                going_on=tuple(run_id for run_id in before.going_on if run_id not in done),
            ),
            tuple(news),
        )
    looked_at = to_look_at(before, listed, last, is_first=is_first)
    # What is not found and not the newest has been deleted; the newest may not have got around yet.
    going_on = tuple(run_id for run_id in looked_at if run_id not in done and (run_id not in missing or run_id == last))
    going_on = going_on[-_MOST_GOING_ON:]
    known = tuple(entry.id for entry in listed if entry.id and entry.id not in going_on)
    if last in done and last not in known:
        known = (*known, last)
    return PollOutcome(
        Cursor(_since(before, news, now), last, known, going_on),
        tuple(news),
        is_gap=not is_first and len(listed) > MOST_AT_ONCE and not _overlaps(before, listed),
    )


def _overlaps(before: Cursor, listed: Iterable[RunSummary]) -> bool:
    return any(entry.id in before.known or entry.id in before.going_on for entry in listed)


def _is_news(run: Ended, before: Cursor, is_first: bool) -> bool:
    return not is_first if run.ended_at is None else run.ended_at >= before.since


def _moment(run: Ended, now: datetime) -> datetime:
    return run.ended_at or run.began_at or now


def _since(before: Cursor, news: Iterable[Ended], now: datetime) -> datetime:
    """Give the moment before which no run that has not been seen yet can have ended: connections run one run at a time."""
    return max((before.since, *(min(run.ended_at, now) - _SLACK for run in news if run.ended_at)))


def _list_around(
    account: Account, kind: ConnectionKind, connection_id: str, last: str | None
) -> Flow[list[RunSummary]]:
    """List runs, with no more of each than its id, state and result, until the newest and its neighbours are among them."""
    pages: Pages[RunSummary] = Pages(
        lambda top, skip: list_glances(kind, connection_id, top, skip),
        lambda page: (page.runs, page.links),
        retry_budget=0,
    )
    listed: list[RunSummary] = []
    for _ in range(_MOST_PAGES):
        listed += yield from pages.next_page(account)
        at = next((place for place, entry in enumerate(listed) if entry.id == last), None if last else 0)
        if pages.is_done or (at is not None and len(listed) > at + MOST_AT_ONCE):
            break
    return listed


def list_glances(kind: ConnectionKind, connection_id: str, top: int, skip: int) -> Call[RunSummaryPage]:
    """Give the same operation as :func:`~.endpoints.get_runs`, with as little of each run as the service can be asked for."""
    call = endpoints.get_runs(kind, connection_id, top, skip)
    headers = {"prefer": "return=minimal"} if "prefer" in call.headers else {}

    def read(response: Response) -> RunSummaryPage:
        return endpoints.check_runs(decoded(response.body, RunSummaryPage), connection_id)

    return replace(call, headers=headers, read=read)  # type: ignore[arg-type, return-value]
