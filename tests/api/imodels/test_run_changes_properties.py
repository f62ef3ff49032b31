"""Whatever else happens to an iModel, what a run gets is never the changeset of another run or of a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.imodels.run_changes import NothingPushed, Pushed, RunTrace, Unclear, changes_of
from airflow_provider_itwin.api.models.imodels import Changeset, SynchronizationInfo
from tests.api.imodels.changesets import START

PERSON = -1

IDS = ("run", "job", "task", "stable task", "unknown", "none", "no synchronization")
"""What the synchronization of a changeset names."""


@dataclass(frozen=True)
class History:
    """
    The runs of an iModel, one after the other, and what they and a person have pushed.

    :param owners: the number of the run that pushed each changeset, by its id
    """

    runs: tuple[RunTrace, ...]
    changesets: tuple[Changeset, ...]
    owners: dict[str, int]

    def pushed_by(self, number: int) -> list[str]:
        """Return the ids of the changesets of a run, oldest first."""
        return [one for one, owner in self.owners.items() if owner == number]


@st.composite
def histories(draw: st.DrawFn, ids: st.SearchStrategy[str], gaps: st.SearchStrategy[int], skew: int = 0) -> History:
    """Draw a history; each run is followed by a gap in seconds, and the clock of the iModels API is up to `skew` seconds off."""
    named = draw(ids)
    grouped = draw(st.booleans())
    ahead = timedelta(seconds=draw(st.integers(-skew, skew)))
    runs: list[RunTrace] = []
    pushes: list[tuple[datetime, int]] = []
    now = START
    for number in range(draw(st.integers(1, 4))):
        end = now + timedelta(seconds=draw(st.integers(10, 900)))
        task = "stable-task" if named == "stable task" else f"task-{number}"
        runs.append(RunTrace(f"run-{number}", frozenset({f"run-{number}", f"job-{number}", task}), now, end))
        pushed = draw(st.lists(st.floats(0, 1), max_size=3))
        pushes += [(now + (end - now) * part, number) for part in pushed]
        now = end + timedelta(seconds=draw(gaps))
    seconds = int((now - START).total_seconds())
    pushes += [
        (START + timedelta(seconds=one), PERSON) for one in draw(st.lists(st.integers(-90, seconds), max_size=4))
    ]
    changesets, owners = [], {}
    for index, (moment, owner) in enumerate(sorted(pushes), 1):
        owners[f"c{index}"] = owner
        info = None
        if owner != PERSON and named != "no synchronization":
            info = SynchronizationInfo(task_id=_task_id(named, owner))
        # Only ids or times can tell runs apart.
        is_dated = named == "stable task" or draw(st.integers(0, 9)) > 0
        text = (moment + ahead).isoformat() if is_dated else None
        group = f"g{owner}" if grouped and owner != PERSON else None
        changesets.append(
            Changeset(id=f"c{index}", index=index, push_text=text, group_id=group, synchronization_info=info)
        )
    return History(tuple(runs), tuple(reversed(changesets)), owners)


def _task_id(named: str, owner: int) -> str | None:
    return {
        "run": f"RUN-{owner}",
        "job": f"job-{owner}",
        "task": f"task-{owner}",
        "stable task": "stable-task",
        "unknown": f"unknown-{owner}",
    }.get(named)


def check_no_foreign_changeset(history: History) -> None:
    for number, run in enumerate(history.runs):
        changes = changes_of(run, history.changesets)
        own = history.pushed_by(number)
        if isinstance(changes, Pushed):
            assert own, "a run without changesets gets none"
            assert changes.changeset.id == own[-1], "it is the newest one of the run"
        elif isinstance(changes, NothingPushed):
            assert not own, "no changeset of the run is overlooked"


@given(histories(st.sampled_from([one for one in IDS if one != "stable task"]), st.integers(1, 300)))
def test_a_run_gets_its_newest_changeset_or_none(history: History) -> None:
    check_no_foreign_changeset(history)


@given(histories(st.just("stable task"), st.integers(61, 900)))
def test_a_run_gets_no_changeset_of_another_run_whose_tasks_have_the_same_ids(history: History) -> None:
    check_no_foreign_changeset(history)


@given(histories(st.sampled_from(["run", "job", "task"]), st.integers(1, 300), skew=59))
def test_clocks_that_differ_hide_no_changeset_that_names_its_run(history: History) -> None:
    check_no_foreign_changeset(history)
    for number, run in enumerate(history.runs):
        if history.pushed_by(number):
            assert isinstance(changes_of(run, history.changesets), Pushed | Unclear)


@given(histories(st.sampled_from(["run", "job", "task"]), st.integers(1, 300)))
def test_ids_leave_nothing_unclear(history: History) -> None:
    for number, run in enumerate(history.runs):
        if history.pushed_by(number):
            assert isinstance(changes_of(run, history.changesets), Pushed)
