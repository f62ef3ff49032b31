"""Which changesets a run has pushed: by id, by group, by time, and when that is unclear."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinRunNotFinishedError
from airflow_provider_itwin.api.imodels.run_changes import (
    MOST_PAGES,
    NothingPushed,
    Pushed,
    RunTrace,
    Unclear,
    changes_of,
    find_changes,
)
from airflow_provider_itwin.api.models.imodels import Changeset
from airflow_provider_itwin.api.models.resources import Job, Run, Task
from tests.api.imodels.changesets import JOB, RUN, START, TASK, changeset, listed, trace
from tests.api.responses import response
from tests.api.scripted_service import ScriptedService

NOTHING = "nothing"
LOST_TIMES = {"start": None, "end": None}


def unclear(*indexes: int) -> tuple[int, ...]:
    return indexes


def told(changes: Any) -> Any:
    """Return the index of what a run has pushed, `NOTHING`, or the indexes of the candidates."""
    match changes:
        case Pushed(found):
            return found.index
        case NothingPushed():
            return NOTHING
        case Unclear(candidates, reason):
            assert len(reason) > 20
            return tuple(one.index for one in candidates)


TABLE: dict[str, tuple[list[Changeset], Any]] = {
    "no changesets at all": ([], NOTHING),
    "only changesets from before the run": ([changeset(2, -7200, "x"), changeset(1, -9999)], NOTHING),
    # By id.
    "the task's id": ([changeset(8, 300, TASK), changeset(7, -7200, "x")], 8),
    "the job's id": ([changeset(8, 300, JOB)], 8),
    "the run's id": ([changeset(8, 300, RUN)], 8),
    "an id in another letter case": ([changeset(8, 300, TASK.upper())], 8),
    "an id with blanks": ([changeset(8, 300, f" {TASK} ")], 8),
    "the newest of several": ([changeset(7, 100, TASK), changeset(8, 300, TASK)], 8),
    "in the order of the service where an index is missing": (
        [changeset(8, 300, TASK), changeset(None, 200, TASK), changeset(6, 100, TASK)],
        8,
    ),
    "a person's later push": ([changeset(9, 350), changeset(8, 300, TASK)], 8),
    "a person's push in between": ([changeset(8, 300, TASK), changeset(7, 200), changeset(6, 100, TASK)], 8),
    "another run's later push": ([changeset(9, 900, "x"), changeset(8, 300, TASK)], 8),
    "another run's push just after": ([changeset(9, 610, "x"), changeset(8, 300, TASK)], 8),
    "a push without a time": ([changeset(8, None, TASK)], 8),
    "a push with an unreadable time": ([changeset(8, None, TASK, push_text="soon")], 8),
    "a clock that is 50 s slow": ([changeset(8, -50, TASK)], 8),
    "a clock that is 50 s fast": ([changeset(8, 650, TASK)], 8),
    "the run's id, whatever the clock says": ([changeset(8, 9000, RUN)], 8),
    "a task's id, pushed by a later run": ([changeset(9, 9000, TASK), changeset(8, 300, TASK)], 8),
    "a task's id, pushed by a later run only": ([changeset(9, 9000, TASK)], unclear(9)),
    "a task's id, pushed by an earlier run only": ([changeset(8, -9000, TASK)], unclear(8)),
    "a nameless synchronization during the run": ([changeset(9, 400, None), changeset(8, 300, TASK)], unclear(9, 8)),
    "a nameless synchronization long after": ([changeset(9, 900, None), changeset(8, 300, TASK)], 8),
    "an older nameless one": ([changeset(9, 400, TASK), changeset(8, 300, None)], 9),
    # By group.
    "the group of a match": ([changeset(9, 400, None, "G"), changeset(8, 300, TASK, "G")], 9),
    "a group in another letter case": ([changeset(9, 400, "x", "g"), changeset(8, 300, TASK, "G")], 9),
    "the group of a match, after the end": ([changeset(9, 630, "x", "G"), changeset(8, 300, TASK, "G")], 9),
    "another group": ([changeset(9, 900, "x", "H"), changeset(8, 300, TASK, "G")], 8),
    "no group is no common group": ([changeset(9, 900, "x", None), changeset(8, 300, TASK, None)], 8),
    "an empty group is no common group": ([changeset(9, 900, "x", ""), changeset(8, 300, TASK, "")], 8),
    # By time.
    "an unknown id during the run": ([changeset(8, 300, "x")], 8),
    "no id during the run": ([changeset(8, 300, None)], 8),
    "the newest during the run": ([changeset(9, 400, None), changeset(8, 300, None)], 9),
    "at the start and at the end": ([changeset(9, 600, None), changeset(8, 0, None)], 9),
    "a person's push during the run, later": ([changeset(9, 350), changeset(8, 300, None)], 8),
    "an unknown id shortly before": ([changeset(8, -1, "x")], NOTHING),
    "an unknown id shortly after": ([changeset(8, 630, "x")], unclear(8)),
    "an unknown id at the end of the tolerance": ([changeset(8, 660, "x")], unclear(8)),
    "an unknown id after the tolerance": ([changeset(8, 661, "x")], NOTHING),
    "one during the run and one shortly after": ([changeset(9, 630, "y"), changeset(8, 300, "x")], unclear(9, 8)),
    "one during the run and one of its group after": ([changeset(9, 630, "y", "G"), changeset(8, 300, "x", "G")], 9),
    "one during the run and one long after": ([changeset(9, 900, "y"), changeset(8, 300, "x")], 8),
    "a group that began before the run": ([changeset(8, 3, "x", "G"), changeset(7, -3, "x", "G")], unclear(8, 7)),
    "a synchronization without a time": ([changeset(8, None, "x")], unclear(8)),
    "a synchronization without a time, from before": ([changeset(8, -7200, "x"), changeset(7, None, "x")], NOTHING),
    # The service does not say who pushed.
    "nobody is named during the run": ([changeset(8, 300)], unclear(8)),
    "nobody is named, and nothing was pushed during the run": ([changeset(9, 900), changeset(8, -900)], NOTHING),
    "nobody is named, and there are no times": ([changeset(8), changeset(7)], unclear(8, 7)),
    # What cannot be named.
    "the state before all changesets": ([changeset(0, 300, TASK, id="")], NOTHING),
    "a changeset without an id": ([changeset(8, 300, TASK, id=None)], unclear(8)),
    "a changeset with an invalid id": ([changeset(8, 300, TASK, id="a/b")], unclear(8)),
    "a changeset that is not uploaded": ([changeset(8, 300, TASK, state="waitingForFile")], unclear(8)),
    "a foreign changeset that is not uploaded": ([changeset(9, None, "x", state="waitingForFile")], NOTHING),
}


@pytest.mark.parametrize(("changesets", "expected"), TABLE.values(), ids=TABLE)
def test_the_changeset_of_a_run(changesets: list[Changeset], expected: Any) -> None:
    assert told(changes_of(trace(), changesets)) == expected


WITHOUT_TIMES: dict[str, tuple[dict[str, Any], list[Changeset], Any]] = {
    "an id needs no times": (LOST_TIMES, [changeset(8, 300, TASK)], 8),
    "no id and no times": (LOST_TIMES, [changeset(9, 900), changeset(8, 300, "x")], unclear(8)),
    "no id, no times, and nobody is named": (LOST_TIMES, [changeset(8, 300)], unclear(8)),
    "no changesets and no times": (LOST_TIMES, [], NOTHING),
    "no end": ({"end": None}, [changeset(9, 900, "x"), changeset(8, -1, "x")], unclear(9)),
    "no end, and nothing since the start": ({"end": None}, [changeset(8, -1, "x")], NOTHING),
    "no start": ({"start": None}, [changeset(8, 300, "x")], unclear(8)),
    "a run without jobs and tasks": ({"ids": frozenset({RUN})}, [changeset(8, 300, TASK)], 8),
}


@pytest.mark.parametrize(("fields", "changesets", "expected"), WITHOUT_TIMES.values(), ids=WITHOUT_TIMES)
def test_a_run_of_which_less_is_known(fields: dict[str, Any], changesets: list[Changeset], expected: Any) -> None:
    assert told(changes_of(trace(**fields), changesets)) == expected


def run(**fields: Any) -> Run:
    known = {"id": RUN, "state": "Completed", "result": "Success", "start_text": START.isoformat()}
    return Run(**known | fields)


def test_the_trace_of_a_run_has_all_of_its_ids() -> None:
    jobs = [Job(id=JOB.upper(), tasks=[Task(id=TASK), Task(id=None)]), Job(id=None, tasks=None)]

    found = RunTrace.of(RUN, run(jobs=jobs))

    assert found == RunTrace(RUN, frozenset({RUN, JOB, TASK}), START, None)


@pytest.mark.parametrize("state", ["Executing", "Queued", "SomethingNew", None])
def test_a_run_that_has_not_ended_is_an_error(state: str | None) -> None:
    with pytest.raises(
        ITwinRunNotFinishedError, match=rf"Run {RUN} has not ended: its state is {state or 'missing'}\."
    ):
        RunTrace.of(RUN, run(state=state))


# Reading


def page(*changesets: Changeset, next_link: bool = False) -> Any:
    links = {"next": {"href": "https://api.bentley.com/x"}} if next_link else {}
    return response(200, {"changesets": [listed(one) for one in changesets], "_links": links})


def page_of(first: int, seconds: float, **fields: Any) -> Any:
    return page(*(changeset(first - number, seconds - number, **fields) for number in range(100)), next_link=True)


def test_the_full_form_is_requested_newest_first() -> None:
    script = ScriptedService(page(changeset(8, 300, TASK)))

    assert told(script.play(find_changes(script.account(), "m1", trace()))) == 8
    [request] = script.requests
    assert request.url == "https://api.bentley.com/imodels/m1/changesets?$orderBy=index%20desc&$top=100&$skip=0"
    assert request.headers["accept"] == "application/vnd.bentley.itwin-platform.v2+json"
    assert request.headers["prefer"] == "return=representation"


def test_no_page_from_before_the_run_is_requested() -> None:
    script = ScriptedService(page_of(500, 590.0), page_of(400, 20.0, task_id=None))

    assert told(script.play(find_changes(script.account(), "m1", trace()))) == 400
    assert len(script.requests) == 2


def test_a_list_that_begins_with_the_oldest_is_read_to_its_end() -> None:
    oldest = page(*(changeset(number, -9000 + number) for number in range(1, 101)), next_link=True)
    script = ScriptedService(oldest, page(changeset(101, 300, TASK)))

    assert told(script.play(find_changes(script.account(), "m1", trace()))) == 101


def test_reading_is_bounded_and_then_unclear() -> None:
    pages = [page_of(100_000 - 100 * number, 590.0) for number in range(MOST_PAGES)]
    script = ScriptedService(*pages)

    changes = script.play(find_changes(script.account(), "m1", trace()))
    assert isinstance(changes, Unclear)
    assert "none of the newest 2000 changesets names the run" in changes.reason


def test_a_match_counts_although_there_are_more_changesets() -> None:
    pages = [page_of(100_000 - 100 * number, 590.0, task_id=TASK) for number in range(MOST_PAGES)]
    script = ScriptedService(*pages)

    assert told(script.play(find_changes(script.account(), "m1", trace()))) == 100_000
