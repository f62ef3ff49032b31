"""Which changesets a run has pushed: one pure function, and the flow that reads what it needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self, TypeAlias

from airflow_provider_itwin.api.errors import ITwinRunNotFinishedError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET
from airflow_provider_itwin.api.imodels.endpoints import changeset_pages
from airflow_provider_itwin.api.models.imodels import Changeset
from airflow_provider_itwin.api.models.resources import Run
from airflow_provider_itwin.api.models.validation import known_id

CLOCK_TOLERANCE = timedelta(seconds=60)
"""How far the clocks of the Synchronization API and of the iModels API may differ."""

MOST_PAGES = 20
"""Pages of changesets that are read for a run, at most: 2,000 changesets."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """
    What tells the changesets of a run from others.

    :param run_id: id of the run
    :param ids: ids of the run, of its jobs and of its tasks, in lower case
    :param start: when it started, None if the service does not report it
    :param end: when it ended, None if the service does not report it
    """

    run_id: str
    ids: frozenset[str]
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, run_id: str, run: Run) -> Self:
        """
        Return the trace of a run.

        :param run_id: id of the run, as it was requested
        :raises ITwinRunNotFinishedError: if it has not ended: it may push more changesets
        """
        if not run.is_finished:
            raise ITwinRunNotFinishedError(
                f"Run {run_id} has not ended: its state is {run.state or 'missing'}",
                hint="Its changesets are known when it has ended. Wait for it first, with a run operator or a sensor.",
            )
        jobs = run.jobs or []
        tasks = [task for job in jobs for task in job.tasks or []]
        ids = (run_id, run.id, *(job.id for job in jobs), *(task.id for task in tasks))
        return cls(run_id, frozenset(map(_folded, ids)) - {""}, run.start_date_time, run.end_date_time)

    def may_have_pushed(self, changeset: Changeset) -> bool:
        """Return whether a changeset was pushed during the run, as far as times are known; clocks may differ a little."""
        pushed = changeset.push_date_time
        if pushed is None:
            return True
        started = self.start is None or pushed >= self.start - CLOCK_TOLERANCE
        return started and (self.end is None or pushed <= self.end + CLOCK_TOLERANCE)


@dataclass(frozen=True, slots=True)
class Pushed:
    """
    The run has pushed changesets.

    :param changeset: the newest of them
    """

    changeset: Changeset


@dataclass(frozen=True, slots=True)
class NothingPushed:
    """The run has pushed no changeset: none of its files had changed."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """
    It cannot be told whether the run has pushed a changeset, or which one.

    :param candidates: changesets that may be those of the run, newest first
    :param reason: why it cannot be told, as a clause
    """

    candidates: tuple[Changeset, ...]
    reason: str


RunChanges: TypeAlias = Pushed | NothingPushed | Unclear
"""What a run has done to its iModel."""


def changes_of(run: RunTrace, changesets: Sequence[Changeset], *, is_complete: bool = True) -> RunChanges:
    """
    Find the newest changeset that a run has pushed.

    A changeset belongs to the run if its synchronization names the run, one of its jobs or one of its tasks, or if it is in the
    same group as one that does. If no changeset does, the time decides: an iModel has one synchronization at a time, so what a
    synchronization pushed between start and end of the run belongs to it. What a person pushed never does.

    :param changesets: changesets of the iModel
    :param is_complete: whether these are all changesets since the start of the run
    """
    known = _newest_first(changeset for changeset in changesets if changeset.index != 0)
    naming = [one for one in known if _task_id(one) in run.ids]
    if naming:
        return _found_by_id(run, naming, known)
    if not is_complete:
        return Unclear(
            (), f"none of the newest {len(known)} changesets names the run, and there are more since its start"
        )
    return _found_by_time(run, known)


def _found_by_id(run: RunTrace, naming: list[Changeset], known: list[Changeset]) -> RunChanges:
    """Decide by the ids in the changesets."""
    # That ids of jobs and tasks differ between runs is not documented.
    certain = [one for one in naming if _task_id(one) == _folded(run.run_id) or run.may_have_pushed(one)]
    if not certain:
        return Unclear(tuple(naming), "a task of the run is named by changesets that were not pushed during the run")
    own = _with_groups(certain, known)
    # A synchronization that names no task may be this run, going on.
    nameless = [
        one
        for one in itertools.takewhile(lambda one: one is not own[0], known)
        if one.synchronization_info is not None and not _task_id(one) and one.is_uploaded and run.may_have_pushed(one)
    ]
    if nameless:
        return Unclear((*nameless, own[0]), "newer changesets of a synchronization do not say which one pushed them")
    return _if_nameable(own[0])


def _found_by_time(run: RunTrace, known: list[Changeset]) -> RunChanges:
    """Decide by the time; no changeset names the run."""
    recent = [one for one in _since(run.start, known) if one.is_uploaded]
    synchronized = [one for one in recent if one.synchronization_info is not None]
    if run.start is None or run.end is None:
        reason = "no changeset names the run, and the service does not report when it started and ended"
        return _unclear_if_any(synchronized or recent, reason)
    own = _with_groups([one for one in synchronized if _is_between(run.start, one, run.end)], known)
    doubtful = [one for one in own if _is_before(run.start, one)]
    # The clocks may differ, or the next run may have begun.
    after = run.end + CLOCK_TOLERANCE
    doubtful += [
        one for one in _without(own, synchronized) if not one.push_date_time or _is_between(run.end, one, after)
    ]
    if doubtful:
        reason = (
            "no changeset names the run, and a synchronization pushed one at a time that may be that of another run"
        )
        return Unclear(tuple(_newest_first((*own, *_without(own, doubtful)))), reason)
    if own:
        return _if_nameable(own[0])
    unattributed = [one for one in recent if not one.push_date_time or _is_between(run.start, one, run.end)]
    return _unclear_if_any(unattributed, "the service does not say which changesets a synchronization has pushed")


def _if_nameable(changeset: Changeset) -> RunChanges:
    """Return the newest changeset of a run, unless it cannot get a name."""
    if known_id(changeset.id) is None:
        return Unclear((changeset,), "the newest changeset of the run has no valid id")
    if not changeset.is_uploaded:
        return Unclear((changeset,), "the newest changeset of the run is not uploaded yet")
    return Pushed(changeset)


def _unclear_if_any(candidates: list[Changeset], reason: str) -> RunChanges:
    return Unclear(tuple(candidates), reason) if candidates else NothingPushed()


def _newest_first(changesets: Iterable[Changeset]) -> list[Changeset]:
    """Sort by index; without all indexes, trust the order of the service."""
    found = list(changesets)
    if any(one.index is None for one in found):
        return found
    return sorted(found, key=lambda one: -(one.index or 0))


def _with_groups(members: list[Changeset], known: list[Changeset]) -> list[Changeset]:
    """Return `members` and all changesets in their groups, in the order of `known`."""
    groups = {_folded(one.group_id) for one in members} - {""}
    chosen = {id(one) for one in members}
    return [one for one in known if id(one) in chosen or _folded(one.group_id) in groups]


def _without(excluded: list[Changeset], changesets: list[Changeset]) -> list[Changeset]:
    ids = {id(one) for one in excluded}
    return [one for one in changesets if id(one) not in ids]


def _since(start: datetime | None, known: list[Changeset]) -> list[Changeset]:
    """Return what may have been pushed since `start`; what is older than a changeset before `start` is older, too."""
    if start is None:
        return known
    earliest = start - CLOCK_TOLERANCE
    recent = itertools.takewhile(lambda one: not _is_before(earliest, one), known)
    return [one for one in recent if not _is_before(start, one)]


def _is_before(moment: datetime, changeset: Changeset) -> bool:
    pushed = changeset.push_date_time
    return pushed is not None and pushed < moment


def _is_between(start: datetime, changeset: Changeset, end: datetime) -> bool:
    pushed = changeset.push_date_time
    return pushed is not None and start <= pushed <= end


def _task_id(changeset: Changeset) -> str:
    return _folded(changeset.synchronization_info.task_id if changeset.synchronization_info else None)


def _folded(text: str | None) -> str:
    return (text or "").strip().lower()


def find_changes(
    account: Account, imodel_id: str, run: RunTrace, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[RunChanges]:
    """
    Find the newest changeset that a run has pushed, reading no further back than the start of the run; see :func:`changes_of`.

    :raises ITwinError: if the service does not return the changesets
    """
    pages = changeset_pages(imodel_id, retry_budget=retry_budget)
    known: list[Changeset] = []
    for _ in range(MOST_PAGES):
        page = yield from pages.next_page(account)
        known += page
        if pages.is_done or _reaches_back(run, page):
            return changes_of(run, known)
    return changes_of(run, known, is_complete=False)


def _reaches_back(run: RunTrace, page: Sequence[Changeset]) -> bool:
    """Return whether the next pages are older than the run; a service that ignores the order begins with the oldest."""
    if run.start is None or not page:
        return False
    indexes = [one.index or 0 for one in page]
    is_descending = all(newer > older for newer, older in itertools.pairwise(indexes))
    return is_descending and _is_before(run.start - CLOCK_TOLERANCE, page[-1])
