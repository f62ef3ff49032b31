"""No secret that the service echoes gets into an exception, a log or a repr."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.auth import (
    ClientCredentials,
    Credentials,
    ReadyToken,
)
from airflow_provider_itwin.api.http.messages import (
    Authorize,
    Request,
    Response,
    Send,
    Token,
)
from airflow_provider_itwin.api.http.request_flow import obtain_token, perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
from airflow_provider_itwin.api.wait.waiter import wait
from tests.api.responses import response
from tests.api.scripted_service import WALL, ScriptedService

SECRET = "hunter2+of/a1="
OPAQUE = "0paque-t0ken_0123456789abcdef"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzY29wZSI6Iml0d2luIn0.c2lnbmF0dXJl"
SIGNED = "https://blob.net/Master.dgn?sv=2020&sig=s1gnatur3%2Bx&se=2026"
HIDDEN = (SECRET, "hunter2%2Bof%2Fa1%3D", OPAQUE, JWT, "s1gnatur3")

GET_RUN = endpoints.get_run(ConnectionKind.STORAGE, "c1", "r1")
CLIENT = ClientCredentials("service-a1", SECRET)

EVERYTHING = f"secret {SECRET} (hunter2%2Bof%2Fa1%3D), Bearer {OPAQUE}, {JWT}, url {SIGNED}, sig=s1gnatur3%2Bx"
WITH_TOKEN = f"{EVERYTHING}, token {OPAQUE}"
"""The same, and the token that was sent, without a word beside it that marks it."""


def in_message(text: str) -> Any:
    return {"error": {"code": "Echo", "message": text}}


BODIES: list[Callable[[str], Any]] = [
    in_message,
    lambda text: {"error": {"code": text, "message": "m"}},
    lambda text: {"error": {"code": "c", "message": "m", "target": text}},
    lambda text: {"error": {"code": "c", "message": "m", "details": [{"code": text, "message": text, "target": text}]}},
    lambda text: {"error": {"message": [text, {"x": text}]}},
    lambda text: {"error": text, "error_description": text},
    lambda text: {"title": text},
    lambda text: text.encode(),
    lambda text: f"<html><title>{text}</title>{text}</html>".encode(),
    lambda text: [text],
    lambda text: ("x" * 190 + text).encode(),
    lambda text: ("x " * 3000 + text).encode(),
    lambda text: (" " * 4790 + text).encode(),
    lambda text: in_message("x" * 590 + text),
    lambda text: in_message("x" * 599 + text),
]


def everything_of(error: BaseException) -> str:
    """Return every form in which an exception can be printed."""
    parts = [str(error), repr(error), str(error.args), repr(vars(error)), str(pickle.loads(pickle.dumps(error)))]
    parts.append(repr(pickle.dumps(error)))
    parts += traceback.format_exception(error)
    if error.__cause__ is not None:
        parts += [str(error.__cause__), repr(error.__cause__)]
    return "\n".join(parts)


def leaks(text: str) -> list[str]:
    """Return the secrets of which a str has more than half."""
    return [secret for secret in HIDDEN if secret in text or secret[: len(secret) // 2 + 1] in text]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 422, 429, 500])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("credentials", [CLIENT, ReadyToken(OPAQUE)], ids=["client", "ready"])
def test_a_response_that_echoes_secrets_does_not_leak_them(
    status: int, body: Callable[[str], Any], credentials: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echoed = WITH_TOKEN if isinstance(credentials, ClientCredentials) else WITH_TOKEN.replace("hunter2", "h")
    answer = response(status, body(echoed), x_correlation_id=echoed, location=SIGNED, content_type=echoed)
    script = ScriptedService(always=answer, tokens=[Token(OPAQUE, renew_at=9e9 if credentials is CLIENT else None)] * 3)

    with pytest.raises(ITwinError) as caught:
        script.play(perform_call(script.account(credentials=credentials), GET_RUN, retry_budget=5.0))

    assert leaks(everything_of(caught.value)) == []
    assert leaks(caplog.text) == []
    for pause in script.pauses:
        assert leaks(everything_of(pause.error)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("body", BODIES)
def test_a_token_endpoint_that_echoes_secrets_does_not_leak_them(status: int, body: Callable[[str], Any]) -> None:
    script = ScriptedService(always=response(status, body(EVERYTHING), x_correlation_id=EVERYTHING, location=SIGNED))

    with pytest.raises(ITwinError) as caught:
        script.play(obtain_token(script.account(credentials=CLIENT), CLIENT, retry_budget=5.0))

    assert leaks(everything_of(caught.value)) == []


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": f"{OPAQUE} {SECRET}"},
        {"access_token": OPAQUE, "token_type": SECRET},
        {"access_token": [OPAQUE]},
        b'{"access_token":"' + OPAQUE.encode() + b'"',
    ],
)
def test_an_invalid_token_is_not_shown(body: Any) -> None:
    script = ScriptedService(always=response(200, body))

    with pytest.raises(ITwinError) as caught:
        script.play(obtain_token(script.account(credentials=CLIENT), CLIENT, retry_budget=0.0))

    assert leaks(everything_of(caught.value)) == []


def test_a_wait_that_ends_with_secrets_in_the_response_does_not_leak_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = ScriptedService(always=response(500, in_message(WITH_TOKEN)), tokens=[Token(OPAQUE, renew_at=9e9)])
    spec = WaitSpec(ConnectionKind.STORAGE, "c1", "r1", began=WALL)

    result = script.play(wait(script.account(credentials=CLIENT), spec))

    assert result.end is WaitEnd.OUTAGE
    assert leaks(repr(result.as_event())) == []
    assert leaks(caplog.text) == []


def test_the_url_in_an_error_has_no_query() -> None:
    script = ScriptedService(response(404, {"error": {"code": "NotFound"}}))
    call = endpoints.get_connections(ConnectionKind.STORAGE, SECRET.replace("/", ""), 1, 0)

    with pytest.raises(ITwinError) as caught:
        script.play(perform_call(script.account(), call))

    assert caught.value.url == "https://api.bentley.com/synchronization/imodels/storageconnections"


@pytest.mark.parametrize(
    "shown",
    [
        Request("POST", "https://x/y", {"authorization": f"Bearer {OPAQUE}"}, SECRET.encode()),
        Send(Request("POST", "https://x/y", {"authorization": f"Bearer {OPAQUE}"}, SECRET.encode())),
        Response(200, {"set-cookie": SECRET}, OPAQUE.encode()),
        Authorize(Token(OPAQUE, 5.0), 1.0),
        endpoints.start_run(ConnectionKind.MANIFEST, "c1", {"sourceFiles": [{"url": SIGNED}]}),
    ],
)
def test_messages_do_not_show_their_content(shown: object) -> None:
    assert leaks(repr(shown)) == []
