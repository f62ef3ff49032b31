"""Which errors a call retries, for how long, and with which pauses."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinConflictError,
    ITwinConnectionError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinRateLimitError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.messages import Call, NoResponse, Response
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.responses import SILENCE, accepted, error, finished, response
from tests.api.scripted_service import Answer, ScriptedService

LOOK = endpoints.get_run(ConnectionKind.STORAGE, "c1", "r1")
START = endpoints.start_run(ConnectionKind.STORAGE, "c1")

PASSING = [
    pytest.param(SILENCE, ITwinConnectionError, id="no answer"),
    pytest.param(error(500), ITwinServerError, id="500"),
    pytest.param(error(502), ITwinServerError, id="502"),
    pytest.param(error(503), ITwinServerError, id="503"),
    pytest.param(error(504), ITwinServerError, id="504"),
    pytest.param(response(599), ITwinServerError, id="599"),
    pytest.param(error(429), ITwinRateLimitError, id="429"),
    pytest.param(response(408), ITwinConnectionError, id="408"),
    pytest.param(response(425), ITwinServerError, id="425"),
    pytest.param(response(200, b""), ITwinProtocolError, id="200 without a body"),
    pytest.param(response(200, b'{"run":{"id":"r1","state":"Exec'), ITwinProtocolError, id="200 with half a body"),
    pytest.param(response(200, b"<html>login</html>"), ITwinProtocolError, id="200 with HTML"),
    pytest.param(response(200, [1, "two", None]), ITwinProtocolError, id="200 with a list"),
    pytest.param(response(200, {}), ITwinProtocolError, id="200 without a run"),
    pytest.param(response(200, {"run": None}), ITwinProtocolError, id="200 with a run of null"),
    pytest.param(response(200, b"\xff\xfe\x00"), ITwinProtocolError, id="200 with bytes"),
    pytest.param(response(204), ITwinProtocolError, id="204"),
    pytest.param(response(304), ITwinProtocolError, id="304"),
    pytest.param(response(302, location="https://elsewhere.example/x"), ITwinProtocolError, id="redirect elsewhere"),
]

FINAL = [
    pytest.param(error(400), ITwinInvalidRequestError, id="400"),
    pytest.param(error(403), ITwinPermissionError, id="403"),
    pytest.param(error(404), ITwinNotFoundError, id="404"),
    pytest.param(error(406), ITwinInvalidRequestError, id="406"),
    pytest.param(error(410), ITwinNotFoundError, id="410"),
    pytest.param(error(409), ITwinConflictError, id="409 where it does not pass"),
    pytest.param(error(422), ITwinInvalidRequestError, id="422"),
]


def failed(script: ScriptedService, call: Call[Any], retry_budget: float = DEFAULT_RETRY_BUDGET) -> ITwinError:
    with pytest.raises(ITwinError) as caught:
        script.play(perform_call(script.account(), call, retry_budget))
    return caught.value


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_trouble_that_passes_is_ridden_out(failure: Answer, meaning: type[ITwinError]) -> None:
    script = ScriptedService(failure, failure, failure, finished())

    assert script.play(perform_call(script.account(), LOOK)).result == "Success"
    assert len(set(script.lines)) == 1
    assert [type(pause.error) for pause in script.pauses] == [meaning] * 3


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_trouble_that_does_not_pass_is_raised_when_patience_ends(failure: Answer, meaning: type[ITwinError]) -> None:
    script = ScriptedService(always=failure)

    raised = failed(script, LOOK, retry_budget=100.0)

    assert type(raised) is meaning
    assert raised.transient
    assert script.passed == pytest.approx(100.0)
    assert f"(gave up after {len(script.requests)} attempts in 100 s)" in str(raised)
    assert (raised.method, raised.url) == (
        "GET",
        "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/r1",
    )


@pytest.mark.parametrize(("failure", "meaning"), PASSING)
def test_no_patience_means_one_try(failure: Answer, meaning: type[ITwinError]) -> None:
    script = ScriptedService(failure)

    raised = failed(script, LOOK, retry_budget=0.0)

    assert type(raised) is meaning
    assert script.pauses == []
    assert "times" not in str(raised)


@pytest.mark.parametrize(("failure", "meaning"), FINAL)
def test_a_refusal_is_raised_at_once(failure: Response, meaning: type[ITwinError]) -> None:
    script = ScriptedService(failure)

    raised = failed(script, LOOK)

    assert type(raised) is meaning
    assert not raised.transient
    assert raised.status == failure.status
    assert script.pauses == []


def test_a_call_without_trouble_makes_no_pause() -> None:
    script = ScriptedService(finished())

    script.play(perform_call(script.account(), LOOK))

    assert script.pauses == []
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("chance", "expected"), [(0.0, [0.5, 1, 2, 4, 8, 16, 30, 30]), (1.0, [1, 2, 4, 8, 16, 32, 60, 60])]
)
def test_pauses_double_up_to_a_minute_and_vary_by_half(chance: float, expected: list[float]) -> None:
    script = ScriptedService(*[SILENCE] * 8, finished(), chance=chance)

    script.play(perform_call(script.account(), LOOK, retry_budget=1000.0))

    assert script.seconds == pytest.approx(expected)


def test_pauses_stay_bounded_through_a_very_long_outage() -> None:
    script = ScriptedService(*[SILENCE] * 2000, finished(), chance=1.0)

    script.play(perform_call(script.account(), LOOK, retry_budget=1e9))

    assert max(script.seconds) == pytest.approx(60.0)


def test_the_last_try_is_made_when_patience_ends_and_not_before() -> None:
    script = ScriptedService(always=SILENCE, chance=1.0)

    failed(script, LOOK, retry_budget=10.0)

    assert script.seconds == pytest.approx([1, 2, 4, 3])


def test_the_time_that_requests_take_counts() -> None:
    script = ScriptedService(always=SILENCE, takes=60.0)

    failed(script, LOOK, retry_budget=100.0)

    assert len(script.requests) == 2


def test_a_conflict_passes_where_a_run_is_being_started() -> None:
    script = ScriptedService(
        error(409, "ConflictWithAnotherIModelRequest"), error(409, "IModelAlreadyProcessingRequest"), accepted()
    )

    answer = script.play(perform_call(script.account(), START))

    assert answer.created
    assert all(isinstance(pause.error, ITwinConflictError) for pause in script.pauses)
    assert len(script.pauses) == 2


def test_a_conflict_ends_with_the_run_that_got_there_first() -> None:
    script = ScriptedService(error(409), accepted("/runs/elsewhere/other", status=303))

    answer = script.play(perform_call(script.account(), START))

    assert not answer.created
    assert answer.location == "/runs/elsewhere/other"


def test_a_conflict_that_stays_is_raised_when_patience_ends() -> None:
    script = ScriptedService(
        always=error(409, "ConflictWithAnotherIModelRequest", "The iModel is already processing this request.")
    )

    raised = failed(script, START, retry_budget=30.0)

    assert type(raised) is ITwinConflictError
    assert raised.code == "ConflictWithAnotherIModelRequest"
    assert script.passed == pytest.approx(30.0)


def test_different_troubles_share_one_patience() -> None:
    script = ScriptedService(SILENCE, error(503), error(429), response(200, b"{"), always=error(500), chance=1.0)

    raised = failed(script, LOOK, retry_budget=60.0)

    assert raised.status == 500
    assert script.seconds == pytest.approx([1, 2, 4, 8, 16, 29])


def test_the_reason_for_no_answer_is_told() -> None:
    script = ScriptedService(NoResponse("ConnectTimeout: no route"))

    raised = failed(script, LOOK, retry_budget=0.0)

    assert str(raised) == (
        "get-storage-connection-run got no complete response: ConnectTimeout: no route. Request: GET "
        "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/r1. If this lasts, check host in the Airflow "
        "connection: timeout."
    )


def test_an_unreadable_answer_is_located() -> None:
    script = ScriptedService(response(200, b"[]", x_correlation_id="0af7-71"))

    raised = failed(script, LOOK, retry_budget=0.0)

    assert (raised.status, raised.correlation_id, raised.method) == (200, "0af7-71", "GET")
    assert "without the expected content (run)" in str(raised)
