"""Fault while waiting is not the run's trouble: it is ridden out as long as is tolerated, and what is final ends the wait."""

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
"""A run that has ended, as far as its beginning tells; the rest is no JSON."""

PASSING = [
    pytest.param(SILENCE, ITwinConnectionError, id="no answer"),
    pytest.param(error(500), ITwinServerError, id="500"),
    pytest.param(error(429), ITwinRateLimitError, id="429"),
    pytest.param(response(200, b"<html>"), ITwinProtocolError, id="HTML"),
    pytest.param(response(200, {}), ITwinProtocolError, id="no run in it"),
    pytest.param(response(302, location="/login"), ITwinProtocolError, id="redirect"),
    pytest.param(BROKEN_END, ITwinProtocolError, id="half readable"),
    pytest.param(response(200, {"run": {}}), ITwinProtocolError, id="a run without a state"),
    pytest.param(
        response(200, {"run": {"id": "r1", "state": ["Completed"]}}), ITwinProtocolError, id="a state that is none"
    ),
]


def spec(**details: Any) -> WaitSpec:
    usual: dict[str, Any] = {"kind": ConnectionKind.STORAGE, "connection_id": "c1", "run_id": "r1", "began": WALL}
    return WaitSpec(**usual | details)


def waited(script: ScriptedService, **details: Any) -> WaitResult:
    return script.play(wait(script.account(), spec(**details)))


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_trouble_that_passes_delays_the_wait(failure: Response | NoResponse, meaning: type[ITwinError]) -> None:
    script = ScriptedService(run(), failure, failure, failure, run(), failure, finished(), chance=1.0)

    outcome = waited(script)

    assert (outcome.end, outcome.error, outcome.polls) == (WaitEnd.FINISHED, None, 7)
    assert script.seconds == pytest.approx([10.0, 1, 2, 4, 10.0, 1])


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_trouble_that_lasts_longer_than_tolerated_is_an_outage(
    failure: Response | NoResponse, meaning: type[ITwinError]
) -> None:
    script = ScriptedService(run("Queued"), always=failure)

    outcome = waited(script, outage_tolerance=600.0)

    assert (outcome.end, outcome.ref, outcome.state, outcome.run) == (WaitEnd.OUTAGE, REF, "Queued", None)
    assert type(outcome.error) is meaning
    assert outcome.elapsed == pytest.approx(10.0 + 600.0)


def test_one_good_answer_starts_the_count_anew() -> None:
    script = ScriptedService(*[SILENCE] * 8, run(), *[SILENCE] * 8, run(), *[SILENCE] * 8, finished())

    outcome = waited(script, outage_tolerance=200.0)

    assert outcome.end is WaitEnd.FINISHED
    assert outcome.elapsed > 200.0


def test_no_tolerance_means_that_the_first_trouble_is_an_outage() -> None:
    script = ScriptedService(SILENCE)

    assert waited(script, outage_tolerance=0.0).end is WaitEnd.OUTAGE


def test_the_service_is_given_the_time_that_it_asks_for() -> None:
    script = ScriptedService(error(429, retry_after="45"), error(503, retry_after="90"), finished(), chance=0.0)

    waited(script)

    assert script.seconds == pytest.approx([45.0, 90.0])


def test_an_absurd_wish_is_not_obeyed_forever() -> None:
    script = ScriptedService(error(429, retry_after="86400"), finished(), chance=0.0)

    waited(script)

    assert script.seconds == pytest.approx([300.0])


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_the_time_limit_comes_before_the_end_of_tolerance(
    failure: Response | NoResponse, meaning: type[ITwinError]
) -> None:
    script = ScriptedService(run("Queued"), always=failure)

    outcome = waited(script, deadline=WALL + 100.0)

    assert (outcome.end, outcome.state) == (WaitEnd.DEADLINE, "Queued")
    assert type(outcome.error) is meaning
    assert 100.0 <= outcome.elapsed <= 130.0


def test_a_run_that_ended_in_time_is_seen_through_trouble_at_the_time_limit() -> None:
    script = ScriptedService(SILENCE, SILENCE, finished())

    assert waited(script, deadline=WALL - 3600.0).end is WaitEnd.FINISHED


