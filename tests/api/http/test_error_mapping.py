"""What an error tells: everything that the service said, whatever its answer looks like, and what to do about it."""

from __future__ import annotations

import copy
import json
import pickle
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api import errors
from airflow_provider_itwin.api.errors import ErrorDetail, ITwinError
from airflow_provider_itwin.api.http.auth import Credentials, ReadyToken
from airflow_provider_itwin.api.http.error_mapping import map_error
from airflow_provider_itwin.api.http.messages import Request, Response
from tests.api.responses import DATA, documented, response
from tests.api.scripted_service import CREDENTIALS

REQUEST = Request(
    "GET",
    "https://api.bentley.com/synchronization/imodels/storageconnections?$top=1",
    {"authorization": "Bearer t0ken"},
)

MEANINGS = {
    401: errors.ITwinAuthenticationError,
    403: errors.ITwinPermissionError,
    404: errors.ITwinNotFoundError,
    409: errors.ITwinConflictError,
    422: errors.ITwinInvalidRequestError,
    429: errors.ITwinRateLimitError,
}

DOCUMENTED = [
    (name, int(status))
    for name, status in sorted(path.stem.rsplit(".", 1) for path in DATA.glob("*.json"))
    if status != "200"
]


def made(answer: Response, credentials: Credentials = CREDENTIALS) -> ITwinError:
    return map_error(answer, REQUEST, "get-storage-connections", credentials)


@pytest.mark.parametrize(("operation", "status"), DOCUMENTED)
def test_everything_in_a_documented_error_is_told(operation: str, status: int) -> None:
    answer = documented(operation, status, x_correlation_id="4bf9-e1")
    said = json.loads(answer.body)["error"]

    error = made(answer)

    assert type(error) is MEANINGS[status]
    assert (error.status, error.code, error.message) == (status, said["code"], said["message"])
    assert error.details == tuple(ErrorDetail(**detail) for detail in said.get("details", []))
    text = str(error)
    for told in (said["code"], said["message"].rstrip("."), "4bf9-e1", str(status), "get-storage-connections"):
        assert told in text
    for detail in said.get("details", []):
        assert f"{detail['code']} (target {detail['target']}): {detail['message'].rstrip('.')}" in text


def test_the_text_of_a_refusal_in_full() -> None:
    error = made(documented("get-export-connection-run", 422, x_correlation_id="4bf9-e1"))

    assert str(error) == (
        "get-storage-connections returned 422. "
        "The service returned InvalidConnectionRunRequest: Cannot perform operation. "
        "Details: MissingRequiredParameter (target imodelId): imodelId was not provided; "
        "InvalidValue (target imodelId): Provided imodelId value is not valid; "
        "InvalidValue (target connectionId): Provided connectionId value is not valid. "
        "Request: GET https://api.bentley.com/synchronization/imodels/storageconnections. "
        "Correlation id: 4bf9-e1. "
        "Check the ids and the body in the parameters of the task."
    )


@pytest.mark.parametrize("status", [403, 404])
def test_the_address_that_may_lack_a_role_is_named(status: int) -> None:
    text = str(made(documented("run-storage-connection", status)))

    assert "service-a1@apps.imsoidc.bentley.com may have no role in its iTwin" in text


@pytest.mark.parametrize("status", [403, 404])
def test_no_address_is_named_for_a_token_of_somebody_else(status: int) -> None:
    assert "apps.imsoidc.bentley.com" not in str(
        made(documented("run-storage-connection", status), ReadyToken("ready"))
    )


def test_a_refused_token_hints_at_the_environments() -> None:
    assert "an environment refuses tokens of another one" in str(made(documented("run-storage-connection", 401)))


@pytest.mark.parametrize(
    ("body", "code", "message", "target"),
    [
        ({"error": {"code": "C", "message": "m", "target": "$top"}}, "C", "m", "$top"),
        ({"error": {"code": "C", "message": "m", "target": None, "details": None}}, "C", "m", None),
        ({"error": {"code": None, "message": None}}, None, None, None),
        ({"error": {"code": "", "message": ""}}, None, None, None),
        ({"error": {"code": 7, "message": ["a", 1]}}, "7", "['a', 1]", None),
        ({"error": {"message": "m", "details": "text"}}, None, "m", None),
        ({"error": {"message": "m", "details": [1, "two", None]}}, None, "m", None),
        ({"error": "invalid_client", "error_description": "wrong"}, "invalid_client", "wrong", None),
        ({"error": "invalid_client"}, "invalid_client", None, None),
        ({"statusCode": 401, "message": "Access denied."}, None, "Access denied.", None),
        ({"code": "TooManyRequests", "message": "More."}, "TooManyRequests", "More.", None),
        ({"title": "Not Found", "type": "about:blank"}, None, "Not Found", None),
        ({"error": {"code": "C", "detail": "d"}}, "C", "d", None),
    ],
)
def test_errors_of_other_shapes(body: Any, code: str | None, message: str | None, target: str | None) -> None:
    error = made(response(404, body))

    assert (error.code, error.message, error.target, error.details) == (code, message, target, ())


