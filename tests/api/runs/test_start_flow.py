"""What a run is to a task: how a connection stood before, whether a run began since, whose the active run is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_itwin.api.errors import ITwinInvalidRequestError, ITwinNotFoundError, ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.polling import (
    PollResult,
    poll_newest_run,
    poll_run,
)
from airflow_provider_itwin.api.runs.start import (
    Baseline,
    examine_active,
    find_started_since,
    take_baseline,
)
from tests.api.responses import EXPORT, MANIFEST, STORAGE, connection, error, finished, response, run
from tests.api.scripted_service import ScriptedService

KIND = ConnectionKind.STORAGE
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
ASKED = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
OLD, NEW = RunRef(KIND, "c1", "old"), RunRef(KIND, "c1", "new")
BASELINE = Baseline(OLD, ASKED, names_last_run=True)


def test_a_baseline_is_the_last_run_and_the_moment_by_the_clock_of_the_service() -> None:
    script = ScriptedService(connection("old", date=DATE))

    assert script.play(take_baseline(script.account(), KIND, "c1")) == BASELINE


@pytest.mark.parametrize("kind", ["User", "Service"])
def test_a_baseline_tells_in_whose_name_a_connection_runs(kind: str) -> None:
    script = ScriptedService(response(200, {"connection": {"authenticationType": kind}}))

    assert script.play(take_baseline(script.account(), KIND, "c1")) == Baseline(None, None, kind)


@pytest.mark.parametrize(
    ("kind", "root"),
    [(ConnectionKind.STORAGE, STORAGE), (ConnectionKind.MANIFEST, MANIFEST), (ConnectionKind.EXPORT, EXPORT)],
)
def test_a_baseline_of_each_kind(kind: ConnectionKind, root: str) -> None:
    script = ScriptedService(connection("old", root=root))

    baseline = script.play(take_baseline(script.account(), kind, "c1"))

    assert script.lines == [f"GET {root}/c1"]
    assert baseline.last_run == RunRef(kind, "c1", "old")


@pytest.mark.parametrize("status", [403, 404])
def test_a_baseline_of_what_cannot_be_read_is_empty(status: int) -> None:
    script = ScriptedService(error(status))

    assert script.play(take_baseline(script.account(), KIND, "c1")) == Baseline()


def test_a_baseline_hides_no_other_refusal() -> None:
    script = ScriptedService(error(422))

    with pytest.raises(ITwinInvalidRequestError):
        script.play(take_baseline(script.account(), KIND, "c1"))


@pytest.mark.parametrize(
    ("baseline", "run_ref", "started", "expected"),
    [
        (BASELINE, NEW, ASKED, True),
        (BASELINE, NEW, ASKED.replace(second=17), True),
        (BASELINE, NEW, ASKED.replace(year=2025), True),
        (BASELINE, NEW, None, True),
        (Baseline(None, ASKED, names_last_run=True), NEW, ASKED.replace(year=2025), True),
        (Baseline(None, ASKED), NEW, ASKED.replace(second=19, microsecond=999_999), False),
        (Baseline(None, ASKED), NEW, ASKED.replace(microsecond=1), True),
        (Baseline(None, ASKED), NEW, None, True),
        (BASELINE, OLD, ASKED.replace(year=2027), False),
        (BASELINE, OLD, None, False),
        (Baseline(OLD, ASKED.replace(microsecond=900_000)), NEW, ASKED, True),
        (Baseline(None, ASKED), NEW, ASKED, True),
        (Baseline(OLD, None), NEW, ASKED.replace(year=2027), True),
        (Baseline(OLD, None), OLD, ASKED.replace(year=2027), False),
        (Baseline(), NEW, None, False),
    ],
)
def test_whether_a_run_certainly_began_since(
    baseline: Baseline, run_ref: RunRef, started: datetime | None, expected: bool
) -> None:
    assert baseline.precedes(run_ref, started) is expected


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        (RunRef(KIND, "another", "new"), KIND),
        (RunRef(ConnectionKind.MANIFEST, "c1", "new"), KIND),
        (RunRef(KIND, "c1", "new"), ConnectionKind.EXPORT),
    ],
)
def test_a_run_of_another_connection_is_not_ours_and_not_looked_at(location: RunRef, kind: ConnectionKind) -> None:
    script = ScriptedService()

    active = script.play(examine_active(script.account(), location, BASELINE, kind, "c1"))

    assert active == Active(location, ours=False, fresh=False)


@pytest.mark.parametrize(
    ("start", "fresh"),
    [
        ("2026-09-21T14:13:20.0000001Z", True),
        ("2026-09-21T14:13:17Z", True),
        (None, True),
        ("0001-01-01T00:00:00", True),
    ],
)
@pytest.mark.parametrize("does_the_same", [True, False])
def test_a_run_of_ours_is_fresh_if_it_began_since_and_does_the_same(
    start: str | None, fresh: bool, does_the_same: bool
) -> None:
    script = ScriptedService(run("Queued", start=start))

    active = script.play(examine_active(script.account(), NEW, BASELINE, KIND, "c1", does_the_same=does_the_same))

    assert active == Active(NEW, ours=True, fresh=fresh and does_the_same)


def test_a_run_that_is_named_but_not_found_yet_is_looked_for_again() -> None:
    script = ScriptedService(error(404), error(404), run("Queued"))

    active = script.play(examine_active(script.account(), NEW, BASELINE, KIND, "c1"))

    assert active == Active(NEW, ours=True, fresh=True)
    assert script.seconds == [1.0, 2.0]


def test_a_run_that_is_named_but_never_found() -> None:
    script = ScriptedService(always=error(404, "StorageConnectionRunNotFound"))

    with pytest.raises(ITwinNotFoundError):
        script.play(examine_active(script.account(), NEW, BASELINE, KIND, "c1"))

    assert 20.0 < script.passed < 60.0


@pytest.mark.parametrize(
    ("last_run", "look", "expected"),
    [
        (None, None, None),
        ("old", None, None),
        (f"{STORAGE}/another/runs/new", None, None),
        ("new", run(start="2026-09-21T14:13:21Z"), NEW),
        ("new", finished(startDateTime="2026-09-21T14:13:21Z"), NEW),
        ("new", run("NotStarted"), NEW),
        ("new", run(start="2026-09-21T14:13:00Z"), NEW),
    ],
)
def test_a_run_that_an_earlier_try_may_have_started(
    last_run: str | None, look: Response | None, expected: RunRef | None
) -> None:
    script = ScriptedService(connection(last_run), *([look] if look else []))

    assert script.play(find_started_since(script.account(), BASELINE, KIND, "c1")) == expected


def test_a_run_that_an_earlier_try_has_started_just_now() -> None:
    script = ScriptedService(connection("new"), error(404), run("NotStarted"))

    assert script.play(find_started_since(script.account(), BASELINE, KIND, "c1")) == NEW


@pytest.mark.parametrize(
    ("start", "seen"),
    [
        ("2026-09-21T14:13:20Z", True),
        ("2026-09-21T16:13:20+02:00", True),
        ("2026-09-21T14:13:19.999999Z", False),
        ("0001-01-01T00:00:00", False),
        (None, False),
        ("garbage", False),
    ],
)
def test_the_newest_run_counts_if_it_began_late_enough(start: str | None, seen: bool) -> None:
    script = ScriptedService(connection("new"), run("Executing", start=start))

    poll_result = script.play(poll_newest_run(script.account(), KIND, "c1", ASKED))

    assert (poll_result is not None) is seen
    assert script.lines == [f"GET {STORAGE}/c1", f"GET {STORAGE}/c1/runs/new"]


@pytest.mark.parametrize("last_run", [None, f"{STORAGE}/another/runs/new", f"{MANIFEST}/c1/runs/new", "https://x/y"])
def test_there_is_no_newest_run_of_the_connection(last_run: str | None) -> None:
    script = ScriptedService(connection(last_run))

    assert script.play(poll_newest_run(script.account(), KIND, "c1", ASKED)) is None


def test_a_newest_run_that_is_not_found_yet_is_not_there_yet() -> None:
    script = ScriptedService(connection("new"), error(404))

    assert script.play(poll_newest_run(script.account(), KIND, "c1", ASKED)) is None


def test_a_look_decodes_the_whole_run_only_at_its_end() -> None:
    jobs = [{"tasks": [{"result": "Success"}]}]

    def look(answer: Response) -> PollResult:
        script = ScriptedService(answer)
        return script.play(poll_run(script.account(), NEW))

    assert look(run("Executing", jobs=jobs)).run is None
    ended = look(finished(jobs=jobs)).run
    assert ended is not None
    assert ended.jobs is not None
    assert ended.jobs[0].tasks is not None


def test_a_finished_run_with_half_a_letter_is_read_all_the_same() -> None:
    script = ScriptedService(response(200, b'{"run":{"state":"Completed","jobs":[{"id":"\\ud800"}]}}'))

    run = script.play(poll_run(script.account(), NEW, retry_budget=0.0)).run

    assert run is not None
    assert run.jobs is not None
    assert run.jobs[0].id == "\ufffd"


def test_a_finished_run_that_cannot_be_read_is_an_answer_that_cannot_be_read() -> None:
    broken = response(200, b'{"run":{"id":"r1","state":"Completed","jobs":[{"id":"\\q"}]}}', x_correlation_id="corr")
    script = ScriptedService(broken)

    with pytest.raises(ITwinProtocolError) as caught:
        script.play(poll_run(script.account(), NEW, retry_budget=0.0))

    assert caught.value.correlation_id == "corr"
