"""Every loop of the package pauses or ends: whatever the service answers, the number of requests is bounded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.messages import (
    Flow,
    Request,
    Response,
    Token,
)
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import obtain_token, perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.finished_feed import poll_finished_runs
from airflow_provider_itwin.api.runs.polling import poll_newest_run
from airflow_provider_itwin.api.runs.start import (
    Baseline,
    StartAttempt,
    ensure_run,
)
from airflow_provider_itwin.api.wait.schedule import LONGEST_QUEUE_PAUSE, queue_pause
from airflow_provider_itwin.api.wait.waiter import (
    WaitSpec,
    poll_once,
    wait,
)
from tests.api.responses import STORAGE, accepted, connection, error, finished, response, run
from tests.api.scripted_service import CREDENTIALS, WALL, ScriptedService

KIND = ConnectionKind.STORAGE
REF = RunRef(KIND, "c1", "r1")
BASELINE = Baseline(RunRef(KIND, "c1", "old"), names_last_run=True)
ATTEMPT = StartAttempt(BASELINE)
IN_DOUBT = StartAttempt(BASELINE, in_doubt=True)
HOUR = WaitSpec(KIND, "c1", "r1", began=WALL, deadline=WALL + 3600.0)
SINCE = datetime(2026, 1, 1, tzinfo=UTC)

numbers = count()


def page(entries: int, *, promises: bool) -> Callable[[Request], Response]:
    """Answer with a page whose entries are new each time, with or without a link to the next page."""

    def answer(_: Request) -> Response:
        links = {"next": {"href": "https://api.bentley.com/more"}} if promises else {}
        return response(200, {"runs": [{"id": str(next(numbers))} for _ in range(entries)], "_links": links})

    return answer


def repeated_pages(length: int) -> Callable[[Request], Response]:
    """Answer with one of `length` full pages, again and again."""
    turn = count()

    def answer(_: Request) -> Response:
        at = next(turn) % length
        return response(200, {"runs": [{"id": f"{at}-{entry}"} for entry in range(100)]})

    return answer


def all_pages(account: Any) -> Flow[int]:
    pages: Pages[Any] = Pages(
        lambda top, skip: endpoints.get_runs(KIND, "c1", top, skip), lambda found: (found.runs, found.links)
    )
    read = 0
    while not pages.is_done:
        read += len((yield from pages.next_page(account)))
    return read


def ended_but_active(request: Request) -> Response:
    """Answer a request for a run with the old run as active, although that has ended."""
    if request.method == "POST":
        return accepted(f"{STORAGE}/c1/runs/old", 303)
    return finished() if "/runs/" in request.url else connection("old")


def invisible(request: Request, on_start: Response) -> Response:
    """Answer a request for a run with `on_start`, name a new run of the connection, and never find it."""
    if request.method == "POST":
        return on_start
    return error(404) if "/runs/" in request.url else connection("new")


def nameless(request: Request) -> Response:
    """Accept every start, and never name the run."""
    return accepted(None) if request.method == "POST" else connection("old")


LOOPS: dict[str, tuple[Callable[[Any], Flow[Any]], Any, int]] = {
    "a call, no response": (
        lambda a: perform_call(a, endpoints.get_connection(KIND, "c1")),
        response(200, b"x"),
        20,
    ),
    "a call, 401": (lambda a: perform_call(a, endpoints.get_connection(KIND, "c1")), error(401), 2),
    "a call, 401 of a gateway": (
        lambda a: perform_call(a, endpoints.get_connection(KIND, "c1")),
        response(401),
        20,
    ),
    "a call, 429 without Retry-After": (
        lambda a: perform_call(a, endpoints.get_connection(KIND, "c1")),
        error(429),
        20,
    ),
    "a call, Retry-After 0": (
        lambda a: perform_call(a, endpoints.get_connection(KIND, "c1")),
        error(503, retry_after="0"),
        20,
    ),
    "a token, 500": (lambda a: obtain_token(a, CREDENTIALS), error(500), 20),
    "a token, HTML": (lambda a: obtain_token(a, CREDENTIALS), response(403, b"<html>"), 20),
    "a start, 409": (lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT), error(409), 30),
    "a start, responses lost": (
        lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT),
        lambda request: response(500) if request.method == "POST" else connection("old"),
        60,
    ),
    "a start, active run": (lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT), ended_but_active, 2),
    "a start, run not named": (lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT), nameless, 10),
    "a baseline": (lambda a: ensure_run(a, KIND, "c1"), error(500), 20),
    "a run started since, never found": (
        lambda a: ensure_run(a, KIND, "c1", attempt=IN_DOUBT),
        lambda request: invisible(request, on_start=error(422)),
        10,
    ),
    "a start, responses lost, run never found": (
        lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT),
        lambda request: invisible(request, on_start=response(500)),
        60,
    ),
    "an active run, never found": (
        lambda a: ensure_run(a, KIND, "c1", attempt=ATTEMPT),
        lambda request: invisible(request, on_start=accepted(status=303)),
        10,
    ),
    "the newest run": (lambda a: poll_newest_run(a, KIND, "c1", SINCE), error(500), 20),
    "a wait, run continues": (lambda a: wait(a, HOUR), run(), 120),
    "a wait, responses unreadable": (lambda a: wait(a, HOUR), response(200, b"x"), 60),
    "a wait, not found": (lambda a: wait(a, HOUR), error(404), 10),
    "a poll, responses unreadable": (lambda a: poll_once(a, HOUR), response(200, b"x"), 60),
    "a list of full pages": (all_pages, page(100, promises=False), 2_000),
    "a list of short pages that promises more": (all_pages, page(1, promises=True), 2_000),
    "a list of empty pages that promises more": (all_pages, page(0, promises=True), 1),
    "a list whose pages repeat": (all_pages, repeated_pages(7), 8),
    "a feed, endless list": (
        lambda a: poll_finished_runs(a, KIND, "c1", None),
        lambda request: (
            page(1, promises=True)(request)
            if request.url.partition("?")[0].endswith("/runs")
            else run()
            if "/runs/" in request.url
            else connection("nowhere")
        ),
        400,
    ),
}
"""The flow that loops, the response of the service to every request, and the largest number of requests."""


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_ends_after_a_bounded_number_of_requests(name: str) -> None:
    make, answer, most = LOOPS[name]
    script = ScriptedService(always=answer)

    try:
        script.play(make(script.account()))
    except ITwinError as ended:
        assert len(str(ended)) > 20  # noqa: PT017 (whether it raises is not the point)

    assert 1 <= len(script.requests) <= most


@pytest.mark.parametrize("name", LOOPS)
def test_at_most_a_few_requests_are_sent_without_a_pause(name: str) -> None:
    make, answer, most = LOOPS[name]
    if "list" in name:
        most = 2_001
    script = ScriptedService(always=answer)

    with contextlib.suppress(ITwinError):
        script.play(make(script.account()))

    turns = len([pause for pause in script.seconds if pause > 0]) + 1
    assert len(script.requests) <= (most if "list" in name else 4 * turns)


def test_an_endless_list_is_an_error() -> None:
    script = ScriptedService(always=page(100, promises=False))

    with pytest.raises(ITwinError, match="more than 2,000 pages"):
        script.play(all_pages(script.account()))


def test_a_token_that_expires_at_once_is_renewed_once_for_each_request() -> None:
    script = ScriptedService(always=error(401), tokens=[Token(f"t{number}", renew_at=0.0) for number in range(50)])

    with pytest.raises(ITwinError):
        script.play(perform_call(script.account(), endpoints.get_connection(KIND, "c1")))

    assert len(script.authorizations) == 2


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_pauses_of_a_queue_grow_from_seconds_to_minutes(chance: float) -> None:
    pauses = [queue_pause(turn, chance) for turn in range(1, 2000)]

    assert 2.0 <= pauses[0] <= 5.0
    assert pauses == sorted(pauses)
    assert LONGEST_QUEUE_PAUSE / 2 <= pauses[-1] <= LONGEST_QUEUE_PAUSE
