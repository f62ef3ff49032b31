"""Makes an error of an answer that is none of the good ones, whatever its body looks like."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow_provider_itwin.api import errors
from airflow_provider_itwin.api.errors import ErrorDetail, ITwinError
from airflow_provider_itwin.api.http.auth import ClientCredentials, Credentials
from airflow_provider_itwin.api.http.messages import (
    Request,
    Response,
    http_date,
    server_time,
)
from airflow_provider_itwin.api.models.decoding import UNREADABLE, read_json
from airflow_provider_itwin.api.redaction import excerpt

_LONGEST_TEXT = 600
_LONGEST_IMPRESSION = 240
_MOST_READ = 1 << 17
_MOST_DETAILS = 20

_MEANINGS: dict[int, type[ITwinError]] = {
    401: errors.ITwinAuthenticationError,
    403: errors.ITwinPermissionError,
    404: errors.ITwinNotFoundError,
    408: errors.ITwinConnectionError,
    409: errors.ITwinConflictError,
    410: errors.ITwinNotFoundError,
    425: errors.ITwinServerError,
    429: errors.ITwinRateLimitError,
}


def refusal(
    response: Response, request: Request, operation: str, credentials: Credentials, *, by_issuer: bool = False
) -> ITwinError:
    """
    Return the error that an answer to `request` stands for; secrets that it may repeat are removed.

    :param by_issuer: whether the request went to the token issuer rather than to the API
    """
    secrets = secrets_of(request, credentials)
    body = _read(response)
    said = _said(body, response, secrets)
    meaning = _meaning(response, body, by_issuer=by_issuer)
    return meaning(
        f"{operation} was answered with {response.status}",
        status=response.status,
        method=request.method,
        url=request.url.partition("?")[0],
        correlation_id=correlation_id(response, secrets),
        retry_after=retry_after(response),
        hint=_hint(response, said, credentials, is_ours=meaning is not errors.ITwinProtocolError),
        **said,
    )


def secrets_of(request: Request, credentials: Credentials) -> tuple[str, ...]:
    """Give what the service knows from `request` and nobody else may see."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    return (*credentials.secrets, token) if token else credentials.secrets


def correlation_id(response: Response, secrets: tuple[str, ...]) -> str | None:
    """Give the name under which Bentley's support finds the answer."""
    return _clean(response.headers.get("x-correlation-id"), secrets)


def retry_after(response: Response) -> float | None:
    """
    Give the seconds that the service asked to wait.

    A date is compared with the ``Date`` of the same answer, so that the clock of this machine does not matter.

    :return: None if the answer has no ``Retry-After``, or one that cannot be read
    """
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = http_date(text)
        if until is None:
            return None
        seconds = (until - (server_time(response) or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if seconds < 1e9 else None


def _meaning(response: Response, body: Any, *, by_issuer: bool) -> type[ITwinError]:
    """
    Return what a status means; that of a refusal only if the answer has the shape of the service's own errors.

    Any other answer comes from a gateway, a proxy or a sign-in page in between. It says nothing about the request, and passes.
    """
    if response.status >= 500:
        return errors.ITwinServerError
    if not 400 <= response.status < 500:
        return errors.ITwinProtocolError
    meaning = _MEANINGS.get(response.status, errors.ITwinInvalidRequestError)
    return (
        meaning if meaning.transient or _is_own_error(response.status, body, by_issuer) else errors.ITwinProtocolError
    )


def _is_own_error(status: int, body: Any, by_issuer: bool) -> bool:
    """
    Return whether a body is an error of the service, ``{"error": {"code": ...}}``.

    The token issuer answers as OAuth has it, ``{"error": "invalid_client"}``. In 2021 a 401 had no ``error`` around code and
    message.
    """
    if not isinstance(body, dict):
        return False
    error = body.get("error")
    if by_issuer and isinstance(error, str):
        return error != ""
    if status == 401 and error is None and isinstance(body.get("message"), str):
        error = body
    code = error.get("code") if isinstance(error, dict) else None
    return isinstance(code, str) and code != ""


def _hint(response: Response, said: dict[str, Any], credentials: Credentials, *, is_ours: bool) -> str | None:
    if 300 <= response.status < 400:
        return (
            "Redirects are not followed. Check host in the Airflow connection, and whether a proxy or a sign-in page stands in "
            "between."
        )
    if not is_ours:
        return (
            "This is not an error of the iTwin Platform: a gateway, a proxy or a sign-in page in between seems to have answered. "
            "Check host and proxies in the Airflow connection."
        )
    application = isinstance(credentials, ClientCredentials)
    if response.status == 401 and "UnknownClient" in {said["code"], *(detail.code for detail in said["details"])}:
        return "Register the client at https://developer.bentley.com and use its id and secret."
    if response.status == 401 and application:
        return (
            "Look whether login, password and scope of the Airflow connection fit its host: "
            "tokens of one environment are refused by another."
        )
    if response.status == 401:
        return (
            "The token in the extra of the Airflow connection has expired or is not for this host; "
            "with login and password instead, tokens are renewed by themselves."
        )
    if response.status in (403, 404) and isinstance(credentials, ClientCredentials):
        return (
            f"If it does exist, {credentials.service_user} may lack a role in its iTwin: "
            "an administrator of the iTwin adds that address as a member."
        )
    if response.status == 422:
        return "Look at the ids and the body that the task was given."
    return None


def _read(response: Response) -> Any:
    """Return the body as JSON, None if it is none."""
    try:
        return read_json(response.body) if response.body else None
    except UNREADABLE:
        return None


def _said(body: Any, response: Response, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return code, message, target and details of a body of the documented shape, of OAuth's, or of any other."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        error = {"code": error, "message": body.get("error_description")}
    if not isinstance(error, dict):
        return {"code": None, "message": _impression(response, secrets), "target": None, "details": ()}
    entries = error.get("details")
    return {
        "code": _clean(error.get("code"), secrets),
        "message": _clean(error.get("message") or error.get("detail") or error.get("title"), secrets),
        "target": _clean(error.get("target"), secrets),
        "details": tuple(
            ErrorDetail(*(_clean(entry.get(name), secrets) for name in ("code", "message", "target")))
            for entry in (entries if isinstance(entries, list) else [])[:_MOST_DETAILS]
            if isinstance(entry, dict)
        ),
    }


def _impression(response: Response, secrets: tuple[str, ...]) -> str | None:
    text = response.body[:_MOST_READ].decode("utf-8", "replace").strip()
    if not text:
        return None
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    if "<html" in text.lower() or "<!doctype" in text.lower():
        start, end = text.lower().find("<title>"), text.lower().find("</title>")
        title = text[start + 7 : end] if 0 <= start < end else "no title"
        return _clean(f"(an HTML page, {title.strip()})", secrets)
    return _clean(f"({kind}) {' '.join(text.split())}", secrets, _LONGEST_IMPRESSION)


def _clean(text: Any, secrets: tuple[str, ...], longest: int = _LONGEST_TEXT) -> str | None:
    if text is None or text == "":
        return None
    return excerpt(str(text), longest, secrets)