def test_details_may_lack_anything() -> None:
    body = {"error": {"code": "C", "message": "m", "details": [{}, {"code": "X"}, {"target": "$top", "message": None}]}}

    assert "Details: no code: no message; X: no message; no code (target $top): no message." in str(
        made(response(422, body))
    )


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "text/html", None),
        (b"   \n", "text/plain", None),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "text/html", "(an HTML page, 502 Bad Gateway)"),
        (b"<!DOCTYPE html><p>oops", "text/html; charset=utf-8", "(an HTML page, no title)"),
        (b"<HTML><TITLE>\nLogin\n</TITLE>", "text/html", "(an HTML page, Login)"),
        (b"upstream\n  connect   error", "text/plain; charset=utf-8", "(text/plain) upstream connect error"),
        (b"[1, 2]", "application/json", "(application/json) [1, 2]"),
        (b'"text"', "application/json", '(application/json) "text"'),
        (b"null", "application/json", "(application/json) null"),
        (b'{"error": null}', "application/json", '(application/json) {"error": null}'),
        (b'{"error": {"code": "C", "mess', "application/json", '(application/json) {"error": {"code": "C", "mess'),
        (b"\xff\xfe\x00\x01", "application/octet-stream", "(application/octet-stream) \ufffd\ufffd"),
    ],
)
def test_bodies_that_are_no_error_object(body: bytes, content_type: str, message: str | None) -> None:
    error = made(response(502, body, content_type=content_type))

    assert error.code is None
    assert error.message == message if message is None else (error.message or "").startswith(message)


def test_a_body_without_a_type() -> None:
    assert made(response(500, b"oops")).message == "(no content type) oops"


@pytest.mark.parametrize(
    "unit", [b"x", b"eyJaaaaa-", b"http://", b"https://a@", b"bearer ", b"sig=", b"<title>", b"\\u0041"]
)
def test_a_huge_error_makes_a_short_text_in_no_time(unit: bytes) -> None:
    filler = unit * (2_000_000 // len(unit))
    bodies = [
        b'{"error":{"code":"C","message":"' + filler + b'"}}',
        b'{"error":{"code":"' + filler + b'","details":[{"message":"' + filler + b'"}]}}',
        b"<html><title>" + filler + b"</title>",
        filler,
    ]
    began = time.process_time()

    errors = [made(response(500, body, x_correlation_id=filler.decode())) for body in bodies]

    assert time.process_time() - began < 5.0
    assert max(len(str(error)) for error in errors) < 4000


def test_half_a_surrogate_pair_does_not_hide_what_is_said() -> None:
    body = rb'{"error":{"code":"RunNotFound","message":"No \ud83d run.","details":[{"code":"\udc00"}]}}'

    error = map_error(Response(404, {}, body), REQUEST, "get-a-run", CREDENTIALS)

    assert (error.code, error.message) == ("RunNotFound", "No \ufffd run.")
    assert [detail.code for detail in error.details] == ["\ufffd"]


def test_very_many_details_are_cut() -> None:
    body = {"error": {"code": "C", "message": "m", "details": [{"code": f"D{number}"} for number in range(5000)]}}

    assert len(made(response(422, body)).details) == 20


@given(st.binary(), st.integers(200, 599))
def test_no_body_confuses(body: bytes, status: int) -> None:
    assert isinstance(made(response(status, body)), ITwinError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["code", "message", "target", "details", "x"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["error", "error_description", "message", "code", "title"]), _JSON))
def test_no_error_object_confuses(body: Any) -> None:
    error = made(response(404, body))

    assert isinstance(error, errors.ITwinNotFoundError | errors.ITwinProtocolError)
    assert isinstance(str(error), str)
    for said in (error.code, error.message, error.target):
        assert said is None or isinstance(said, str)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_does_not_confuse(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    for depth in (*range(880, 1000, 3), 100_000):
        body = b'{"error":{"code":' + opening * depth + b"1" + closing * depth + b"}}"
        assert made(response(404, body)).status == 404


@pytest.mark.parametrize(
    "cls", [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ITwinError)]
)
def test_errors_survive_a_pickle_and_a_copy(cls: type[ITwinError]) -> None:
    error = cls(
        "It went wrong",
        status=422,
        code="C",
        message="m",
        target="t",
        details=(ErrorDetail("a", "b", "c"),),
        correlation_id="corr",
        method="GET",
        url="https://api.bentley.com/x",
        hint="Look.",
        retry_after=3.0,
    )

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is cls
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_a_hint_does_not_replace_a_better_one() -> None:
    assert ITwinError("s").with_hint("h").hint == "h"
    assert ITwinError("s", hint="better").with_hint("h").hint == "better"
