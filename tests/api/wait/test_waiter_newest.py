"""Waiting for the newest run of a connection that began late enough, also if there is none yet."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.waiter import (
    WaitEnd,
    WaitResult,
    WaitSpec,
    wait,
)
from tests.api.responses import SILENCE, STORAGE, connection, error, finished, run
from tests.api.scripted_service import WALL, ScriptedService

KIND = ConnectionKind.STORAGE
SINCE = "2026-09-21T14:00:00+00:00"
LATE, EARLY = "2026-09-21T14:00:00.0000000Z", "2026-09-21T13:59:59.9999999Z"


def waited(script: ScriptedService, **details: Any) -> WaitResult:
    usual: dict[str, Any] = {"kind": KIND, "connection_id": "c1", "started_after": SINCE, "began": WALL}
    return script.play(wait(script.account(), WaitSpec(**usual | details)))


def late(state: str = "Executing") -> Response:
    return run(state, start=LATE)


def test_there_is_no_run_yet_then_an_old_one_then_one_that_has_not_begun_then_the_one() -> None:
    script = ScriptedService(
        connection(None),
        *(connection("r0"), run("Completed", "Success", start=EARLY)),
        *(connection("r1"), run("NotStarted")),
        *(connection("r1"), late()),
        *(connection("r1"), finished(startDateTime=LATE)),
    )

    outcome = waited(script)

    assert (outcome.end, outcome.ref, outcome.polls) == (WaitEnd.FINISHED, RunRef(KIND, "c1", "r1"), 5)


def test_a_run_that_has_ended_before_the_wait_counts_if_it_began_late_enough() -> None:
    script = ScriptedService(connection("r1"), finished("Error", startDateTime=LATE))

    assert waited(script).end is WaitEnd.FINISHED


def test_an_old_run_never_counts_however_it_ended() -> None:
    script = ScriptedService(
        *[connection("r0"), finished(startDateTime=EARLY)] * 2,
        connection("r0"),
        finished(startDateTime=EARLY, endDateTime="2026-09-21T15:00:00Z"),
    )

    outcome = waited(script, deadline=WALL + 20.0)

    assert (outcome.end, outcome.ref, outcome.state, outcome.run) == (WaitEnd.DEADLINE, None, None, None)


def test_a_newer_run_takes_the_place_of_one_that_was_being_watched() -> None:
    script = ScriptedService(connection("r1"), late(), connection("r2"), finished(startDateTime=LATE))

    assert waited(script).ref == RunRef(KIND, "c1", "r2")


@pytest.mark.parametrize("link", [f"{STORAGE}/another/runs/r1", "https://evil.example/x", f"{STORAGE}/c1/runs/.."])
def test_a_link_to_something_else_is_no_run(link: str) -> None:
    script = ScriptedService(connection(link), connection("r1"), finished(startDateTime=LATE))

    assert waited(script).end is WaitEnd.FINISHED


def test_a_new_run_that_is_not_found_yet_is_waited_for_however_long_the_wait_has_lasted() -> None:
    script = ScriptedService(connection("r1"), error(404), connection("r1"), late("Completed"))

    assert waited(script, began=WALL - 7200.0).end is WaitEnd.FINISHED


@pytest.mark.parametrize(("began", "looks"), [(WALL, 7), (WALL - 3600.0, 1)])
def test_a_connection_that_does_not_exist_is_refused_after_the_first_minute(began: float, looks: int) -> None:
    script = ScriptedService(always=error(404, "StorageConnectionNotFound"))

    assert waited(script, began=began).end is WaitEnd.REFUSED
    assert len(script.requests) == looks


def test_a_connection_that_may_not_be_seen_is_refused() -> None:
    assert waited(ScriptedService(error(403))).end is WaitEnd.REFUSED


def test_trouble_with_either_request_is_ridden_out() -> None:
    script = ScriptedService(SILENCE, connection("r1"), error(503), connection("r1"), finished(startDateTime=LATE))

    assert waited(script).end is WaitEnd.FINISHED


def test_an_outage_while_there_is_no_run_yet() -> None:
    script = ScriptedService(connection(None), always=error(503))

    outcome = waited(script)

    assert (outcome.end, outcome.ref) == (WaitEnd.OUTAGE, None)
    assert outcome.elapsed == pytest.approx(910.0)
