"""Errors during a wait: transient ones are retried within the outage tolerance, permanent ones end the wait."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConnectionError,
    ITwinError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinRateLimitError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.messages import NoResponse, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.waiter import (
    WaitEnd,
    WaitResult,
    WaitSpec,
    wait,
)
from tests.api.responses import SILENCE, documented, error, finished, response, run
from tests.api.scripted_service import WALL, ScriptedService

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")

BROKEN_END = response(200, b'{"run":{"id":"r1","state":"Completed","jobs":[{"id":"\\q"}]}}')
"""A finished run in its first members; the rest is not JSON."""

PASSING = [
    pytest.param(SILENCE, ITwinConnectionError, id="no response"),
    pytest.param(error(500), ITwinServerError, id="500"),
    pytest.param(error(429), ITwinRateLimitError, id="429"),
    pytest.param(response(200, b"<html>"), ITwinProtocolError, id="HTML"),
    pytest.param(response(200, {}), ITwinProtocolError, id="without a run"),
    pytest.param(response(302, location="/login"), ITwinProtocolError, id="redirect"),
    pytest.param(BROKEN_END, ITwinProtocolError, id="partly JSON"),
    pytest.param(response(200, {"run": {}}), ITwinProtocolError, id="a run without a state"),
    pytest.param(
        response(200, {"run": {"id": "r1", "state": ["Completed"]}}), ITwinProtocolError, id="a state that is a list"
    ),
]


def spec(**details: Any) -> WaitSpec:
    usual: dict[str, Any] = {"kind": ConnectionKind.STORAGE, "connection_id": "c1", "run_id": "r1", "began": WALL}
    return WaitSpec(**usual | details)


def wait_result(script: ScriptedService, **details: Any) -> WaitResult:
    return script.play(wait(script.account(), spec(**details)))


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_a_transient_error_delays_the_wait(failure: Response | NoResponse, meaning: type[ITwinError]) -> None:
    script = ScriptedService(run(), failure, failure, failure, run(), failure, finished(), chance=1.0)

    result = wait_result(script)

    assert (result.end, result.error, result.polls) == (WaitEnd.FINISHED, None, 7)
    assert script.seconds == pytest.approx([10.0, 1, 2, 4, 10.0, 1])


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_transient_errors_beyond_the_outage_tolerance_are_an_outage(
    failure: Response | NoResponse, meaning: type[ITwinError]
) -> None:
    script = ScriptedService(run("Queued"), always=failure)

    result = wait_result(script, outage_tolerance=600.0)

    assert (result.end, result.ref, result.state, result.run) == (WaitEnd.OUTAGE, REF, "Queued", None)
    assert type(result.error) is meaning
    assert result.elapsed == pytest.approx(10.0 + 600.0)


def test_a_good_response_resets_the_outage_tolerance() -> None:
    script = ScriptedService(*[SILENCE] * 8, run(), *[SILENCE] * 8, run(), *[SILENCE] * 8, finished())

    result = wait_result(script, outage_tolerance=200.0)

    assert result.end is WaitEnd.FINISHED
    assert result.elapsed > 200.0


def test_without_outage_tolerance_the_first_error_is_an_outage() -> None:
    script = ScriptedService(SILENCE)

    assert wait_result(script, outage_tolerance=0.0).end is WaitEnd.OUTAGE


def test_retry_after_is_honoured() -> None:
    script = ScriptedService(error(429, retry_after="45"), error(503, retry_after="90"), finished(), chance=0.0)

    wait_result(script)

    assert script.seconds == pytest.approx([45.0, 90.0])


def test_retry_after_is_limited() -> None:
    script = ScriptedService(error(429, retry_after="86400"), finished(), chance=0.0)

    wait_result(script)

    assert script.seconds == pytest.approx([300.0])


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_the_deadline_precedes_the_end_of_the_outage_tolerance(
    failure: Response | NoResponse, meaning: type[ITwinError]
) -> None:
    script = ScriptedService(run("Queued"), always=failure)

    result = wait_result(script, deadline=WALL + 100.0)

    assert (result.end, result.state) == (WaitEnd.DEADLINE, "Queued")
    assert type(result.error) is meaning
    assert 100.0 <= result.elapsed <= 130.0


def test_errors_at_the_deadline_are_retried_until_the_run_is_found_finished() -> None:
    script = ScriptedService(SILENCE, SILENCE, finished())

    assert wait_result(script, deadline=WALL - 3600.0).end is WaitEnd.FINISHED


def test_retries_after_the_deadline_are_short_whatever_the_retry_after() -> None:
    script = ScriptedService(always=error(429, retry_after="300"))

    result = wait_result(script, deadline=WALL - 1.0)

    assert result.end is WaitEnd.DEADLINE
    assert isinstance(result.error, ITwinRateLimitError)
    assert result.elapsed <= 30.0


def test_the_result_of_a_deadline_has_the_last_error() -> None:
    script = ScriptedService(always=SILENCE)

    result = wait_result(script, deadline=WALL + 50.0)

    assert result.end is WaitEnd.DEADLINE
    assert isinstance(result.error, ITwinConnectionError)


@pytest.mark.parametrize(
    ("answers", "meaning"),
    [
        ([error(403)], ITwinPermissionError),
        ([documented("get-storage-connection-run", 422)], ITwinError),
        ([error(400)], ITwinError),
        ([error(409)], ITwinError),
        ([error(401), error(401)], ITwinAuthenticationError),
    ],
)
def test_a_refusal_without_an_earlier_good_response_ends_the_wait_at_once(
    answers: list[Response], meaning: type[ITwinError]
) -> None:
    script = ScriptedService(*answers)

    result = wait_result(script)

    assert result.end is WaitEnd.REFUSED
    assert isinstance(result.error, meaning)
    assert script.pauses == []


def test_a_refused_token_is_renewed() -> None:
    script = ScriptedService(run(), error(401), run(), finished())

    assert wait_result(script).end is WaitEnd.FINISHED


def test_a_run_that_is_not_found_is_polled_for_the_first_minute() -> None:
    missing = documented("get-storage-connection-run", 404)
    script = ScriptedService(*[missing] * 5, run(), finished())

    assert wait_result(script).end is WaitEnd.FINISHED


def test_a_run_that_is_not_found_after_the_first_minute_is_refused() -> None:
    script = ScriptedService(always=documented("get-storage-connection-run", 404))

    result = wait_result(script)

    assert result.end is WaitEnd.REFUSED
    assert isinstance(result.error, ITwinNotFoundError)
    assert result.elapsed == pytest.approx(60.0)


def test_a_run_that_is_not_found_at_the_deadline_ends_the_wait_with_the_deadline() -> None:
    script = ScriptedService(always=error(404))

    result = wait_result(script, deadline=WALL + 15.0)

    assert result.end is WaitEnd.DEADLINE
    assert isinstance(result.error, ITwinNotFoundError)


@pytest.mark.parametrize("status", [403, 404])
def test_a_queued_wait_for_a_run_that_cannot_be_polled_ends_at_the_second_refusal(status: int) -> None:
    script = ScriptedService(run("Executing"), error(status), error(status), chance=0.5)

    result = wait_result(script, queued=True, began=WALL - 3600.0)

    assert result.end is WaitEnd.UNSEEN
    assert result.state == "Executing"
    assert script.seconds == [120.0, 120.0]


@pytest.mark.parametrize("status", [403, 404])
def test_a_queued_wait_continues_if_the_run_can_be_polled_again(status: int) -> None:
    script = ScriptedService(error(status), run(), error(status), finished())

    assert wait_result(script, queued=True).end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", [403, 404])
def test_a_queued_wait_has_a_deadline_too(status: int) -> None:
    script = ScriptedService(error(status))

    assert wait_result(script, queued=True, deadline=WALL).end is WaitEnd.DEADLINE


def test_any_other_refusal_ends_a_queued_wait() -> None:
    script = ScriptedService(error(422))

    assert wait_result(script, queued=True).end is WaitEnd.REFUSED


@pytest.mark.parametrize(
    ("no_token", "end"),
    [(ITwinServerError("issuer down"), WaitEnd.OUTAGE), (ITwinAuthenticationError("wrong secret"), WaitEnd.REFUSED)],
)
def test_an_error_of_the_token_endpoint_counts_as_an_error_of_the_poll(no_token: ITwinError, end: WaitEnd) -> None:
    script = ScriptedService(tokens=[no_token] * 100)

    result = wait_result(script, outage_tolerance=100.0)

    assert result.end is end
    assert result.error is no_token


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    script = ScriptedService(
        run("Executing"), *[error(503, "ServiceUnavailable")] * 5, run("Executing"), finished(), chance=1.0
    )

    wait_result(script)

    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 4
    assert texts[1].startswith("A poll of run r1 of storage connection c1 failed; retrying in 1.0 s. ")
    assert "ServiceUnavailable" in texts[1]
    assert texts[2] == "Polling run r1 of storage connection c1 works again after 31 s"