def test_patience_after_the_time_limit_is_short_whatever_the_service_asks_for() -> None:
    script = ScriptedService(always=error(429, retry_after="300"))

    outcome = waited(script, deadline=WALL - 1.0)

    assert outcome.end is WaitEnd.DEADLINE
    assert isinstance(outcome.error, ITwinRateLimitError)
    assert outcome.elapsed <= 30.0


def test_trouble_long_before_the_time_limit_is_told_with_it() -> None:
    script = ScriptedService(always=SILENCE)

    outcome = waited(script, deadline=WALL + 50.0)

    assert outcome.end is WaitEnd.DEADLINE
    assert isinstance(outcome.error, ITwinConnectionError)


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
def test_a_refusal_at_the_start_ends_the_wait_at_once(answers: list[Response], meaning: type[ITwinError]) -> None:
    script = ScriptedService(*answers)

    outcome = waited(script)

    assert outcome.end is WaitEnd.REFUSED
    assert isinstance(outcome.error, meaning)
    assert script.pauses == []


def test_a_refused_token_is_renewed() -> None:
    script = ScriptedService(run(), error(401), run(), finished())

    assert waited(script).end is WaitEnd.FINISHED


def test_a_run_that_is_not_found_yet_is_looked_for_during_the_first_minute() -> None:
    missing = documented("get-storage-connection-run", 404)
    script = ScriptedService(*[missing] * 5, run(), finished())

    assert waited(script).end is WaitEnd.FINISHED


def test_a_run_that_is_not_found_after_the_first_minute_is_not_there() -> None:
    script = ScriptedService(always=documented("get-storage-connection-run", 404))

    outcome = waited(script)

    assert outcome.end is WaitEnd.REFUSED
    assert isinstance(outcome.error, ITwinNotFoundError)
    assert outcome.elapsed == pytest.approx(60.0)


def test_a_run_that_is_not_found_yet_at_the_time_limit() -> None:
    script = ScriptedService(always=error(404))

    outcome = waited(script, deadline=WALL + 15.0)

    assert outcome.end is WaitEnd.DEADLINE
    assert isinstance(outcome.error, ITwinNotFoundError)


@pytest.mark.parametrize("status", [403, 404])
def test_anothers_run_that_cannot_be_seen_is_waited_for_once(status: int) -> None:
    script = ScriptedService(run("Executing"), error(status), error(status), chance=0.5)

    outcome = waited(script, queued=True, began=WALL - 3600.0)

    assert outcome.end is WaitEnd.UNSEEN
    assert outcome.state == "Executing"
    assert script.seconds == [120.0, 120.0]


@pytest.mark.parametrize("status", [403, 404])
def test_anothers_run_that_can_be_seen_again_is_waited_for(status: int) -> None:
    script = ScriptedService(error(status), run(), error(status), finished())

    assert waited(script, queued=True).end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", [403, 404])
def test_the_time_limit_holds_for_anothers_run_too(status: int) -> None:
    script = ScriptedService(error(status))

    assert waited(script, queued=True, deadline=WALL).end is WaitEnd.DEADLINE


def test_other_refusals_end_the_wait_for_anothers_run() -> None:
    script = ScriptedService(error(422))

    assert waited(script, queued=True).end is WaitEnd.REFUSED


@pytest.mark.parametrize(
    ("no_token", "end"),
    [(ITwinServerError("issuer down"), WaitEnd.OUTAGE), (ITwinAuthenticationError("wrong secret"), WaitEnd.REFUSED)],
)
def test_a_token_that_cannot_be_had_is_trouble_like_any_other(no_token: ITwinError, end: WaitEnd) -> None:
    script = ScriptedService(tokens=[no_token] * 100)

    outcome = waited(script, outage_tolerance=100.0)

    assert outcome.end is end
    assert outcome.error is no_token


def test_trouble_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    script = ScriptedService(
        run("Executing"), *[error(503, "ServiceUnavailable")] * 5, run("Executing"), finished(), chance=1.0
    )

    waited(script)

    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 4
    assert texts[1].startswith("A poll of run r1 of storage connection c1 failed; retrying in 1.0 s. ")
    assert "ServiceUnavailable" in texts[1]
    assert texts[2] == "The service answers again for run r1 of storage connection c1, after 31 s"
