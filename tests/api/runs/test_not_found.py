"""What a 404 means, and what a wait does about it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinNotFoundError
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.not_found import explain_connection, explain_run
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitResult, WaitSpec
from airflow_provider_itwin.api.wait.waiter import wait
from tests.api.responses import EXPORT, MANIFEST, STORAGE, connection, error, finished, response
from tests.api.scripted_service import WALL, ScriptedService

KIND = ConnectionKind.STORAGE
REF = RunRef(KIND, "c1", "r1")


def not_found() -> ITwinNotFoundError:
    return ITwinNotFoundError("get-storage-connection-run returned 404", status=404, hint="Ask for a role.")


def service(*paths: str, runs: tuple[str, ...] | None = None, last_run: str | None = None) -> ScriptedService:
    """Return a service whose connection c1 exists at `paths` only, with `runs`; None: they cannot be listed."""

    def answer(request: Request) -> Response:
        path = request.url.partition("?")[0]
        if path.endswith("/runs"):
            return error(503) if runs is None else response(200, {"runs": [{"id": run} for run in runs]})
        return connection(last_run) if path in paths else error(404, "NotFound")

    return ScriptedService(always=answer)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (MANIFEST, "c1 is the id of a manifest connection, not of a storage connection"),
        (EXPORT, "c1 is the id of an export connection, not of a storage connection"),
    ],
)
def test_a_connection_of_another_kind_is_named(root: str, words: str) -> None:
    script = service(f"{root}/c1")
    explained = script.play(explain_connection(script.account(), not_found(), KIND, "c1"))
    assert explained.is_certain
    assert words in str(explained)
    assert "Ask for a role" not in str(explained)


def test_an_unknown_connection_keeps_its_hint() -> None:
    script = service()
    explained = script.play(explain_connection(script.account(), not_found(), KIND, "c1"))
    assert not explained.is_certain
    assert explained.hint == "Ask for a role."
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("runs", "last_run", "is_certain"),
    [
        (("r2", "r3"), "r3", True),
        ((), None, True),
        (("r2", "R1"), "r2", False),
        ((), "r1", False),
        (None, "r2", False),
    ],
    ids=["not listed", "no runs", "listed", "newest", "no list"],
)
def test_a_run_that_is_in_no_list_does_not_exist(
    runs: tuple[str, ...] | None, last_run: str | None, is_certain: bool
) -> None:
    script = service(f"{STORAGE}/c1", runs=runs, last_run=last_run)
    explained = script.play(explain_run(script.account(), not_found(), REF))
    assert explained.is_certain == is_certain
    assert ("check run_id" in str(explained)) == is_certain


def test_a_list_that_is_too_long_proves_nothing() -> None:
    numbers = iter(range(10**6))

    def answer(request: Request) -> Response:
        if "/runs" not in request.url:
            return connection("r2")
        return response(200, {"runs": [{"id": f"other-{next(numbers)}"} for _ in range(100)]})

    script = ScriptedService(always=answer)
    assert not script.play(explain_run(script.account(), not_found(), REF)).is_certain
    assert len(script.requests) == 11


def wait_for(script: ScriptedService, **details: Any) -> WaitResult:
    spec = WaitSpec.for_run(REF, **{"began": WALL} | details)
    return script.play(wait(script.account(), spec))


def test_a_wait_for_an_unknown_run_ends_after_the_second_poll() -> None:
    script = service(f"{STORAGE}/c1", runs=("r2",), last_run="r2")
    result = wait_for(script)
    assert result.end is WaitEnd.REFUSED
    assert "has 1 run, and none with this id" in str(result.error)
    assert result.polls == 2
    assert script.seconds == pytest.approx([9.75], abs=1)


def test_a_run_that_the_service_has_named_is_polled_for_a_minute() -> None:
    script = service(f"{STORAGE}/c1", runs=("r2",), last_run="r2")
    result = wait_for(script, is_known=True)
    assert result.end is WaitEnd.REFUSED
    assert sum(script.seconds) >= 60
    assert all(line.endswith("/runs/r1") for line in script.lines)


def test_a_run_that_is_not_visible_yet_is_explained_once() -> None:
    calls = 0

    def answer(request: Request) -> Response:
        nonlocal calls
        if request.url.endswith("/runs/r1"):
            calls += 1
            return error(404) if calls < 4 else finished()
        return connection("r1")

    script = ScriptedService(always=answer)
    result = wait_for(script)
    assert result.end is WaitEnd.FINISHED
    assert len(script.requests) == 4 + 1
