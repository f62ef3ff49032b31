"""Only an error of the service's own shape is a refusal; any other answer comes from something in between, and passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.http.error_mapping import map_error
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.http.request_flow import obtain_token, perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs.endpoints import get_run
from tests.api.responses import finished, response
from tests.api.scripted_service import CREDENTIALS, ScriptedService

REQUEST = Request("GET", "https://api.bentley.com/x", {})
CALL = get_run(ConnectionKind.STORAGE, "c1", "r1")
TOKEN = {"access_token": "t0ken", "expires_in": 3600}

REFUSALS = {
    400: ITwinInvalidRequestError,
    401: ITwinAuthenticationError,
    403: ITwinPermissionError,
    404: ITwinNotFoundError,
    405: ITwinInvalidRequestError,
    406: ITwinInvalidRequestError,
    407: ITwinInvalidRequestError,
    409: ITwinConflictError,
    410: ITwinNotFoundError,
    413: ITwinInvalidRequestError,
    415: ITwinInvalidRequestError,
    422: ITwinInvalidRequestError,
    431: ITwinInvalidRequestError,
    451: ITwinInvalidRequestError,
}

FOREIGN: dict[str, Any] = {
    "no body": b"",
    "blanks": b"  \r\n",
    "an HTML page": b"<!DOCTYPE html><title>Forbidden</title>",
    "text": b"upstream connect error or disconnect/reset before headers",
    "half an error": b'{"error": {"code": "Forbid',
    "a list": [],
    "a text": '"Forbidden"',
    "null": None,
    "an empty object": {},
    "API management": {"statusCode": 401, "message": "Unauthorized. Access token is missing or invalid."},
    "an ingress": {"message": "no Route matched with those values"},
    "a cloud load balancer": {"error": {"code": 404, "message": "Not found", "status": "NOT_FOUND"}},
    "a problem document": {"type": "about:blank", "title": "Forbidden", "status": 403},
    "an error without a code": {"error": {"message": "m"}},
    "an error with an empty code": {"error": {"code": "", "message": "m"}},
    "an error that is null": {"error": None},
    "an error that is a list": {"error": [{"code": "X"}]},
    "a bare code": {"code": "Forbidden"},
    "another letter case": {"Error": {"Code": "Forbidden"}},
    "XML": b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>",
}
"""What gateways, proxies and sign-in pages answer."""


def body_of(name: str) -> bytes:
    body = FOREIGN[name]
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("status", REFUSALS)
def test_an_error_of_the_services_own_shape_is_a_refusal(status: int) -> None:
    error = map_error(response(status, {"error": {"code": "SomeCode"}}), REQUEST, "get", CREDENTIALS)

    assert type(error) is REFUSALS[status]
    assert not error.transient


@pytest.mark.parametrize("status", REFUSALS)
def test_only_a_401_may_lack_the_error_object_as_it_did_in_2021(status: int) -> None:
    error = map_error(response(status, {"code": "HeaderNotFound", "message": "m"}), REQUEST, "get", CREDENTIALS)

    assert type(error) is (ITwinAuthenticationError if status == 401 else ITwinProtocolError)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("status", REFUSALS)
def test_any_other_answer_passes(status: int, name: str) -> None:
    error = map_error(response(status, body_of(name)), REQUEST, "get", CREDENTIALS)

    assert type(error) is ITwinProtocolError
    assert error.transient
    assert "a gateway, a proxy or a sign-in page may have responded" in str(error)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("status", REFUSALS)
def test_a_call_rides_out_what_stands_in_between(status: int, name: str) -> None:
    answer = response(status, body_of(name))
    script = ScriptedService(answer, answer, finished())

    assert script.play(perform_call(script.account(), CALL)).result == "Success"


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("status", REFUSALS)
def test_the_token_request_rides_out_what_stands_in_between(status: int, name: str) -> None:
    answer = response(status, body_of(name))
    script = ScriptedService(answer, answer, response(200, TOKEN))

    assert script.play(obtain_token(script.account(), CREDENTIALS)).value == "t0ken"


@pytest.mark.parametrize("body", [{"error": "invalid_client"}, {"error": {"code": "InvalidClient"}}])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_the_issuer_refuses_in_the_shape_of_oauth_or_in_that_of_the_api(status: int, body: object) -> None:
    script = ScriptedService(response(status, body))

    with pytest.raises(ITwinAuthenticationError):
        script.play(obtain_token(script.account(), CREDENTIALS))


def test_the_api_does_not_refuse_in_the_shape_of_oauth() -> None:
    error = map_error(response(403, {"error": "forbidden"}), REQUEST, "get", CREDENTIALS)

    assert type(error) is ITwinProtocolError


@pytest.mark.parametrize("location", ["https://evil.example/", "/login", "https://[", ""])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_a_redirect_is_no_refusal_either(status: int, location: str) -> None:
    script = ScriptedService(response(status, location=location), finished())

    assert script.play(perform_call(script.account(), CALL)).result == "Success"


def refused_token(script: ScriptedService) -> ITwinError | None:
    try:
        script.play(perform_call(script.account(), CALL, retry_budget=0.0))
    except ITwinError as error:
        return error
    return None


@pytest.mark.parametrize("name", FOREIGN)
def test_a_401_of_any_shape_is_answered_with_a_new_token_once(name: str) -> None:
    answer = response(401, body_of(name))

    assert refused_token(ScriptedService(answer, finished())) is None
    assert type(refused_token(ScriptedService(answer, answer))) is ITwinProtocolError


def test_an_answer_that_is_not_the_services_own_leaves_doubt_about_a_start() -> None:
    answer: Response = response(403, b"<html>")
    assert map_error(answer, REQUEST, "run-storage-connection", CREDENTIALS).transient
