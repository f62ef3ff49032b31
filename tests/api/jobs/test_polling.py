"""Polling a job: its progress, and what is requested once it has ended."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConnectionError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages
from airflow_provider_itwin.api.jobs.polling import JobPollResult, poll_job
from tests.api.jobs.job_apis import API, REF, state, thing
from tests.api.responses import SILENCE, error, response
from tests.api.scripted_service import ScriptedService

ALL = thing(
    details="GET /things/{job_id}/all",
    messages=JobMessages(get="GET /things/{job_id}/messages", errors=("errors",)),
    result="GET /things/{job_id}/report",
)
DETAILS = {"thing": {"state": "Done", "more": 1}}
MESSAGES: dict[str, Any] = {"errors": []}
REPORT = {"report": 5}


def polled(job: JobDefinition, *answers: Any, retry_budget: float = 0) -> JobPollResult:
    """Poll a job once."""
    script = ScriptedService(*answers)
    return script.play(poll_job(script.account(), job, REF, retry_budget))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (55, 55.0),
        (55.5, 55.5),
        (100, 100.0),
        (150, 100.0),
        (-3, 0.0),
        (10**400, None),
        (None, None),
        ("55", None),
        (True, None),
        ([55], None),
    ],
)
def test_progress_is_a_percentage(value: Any, expected: float | None) -> None:
    result = polled(thing(progress="thing.percentage"), state("Active", percentage=value))

    assert (result.summary.progress, result.summary.outcome, result.run) == (expected, "running", None)


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (1, 3, 33.3),
        (0, 7, 0.0),
        (7, 7, 100.0),
        (9, 7, 100.0),
        (-1, 7, 0.0),
        (1, 0, None),
        (1, -7, None),
        (None, 7, None),
        (1, None, None),
        ("1", 7, None),
        (1e308, 1e308, 100.0),
        (1e308, 1e-308, 100.0),
        (10**400, 7, None),
        (True, 7, None),
    ],
)
def test_progress_is_a_number_and_its_total(done: Any, total: Any, expected: float | None) -> None:
    job = thing(progress=("thing.done", "thing.total"))

    assert polled(job, state("Active", done=done, total=total)).summary.progress == expected


def test_without_a_path_there_is_no_progress() -> None:
    assert polled(thing(), state("Active", progress=5)).summary.progress is None


@pytest.mark.parametrize("text", ["Pondering", "x" * 500, "Done?", "\u202eDone"])
def test_a_job_in_an_unknown_state_has_not_ended(text: str) -> None:
    result = polled(thing(), state(text))

    assert (result.summary.outcome, result.summary.is_finished, result.run) == (None, False, None)
    assert len(result.summary.state) <= 40


def test_a_long_state_is_shortened_only_for_people() -> None:
    long = "SucceededAfterAllOfTheWorkersHaveAgreedOnTheResult"

    result = polled(thing(passed=(long,)), state(long))

    assert (result.summary.outcome, len(result.summary.state)) == ("passed", 40)


def test_a_job_that_runs_takes_one_request() -> None:
    assert polled(ALL, state("Active")).run is None


def test_everything_is_requested_once_the_job_has_ended() -> None:
    script = ScriptedService(state("done"), *(response(200, body) for body in (DETAILS, MESSAGES, REPORT)))

    result = script.play(poll_job(script.account(), ALL, REF))

    assert result.run is not None
    assert (result.run.details, result.run.messages, result.run.result) == (DETAILS, MESSAGES, REPORT)
    assert script.lines == [f"GET {API}/things/t1{path}" for path in ("", "/all", "/messages", "/report")]


def test_the_result_of_a_failed_job_is_not_requested() -> None:
    result = polled(ALL, state("Failed"), response(200, DETAILS), response(200, MESSAGES))

    assert result.run is not None
    assert (result.summary.outcome, result.run.result) == ("failed", None)


def test_the_result_is_read_from_the_details() -> None:
    job = thing(details="GET /things/{job_id}/all", result="thing.more")

    result = polled(job, state("Done", more="of the poll"), response(200, DETAILS))

    assert result.run is not None
    assert result.run.result == 1


@pytest.mark.parametrize("place", [1, 2, 3], ids=["details", "messages", "result"])
@pytest.mark.parametrize(
    "answer",
    [error(404), error(403), error(422), response(204), response(200, b"[" * 100_000), response(200, b"[1," * 200_000)],
    ids=["404", "403", "422", "204", "deep", "large"],
)
def test_a_further_request_without_an_answer_does_not_hide_how_the_job_ended(
    place: int, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [state("Done", mark=1), response(200, DETAILS), response(200, MESSAGES), response(200, REPORT)]
    answers[place] = answer
    expected: list[Any] = [None, DETAILS, MESSAGES, REPORT]
    expected[place] = {"thing": {"state": "Done", "mark": 1}} if place == 1 else None

    result = polled(ALL, *answers)

    assert result.run is not None
    assert result.summary.outcome == "passed"
    assert [result.run.details, result.run.messages, result.run.result] == expected[1:]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "thing t1 has ended, but the service does not return" in record.message


@pytest.mark.parametrize("place", [1, 2, 3], ids=["details", "messages", "result"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(503), ITwinServerError),
        (SILENCE, ITwinConnectionError),
        (response(200, b"<html>"), ITwinProtocolError),
        (response(404, b"<html>"), ITwinProtocolError),
    ],
)
def test_a_temporary_error_of_a_further_request_is_retried(place: int, answer: Any, kind: type[Exception]) -> None:
    answers = [state("Done"), response(200, DETAILS), response(200, MESSAGES), response(200, REPORT)]

    result = polled(ALL, *answers[:place], answer, *answers[place:], retry_budget=60)
    assert result.run is not None
    assert (result.run.details, result.run.messages, result.run.result) == (DETAILS, MESSAGES, REPORT)

    with pytest.raises(kind):
        polled(ALL, *answers[:place], answer)


def test_refused_credentials_are_an_error_and_no_missing_answer() -> None:
    with pytest.raises(ITwinAuthenticationError):
        polled(ALL, state("Done"), error(401), error(401))


@pytest.mark.parametrize("body", [[], "x", None, 5])
def test_details_that_are_no_object_are_those_of_the_poll(body: Any) -> None:
    job = thing(details="GET /things/{job_id}/all")

    result = polled(job, state("Done"), response(200, b"null" if body is None else body))

    assert result.run is not None
    assert result.run.details == {"thing": {"state": "Done"}}
