"""Waiting for a run: when to poll, when it is finished, and when the deadline has passed."""

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
    poll_once,
    wait,
)
from tests.api.responses import EXPORT, MANIFEST, STORAGE, error, finished, response, run
from tests.api.scripted_service import WALL, ScriptedService

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")


def spec(**details: Any) -> WaitSpec:
    usual: dict[str, Any] = {"kind": ConnectionKind.STORAGE, "connection_id": "c1", "run_id": "r1", "began": WALL}
    return WaitSpec(**usual | details)


def wait_result(script: ScriptedService, **details: Any) -> WaitResult:
    return script.play(wait(script.account(), spec(**details)))


def ends_after(seconds: float, script: ScriptedService) -> ScriptedService:
    """Let the run of a script end after `seconds`."""

    def answer(_: Request) -> Response:
        return finished() if script.passed >= seconds else run("Executing")

    script.always = answer
    return script


def test_a_finished_run_is_found_by_the_first_poll() -> None:
    script = ScriptedService(finished("PartialSuccess", jobs=[{"tasks": [{"id": "t1"}]}]))

    result = wait_result(script)

    assert (result.end, result.ref, result.state) == (WaitEnd.FINISHED, REF, "Completed")
    assert (result.elapsed, result.polls, result.error) == (0.0, 1, None)
    assert result.run is not None
    assert result.run.result == "PartialSuccess"
    assert result.run.jobs is not None
    assert script.pauses == []


def test_polls_come_after_five_percent_of_the_elapsed_time() -> None:
    script = ends_after(4000.0, ScriptedService())

    result = wait_result(script)

    assert result.end is WaitEnd.FINISHED
    assert script.seconds[:5] == [10.0] * 5
    assert script.seconds[30:33] == pytest.approx([15.1, 15.9, 16.7], rel=0.1)
    assert max(script.seconds) == pytest.approx(120.0)
    assert all(pause.error is None for pause in script.pauses)


def test_a_run_of_an_hour_takes_60_to_90_polls_and_is_found_within_five_percent() -> None:
    script = ends_after(3600.0, ScriptedService())

    result = wait_result(script)

    assert 60 <= result.polls <= 90
    assert result.polls == len(script.requests)
    assert 3600.0 <= result.elapsed <= 3600.0 * 1.05


def test_a_resumed_wait_continues_the_schedule_from_its_beginning() -> None:
    script = ends_after(100.0, ScriptedService())

    wait_result(script, began=WALL - 10_000.0)

    assert script.seconds == [120.0]


def test_a_fixed_poll_interval_is_kept() -> None:
    script = ends_after(100.0, ScriptedService(chance=0.9))

    assert wait_result(script, poll_interval=7.0).elapsed == 105.0
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
def test_any_state_but_completed_means_that_the_run_continues(state: str) -> None:
    script = ScriptedService(run(state, "Success"), run(state, "Error"), finished())

    assert wait_result(script).polls == 3


def test_a_run_without_a_state_continues() -> None:
    script = ScriptedService(
        response(200, {"run": {"result": "Success", "endDateTime": "2026-09-21T14:13:20Z"}}), finished()
    )

    assert wait_result(script).polls == 2


def test_the_deadline_is_judged_after_the_poll() -> None:
    script = ScriptedService(finished("Error"))

    result = wait_result(script, deadline=WALL - 3600.0)

    assert result.end is WaitEnd.FINISHED
    assert len(script.requests) == 1


def test_a_deadline_that_has_passed_ends_the_wait_after_one_poll() -> None:
    script = ScriptedService(run("Executing"))

    result = wait_result(script, deadline=WALL, began=WALL - 60.0)

    assert (result.end, result.state, result.ref, result.run) == (WaitEnd.DEADLINE, "Executing", REF, None)
    assert result.elapsed == 60.0
    assert script.pauses == []


def test_the_last_poll_is_at_the_deadline() -> None:
    script = ScriptedService(always=run("Executing"))

    result = wait_result(script, deadline=WALL + 25.0)

    assert result.end is WaitEnd.DEADLINE
    assert script.seconds == [10.0, 10.0, 5.0]
    assert (result.elapsed, result.polls) == (25.0, 4)


def test_a_run_that_ends_at_the_deadline_is_finished() -> None:
    script = ends_after(25.0, ScriptedService())

    assert wait_result(script, deadline=WALL + 25.0).end is WaitEnd.FINISHED


def test_each_new_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    script = ScriptedService(
        run("Queued"), run("Queued"), run("Executing"), run("Executing"), run("Executing"), finished()
    )

    wait_result(script)

    assert [record.getMessage() for record in caplog.records] == [
        "Run storage/c1/r1 is Queued after 0 s",
        "Run storage/c1/r1 is Executing after 20 s",
        "Run storage/c1/r1 is Completed after 50 s",
    ]


@pytest.mark.parametrize(
    ("kind", "root"),
    [(ConnectionKind.STORAGE, STORAGE), (ConnectionKind.MANIFEST, MANIFEST), (ConnectionKind.EXPORT, EXPORT)],
)
def test_each_kind_is_polled_at_its_own_path(kind: ConnectionKind, root: str) -> None:
    script = ScriptedService(finished())

    assert wait_result(script, kind=kind).ref == RunRef(kind, "c1", "r1")
    assert script.lines == [f"GET {root}/c1/runs/r1"]


def test_poll_once_returns_how_the_wait_stands() -> None:
    script = ScriptedService(run("Queued"))

    result = script.play(poll_once(script.account(), spec()))

    assert (result.end, result.state, result.ref) == (None, "Queued", REF)
    assert script.pauses == []


@pytest.mark.parametrize(("answer", "end"), [(finished(), WaitEnd.FINISHED), (run(), WaitEnd.DEADLINE)])
def test_poll_once_after_the_deadline_polls_and_then_judges_it(answer: Response, end: WaitEnd) -> None:
    script = ScriptedService(answer)

    assert script.play(poll_once(script.account(), spec(deadline=WALL - 1.0))).end is end


def test_poll_once_retries_within_its_retry_budget() -> None:
    long, short = ScriptedService(error(503), error(503), run()), ScriptedService(error(503))

    assert long.play(poll_once(long.account(), spec(), 10.0)).state == "Executing"
    result = short.play(poll_once(short.account(), spec(), 0.0))
    assert result.end is None
    assert result.error is not None
    assert short.pauses == []


def test_poll_once_that_only_fails_does_not_end_the_wait() -> None:
    script = ScriptedService(always=error(503), chance=1.0)

    result = script.play(poll_once(script.account(), spec(), 10.0))

    assert result.end is None
    assert result.error is not None
    assert result.error.status == 503
    assert script.seconds == [1.0, 2.0, 4.0]
