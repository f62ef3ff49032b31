"""Waiting for a run that the service tells of: when to look, when it has ended, and when the time limit has passed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.waiter import (
    WaitEnd,
    WaitResult,
    WaitSpec,
    look,
    wait,
)
from tests.api.responses import EXPORT, MANIFEST, STORAGE, error, finished, response, run
from tests.api.scripted_service import WALL, ScriptedService

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")


def spec(**details: Any) -> WaitSpec:
    usual: dict[str, Any] = {"kind": ConnectionKind.STORAGE, "connection_id": "c1", "run_id": "r1", "began": WALL}
    return WaitSpec(**usual | details)


def waited(script: ScriptedService, **details: Any) -> WaitResult:
    return script.play(wait(script.account(), spec(**details)))


def ends_after(seconds: float, script: ScriptedService) -> ScriptedService:
    """Let the run of a script end after so many seconds."""

    def answer(_: Request) -> Response:
        return finished() if script.passed >= seconds else run("Executing")

    script.always = answer
    return script


def test_a_run_that_has_ended_is_seen_at_the_first_look() -> None:
    script = ScriptedService(finished("PartialSuccess", jobs=[{"tasks": [{"id": "t1"}]}]))

    outcome = waited(script)

    assert (outcome.end, outcome.ref, outcome.state) == (WaitEnd.FINISHED, REF, "Completed")
    assert (outcome.elapsed, outcome.polls, outcome.error) == (0.0, 1, None)
    assert outcome.run is not None
    assert outcome.run.result == "PartialSuccess"
    assert outcome.run.jobs is not None
    assert script.pauses == []


def test_looks_come_after_five_percent_of_the_wait_so_far() -> None:
    script = ends_after(4000.0, ScriptedService())

    outcome = waited(script)

    assert outcome.end is WaitEnd.FINISHED
    assert script.seconds[:5] == [10.0] * 5
    assert script.seconds[30:33] == pytest.approx([15.1, 15.9, 16.7], rel=0.1)
    assert max(script.seconds) == pytest.approx(120.0)
    assert all(pause.error is None for pause in script.pauses)


def test_the_run_of_an_hour_costs_some_eighty_looks_and_is_seen_in_time() -> None:
    script = ends_after(3600.0, ScriptedService())

    outcome = waited(script)

    assert 60 <= outcome.polls <= 90
    assert outcome.polls == len(script.requests)
    assert 3600.0 <= outcome.elapsed <= 3600.0 * 1.05


def test_the_schedule_counts_from_where_the_wait_began_however_often_it_is_resumed() -> None:
    script = ends_after(100.0, ScriptedService())

    waited(script, began=WALL - 10_000.0)

    assert script.seconds == [120.0]


def test_an_interval_of_ones_own_is_kept() -> None:
    script = ends_after(100.0, ScriptedService(chance=0.9))

    assert waited(script, poll_interval=7.0).elapsed == 105.0
    assert set(script.seconds) == {7.0}


@pytest.mark.parametrize(
    "state",
    [
        "NotStarted",
        "Idle",
        "Queued",
        "WaitingToExecute",
        "WaitingToRetry",
        "Executing",
        "Finalizing",
        "Pondering",
        "Complete",
        "",
    ],
)
def test_any_state_but_completed_is_still_going_on(state: str) -> None:
    script = ScriptedService(run(state, "Success"), run(state, "Error"), finished())

    assert waited(script).polls == 3


def test_a_run_without_a_state_is_still_going_on() -> None:
    script = ScriptedService(
        response(200, {"run": {"result": "Success", "endDateTime": "2026-09-21T14:13:20Z"}}), finished()
    )

    assert waited(script).polls == 2


def test_the_time_limit_is_judged_after_the_look() -> None:
    script = ScriptedService(finished("Error"))

    outcome = waited(script, deadline=WALL - 3600.0)

    assert outcome.end is WaitEnd.FINISHED
    assert len(script.requests) == 1


def test_a_time_limit_that_has_passed_ends_the_wait_after_one_look() -> None:
    script = ScriptedService(run("Executing"))

    outcome = waited(script, deadline=WALL, began=WALL - 60.0)

    assert (outcome.end, outcome.state, outcome.ref, outcome.run) == (WaitEnd.DEADLINE, "Executing", REF, None)
    assert outcome.elapsed == 60.0
    assert script.pauses == []


def test_the_last_look_is_at_the_time_limit() -> None:
    script = ScriptedService(always=run("Executing"))

    outcome = waited(script, deadline=WALL + 25.0)

    assert outcome.end is WaitEnd.DEADLINE
    assert script.seconds == [10.0, 10.0, 5.0]
    assert (outcome.elapsed, outcome.polls) == (25.0, 4)


def test_a_run_that_ends_at_the_time_limit_has_ended() -> None:
    script = ends_after(25.0, ScriptedService())

    assert waited(script, deadline=WALL + 25.0).end is WaitEnd.FINISHED


def test_each_new_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    script = ScriptedService(
        run("Queued"), run("Queued"), run("Executing"), run("Executing"), run("Executing"), finished()
    )

    waited(script)

    assert [record.getMessage() for record in caplog.records] == [
        "Run storage/c1/r1 is Queued after 0 s",
        "Run storage/c1/r1 is Executing after 20 s",
        "Run storage/c1/r1 is Completed after 50 s",
    ]


@pytest.mark.parametrize(
    ("kind", "root"),
    [(ConnectionKind.STORAGE, STORAGE), (ConnectionKind.MANIFEST, MANIFEST), (ConnectionKind.EXPORT, EXPORT)],
)
def test_each_kind_is_asked_for_under_its_own_path(kind: ConnectionKind, root: str) -> None:
    script = ScriptedService(finished())

    assert waited(script, kind=kind).ref == RunRef(kind, "c1", "r1")
    assert script.lines == [f"GET {root}/c1/runs/r1"]


def test_one_look_says_how_the_wait_stands() -> None:
    script = ScriptedService(run("Queued"))

    outcome = script.play(look(script.account(), spec()))

    assert (outcome.end, outcome.state, outcome.ref) == (None, "Queued", REF)
    assert script.pauses == []


@pytest.mark.parametrize(("answer", "end"), [(finished(), WaitEnd.FINISHED), (run(), WaitEnd.DEADLINE)])
def test_one_look_after_the_time_limit(answer: Response, end: WaitEnd) -> None:
    script = ScriptedService(answer)

    assert script.play(look(script.account(), spec(deadline=WALL - 1.0))).end is end


def test_one_look_rides_out_trouble_for_as_long_as_it_is_told_to() -> None:
    patient, hurried = ScriptedService(error(503), error(503), run()), ScriptedService(error(503))

    assert patient.play(look(patient.account(), spec(), 10.0)).state == "Executing"
    outcome = hurried.play(look(hurried.account(), spec(), 0.0))
    assert outcome.end is None
    assert outcome.error is not None
    assert hurried.pauses == []


def test_one_look_that_meets_nothing_but_trouble_is_no_end() -> None:
    script = ScriptedService(always=error(503), chance=1.0)

    outcome = script.play(look(script.account(), spec(), 10.0))

    assert outcome.end is None
    assert outcome.error is not None
    assert outcome.error.status == 503
    assert script.seconds == [1.0, 2.0, 4.0]
