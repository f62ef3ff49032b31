"""Waiting for the newest run of a connection that began late enough, even before there is one."""

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


def wait_result(script: ScriptedService, **details: Any) -> WaitResult:
    usual: dict[str, Any] = {"kind": KIND, "connection_id": "c1", "started_after": SINCE, "began": WALL}
    return script.play(wait(script.account(), WaitSpec(**usual | details)))


def late(state: str = "Executing") -> Response:
    return run(state, start=LATE)


def test_only_a_run_that_has_begun_late_enough_ends_the_wait() -> None:
    script = ScriptedService(
        connection(None),
        *(connection("r0"), run("Completed", "Success", start=EARLY)),
        *(connection("r1"), run("NotStarted")),
        *(connection("r1"), late()),
        *(connection("r1"), finished(startDateTime=LATE)),
    )

    result = wait_result(script)

    assert (result.end, result.ref, result.polls) == (WaitEnd.FINISHED, RunRef(KIND, "c1", "r1"), 5)


def test_a_run_that_has_ended_before_the_wait_counts_if_it_began_late_enough() -> None:
    script = ScriptedService(connection("r1"), finished("Error", startDateTime=LATE))

    assert wait_result(script).end is WaitEnd.FINISHED


def test_a_run_that_began_too_early_never_counts() -> None:
    script = ScriptedService(
        *[connection("r0"), finished(startDateTime=EARLY)] * 2,
        connection("r0"),
        finished(startDateTime=EARLY, endDateTime="2026-09-21T15:00:00Z"),
    )

    result = wait_result(script, deadline=WALL + 20.0)

    assert (result.end, result.ref, result.state, result.run) == (WaitEnd.DEADLINE, None, None, None)


def test_a_newer_run_replaces_the_one_that_was_polled() -> None:
    script = ScriptedService(connection("r1"), late(), connection("r2"), finished(startDateTime=LATE))

    assert wait_result(script).ref == RunRef(KIND, "c1", "r2")


@pytest.mark.parametrize("link", [f"{STORAGE}/another/runs/r1", "https://evil.example/x", f"{STORAGE}/c1/runs/.."])
def test_a_last_run_link_to_anything_else_is_ignored(link: str) -> None:
    script = ScriptedService(connection(link), connection("r1"), finished(startDateTime=LATE))

    assert wait_result(script).end is WaitEnd.FINISHED


def test_a_new_run_that_is_not_found_yet_is_polled_again_after_any_time() -> None:
    script = ScriptedService(connection("r1"), error(404), connection("r1"), late("Completed"))

    assert wait_result(script, began=WALL - 7200.0).end is WaitEnd.FINISHED


@pytest.mark.parametrize(("began", "polls"), [(WALL, 7), (WALL - 3600.0, 1)])
def test_a_missing_connection_is_refused_after_the_first_minute(began: float, polls: int) -> None:
    script = ScriptedService(always=error(404, "StorageConnectionNotFound"))

    assert wait_result(script, began=began).end is WaitEnd.REFUSED
    # Once, the other kinds of connection are asked for the id.
    others = [line for line in script.lines if "storageconnections" not in line]
    assert len(script.requests) - len(others) == polls
    assert len(others) <= 2


def test_a_forbidden_connection_is_refused() -> None:
    assert wait_result(ScriptedService(error(403))).end is WaitEnd.REFUSED


def test_errors_of_either_request_are_retried() -> None:
    script = ScriptedService(SILENCE, connection("r1"), error(503), connection("r1"), finished(startDateTime=LATE))

    assert wait_result(script).end is WaitEnd.FINISHED


def test_an_outage_without_a_run_has_no_ref() -> None:
    script = ScriptedService(connection(None), always=error(503))

    result = wait_result(script)

    assert (result.end, result.ref) == (WaitEnd.OUTAGE, None)
    assert result.elapsed == pytest.approx(910.0)
