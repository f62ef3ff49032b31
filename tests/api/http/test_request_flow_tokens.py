"""How a call gets its token, and what it does when the service refuses it."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConnectionError,
    ITwinError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.auth import ClientCredentials, ReadyToken
from airflow_provider_itwin.api.http.config import Environment
from airflow_provider_itwin.api.http.messages import Response, Token
from airflow_provider_itwin.api.http.request_flow import obtain_token, perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from tests.api.responses import SILENCE, documented, error, finished, response
from tests.api.scripted_service import CREDENTIALS, ScriptedService

LOOK = endpoints.get_run(ConnectionKind.STORAGE, "c1", "r1")
UNAUTHORIZED = documented("get-storage-connection-run", 401)
TOKEN = {"access_token": "abc.def", "expires_in": 3600, "token_type": "Bearer"}


def bearers(script: ScriptedService) -> list[str]:
    return [request.headers["authorization"] for request in script.requests]


def test_the_token_is_asked_for_before_each_try_and_sent_along() -> None:
    script = ScriptedService(SILENCE, finished())

    script.play(perform_call(script.account(), LOOK, retry_budget=60.0))

    assert bearers(script) == ["Bearer token-1", "Bearer token-1"]
    assert [want.refused for want in script.authorizations] == [None, None]
    assert script.authorizations[0].retry_budget == pytest.approx(60.0)
    assert script.authorizations[1].retry_budget < 60.0


def test_a_refused_token_is_renewed_once_without_a_pause() -> None:
    script = ScriptedService(UNAUTHORIZED, finished())

    script.play(perform_call(script.account(), LOOK))

    assert bearers(script) == ["Bearer token-1", "Bearer token-2"]
    refused = script.authorizations[1].refused
    assert refused is not None
    assert refused.value == "token-1"
    assert script.pauses == []


def test_a_refused_token_is_renewed_even_without_patience() -> None:
    script = ScriptedService(UNAUTHORIZED, finished())

    script.play(perform_call(script.account(), LOOK, retry_budget=0.0))

    assert bearers(script) == ["Bearer token-1", "Bearer token-2"]


def test_the_second_refusal_is_final() -> None:
    script = ScriptedService(UNAUTHORIZED, UNAUTHORIZED)

    with pytest.raises(ITwinAuthenticationError) as caught:
        script.play(perform_call(script.account(), LOOK))

    assert caught.value.code == "HeaderNotFound"
    assert not caught.value.transient
    assert script.pauses == []


def test_the_second_refusal_is_final_even_if_other_trouble_lies_between() -> None:
    script = ScriptedService(UNAUTHORIZED, error(503), SILENCE, UNAUTHORIZED)

    with pytest.raises(ITwinAuthenticationError):
        script.play(perform_call(script.account(), LOOK))


def test_an_issuer_that_gives_the_same_token_again_is_not_asked_forever() -> None:
    same = Token("same", renew_at=9e9)
    script = ScriptedService(UNAUTHORIZED, UNAUTHORIZED, tokens=[same, Token("same", renew_at=9e9)])

    with pytest.raises(ITwinAuthenticationError):
        script.play(perform_call(script.account(), LOOK))


def test_a_ready_token_cannot_be_renewed() -> None:
    script = ScriptedService(UNAUTHORIZED, tokens=[Token("ready")])

    with pytest.raises(ITwinAuthenticationError) as caught:
        script.play(perform_call(script.account(credentials=ReadyToken("ready")), LOOK))

    assert len(script.requests) == 1
    assert "The token in the extra of the Airflow connection has expired or is not for this host" in str(caught.value)


def test_a_client_that_is_not_registered_is_told_where_to_register() -> None:
    unknown = response(
        401,
        {
            "error": {
                "code": "Unauthorized",
                "message": "Access denied due to invalid client.",
                "details": [
                    {"code": "UnknownClient", "message": "Client was not registered on https://developer.bentley.com."}
                ],
            }
        },
    )
    script = ScriptedService(unknown, unknown)

    with pytest.raises(ITwinAuthenticationError, match=r"Register the client at https://developer\.bentley\.com"):
        script.play(perform_call(script.account(), LOOK))


@pytest.mark.parametrize("failure", [ITwinConnectionError("no issuer"), ITwinAuthenticationError("refused")])
def test_a_token_that_cannot_be_had_ends_the_exchange(failure: ITwinError) -> None:
    script = ScriptedService(tokens=[failure])

    with pytest.raises(type(failure)):
        script.play(perform_call(script.account(), LOOK))

    assert script.requests == []


def test_the_request_for_a_token_is_the_documented_form() -> None:
    script = ScriptedService(response(200, TOKEN))

    token = script.play(obtain_token(script.account(), CREDENTIALS))

    (request,) = script.requests
    assert (request.method, request.url) == ("POST", "https://ims.bentley.com/connect/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body is not None
    assert b"client_secret=s3cret%2Bof%2Fa1%3D" in request.body, "signs in a secret have to be encoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["service-a1"],
        "client_secret": ["s3cret+of/a1="],
        "scope": ["itwin-platform"],
    }
    assert token == Token("abc.def", renew_at=5000.0 + 3600.0 - 300.0)


def test_a_token_lives_from_when_it_was_asked_for() -> None:
    script = ScriptedService(response(200, TOKEN), takes=50.0)

    token = script.play(obtain_token(script.account(), CREDENTIALS))

    assert token.renew_at == pytest.approx(5000.0 + 3300.0)


def test_the_issuer_is_asked_under_its_own_path() -> None:
    environment = Environment.of("https://gateway.example/itwin", "https://login.example/realm/")
    script = ScriptedService(response(200, TOKEN))

    script.play(obtain_token(script.account(environment), CREDENTIALS))

    assert script.lines == ["POST https://login.example/realm/connect/token"]


@pytest.mark.parametrize(
    "failure", [SILENCE, error(500), error(429), response(200, b"<html>"), response(200, {"expires_in": 1})]
)
def test_the_issuer_gets_patience_too(failure: Response) -> None:
    script = ScriptedService(failure, failure, response(200, TOKEN), chance=1.0)

    assert script.play(obtain_token(script.account(), CREDENTIALS)).value == "abc.def"
    assert script.seconds == pytest.approx([1, 2])


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (SILENCE, ITwinConnectionError),
        (error(500), ITwinServerError),
        (response(200, b"<html>"), ITwinProtocolError),
        (response(200, {"access_token": ""}), ITwinProtocolError),
        (response(302, location="https://ims.bentley.com/login"), ITwinProtocolError),
    ],
)
def test_patience_with_the_issuer_ends(failure: Response, meaning: type[ITwinError]) -> None:
    script = ScriptedService(always=failure)

    with pytest.raises(ITwinError) as caught:
        script.play(obtain_token(script.account(), CREDENTIALS, retry_budget=20.0))

    assert type(caught.value) is meaning
    assert script.passed == pytest.approx(20.0)
    assert caught.value.url == "https://ims.bentley.com/connect/token"


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (
            400,
            {"error": "invalid_client", "error_description": "Invalid client or client credentials."},
            "Check login",
        ),
        (401, {"error": "invalid_client"}, "Check login (client id) and password (client secret)"),
        (
            400,
            {"error": "invalid_scope"},
            "Check scope in the extra of the Airflow connection; the request had 'itwin-platform'",
        ),
        (400, {"error": "unsupported_grant_type"}, "Check login, password and scope"),
        (400, {"error": {"code": "invalid_client", "message": "nested"}}, "Check login"),
    ],
)
def test_a_refused_client_is_told_what_to_look_at(status: int, body: object, hint: str) -> None:
    script = ScriptedService(response(status, body, x_correlation_id="corr-1"))

    with pytest.raises(ITwinAuthenticationError) as caught:
        script.play(obtain_token(script.account(), CREDENTIALS))

    text = str(caught.value)
    assert text.startswith("The token endpoint refused the client service-a1.")
    assert hint in text
    assert caught.value.status == status
    assert caught.value.correlation_id == "corr-1"
    assert script.pauses == []


def test_what_oauth_says_is_told() -> None:
    body = {"error": "invalid_client", "error_description": "Invalid client or client credentials."}
    script = ScriptedService(response(400, body))

    with pytest.raises(ITwinAuthenticationError) as caught:
        script.play(obtain_token(script.account(), CREDENTIALS))

    assert caught.value.code == "invalid_client"
    assert caught.value.message == "Invalid client or client credentials."


@pytest.mark.parametrize("status", [404, 405, 410, 422])
def test_an_issuer_without_a_token_endpoint_is_told_apart_from_a_connection_that_does_not_exist(status: int) -> None:
    script = ScriptedService(response(status, {"error": "not_here"}))

    with pytest.raises(ITwinAuthenticationError) as caught:
        script.play(obtain_token(script.account(), CREDENTIALS))

    assert not caught.value.transient
    assert caught.value.status == status
    assert "host and issuer belong together" in str(caught.value)
    assert "role" not in str(caught.value)
    assert script.pauses == []


def test_the_issuer_may_not_send_the_secret_elsewhere() -> None:
    script = ScriptedService(always=response(307, location="https://elsewhere.example/connect/token"))

    with pytest.raises(ITwinProtocolError):
        script.play(obtain_token(script.account(), CREDENTIALS))

    assert {request.url for request in script.requests} == {"https://ims.bentley.com/connect/token"}


def test_a_scope_of_ones_own_is_asked_for() -> None:
    script = ScriptedService(response(200, TOKEN))

    script.play(obtain_token(script.account(), ClientCredentials("id", "secret", "imodels:read")))

    assert b"scope=imodels%3Aread" in (script.requests[0].body or b"")
