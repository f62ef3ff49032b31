"""Maps responses that are errors to exceptions, whatever their bodies are."""

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
_LONGEST_BODY_EXCERPT = 240
_MOST_READ = 1 << 17
_MOST_DETAILS = 20

_ERROR_TYPES: dict[int, type[ITwinError]] = {
    401: errors.ITwinAuthenticationError,
    403: errors.ITwinPermissionError,
    404: errors.ITwinNotFoundError,
    408: errors.ITwinConnectionError,
    409: errors.ITwinConflictError,
    410: errors.ITwinNotFoundError,
    425: errors.ITwinServerError,
    429: errors.ITwinRateLimitError,
}


def map_error(
    response: Response, request: Request, operation: str, credentials: Credentials, *, by_issuer: bool = False
) -> ITwinError:
    """
    Return the exception for an error response; secrets that the response repeats are masked.

    :param by_issuer: whether the token issuer responded, rather than the API
    """
    secrets = secrets_of(request, credentials)
    body = _json_body(response)
    fields = _error_fields(body, response, secrets)
    error_type = _error_type(response, body, by_issuer=by_issuer)
    return error_type(
        f"{operation} returned {response.status}",
        status=response.status,
        method=request.method,
        url=request.url.partition("?")[0],
        correlation_id=correlation_id(response, secrets),
        retry_after=retry_after(response),
        hint=_hint(response, fields, credentials, is_own=error_type is not errors.ITwinProtocolError),
        **fields,
    )


def secrets_of(request: Request, credentials: Credentials) -> tuple[str, ...]:
    """Return the secrets that a response to `request` may repeat."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    return (*credentials.secrets, token) if token else credentials.secrets


def correlation_id(response: Response, secrets: tuple[str, ...]) -> str | None:
    """Return the id by which Bentley's support finds the response."""
    return _clean(response.headers.get("x-correlation-id"), secrets)


def retry_after(response: Response) -> float | None:
    """
    Return the ``Retry-After`` of a response in seconds.

    A date is compared with the ``Date`` of the same response, so the clock of this machine does not matter.

    :return: None if the header is missing or invalid
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


def _error_type(response: Response, body: Any, *, by_issuer: bool) -> type[ITwinError]:
    """
    Return the exception for a status.

    A 4xx is a refusal only if its body has the shape of the service's own errors. Any other comes from a gateway, a proxy or a
    sign-in page in between: it says nothing about the request, and is temporary.
    """
    if response.status >= 500:
        return errors.ITwinServerError
    if not 400 <= response.status < 500:
        return errors.ITwinProtocolError
    error_type = _ERROR_TYPES.get(response.status, errors.ITwinInvalidRequestError)
    is_own = error_type.transient or _is_own_error(response.status, body, by_issuer)
    return error_type if is_own else errors.ITwinProtocolError


def _is_own_error(status: int, body: Any, by_issuer: bool) -> bool:
    """
    Return whether a body is an error of the service, ``{"error": {"code": ...}}``.

    The token issuer responds as OAuth specifies, ``{"error": "invalid_client"}``. In 2021, code and message of a 401 were not
    wrapped in ``error``.
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


def _hint(response: Response, fields: dict[str, Any], credentials: Credentials, *, is_own: bool) -> str | None:
    if 300 <= response.status < 400:
        return (
            "Redirects are not followed. Check host in the Airflow connection, and whether a proxy or a sign-in page intercepts "
            "the request."
        )
    if not is_own:
        return (
            "This is not an error of the iTwin Platform; a gateway, a proxy or a sign-in page may have responded instead. "
            "Check host and proxies in the Airflow connection."
        )
    application = isinstance(credentials, ClientCredentials)
    if response.status == 401 and "UnknownClient" in {fields["code"], *(detail.code for detail in fields["details"])}:
        return "Register the client at https://developer.bentley.com and use its id and secret."
    if response.status == 401 and application:
        return (
            "Check that login, password and scope of the Airflow connection belong to its host: an environment refuses tokens "
            "of another one."
        )
    if response.status == 401:
        return (
            "The token in the extra of the Airflow connection has expired or is not for this host. "
            "Use login and password instead: then tokens are renewed automatically."
        )
    if response.status in (403, 404) and isinstance(credentials, ClientCredentials):
        return (
            f"If it exists, {credentials.service_user} may have no role in its iTwin: "
            "ask an administrator of the iTwin to add this address as a member."
        )
    if response.status == 422:
        return "Check the ids and the body in the parameters of the task."
    return None


def _json_body(response: Response) -> Any:
    """Return the decoded body, None if it is not JSON."""
    try:
        return read_json(response.body) if response.body else None
    except UNREADABLE:
        return None


def _error_fields(body: Any, response: Response, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return code, message, target and details of a body in the documented shape, in that of OAuth, or in any other."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        error = {"code": error, "message": body.get("error_description")}
    if not isinstance(error, dict):
        return {"code": None, "message": _body_excerpt(response, secrets), "target": None, "details": ()}
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


def _body_excerpt(response: Response, secrets: tuple[str, ...]) -> str | None:
    text = response.body[:_MOST_READ].decode("utf-8", "replace").strip()
    if not text:
        return None
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    if "<html" in text.lower() or "<!doctype" in text.lower():
        start, end = text.lower().find("<title>"), text.lower().find("</title>")
        title = text[start + 7 : end] if 0 <= start < end else "no title"
        return _clean(f"(an HTML page, {title.strip()})", secrets)
    return _clean(f"({kind}) {' '.join(text.split())}", secrets, _LONGEST_BODY_EXCERPT)


def _clean(text: Any, secrets: tuple[str, ...], longest: int = _LONGEST_TEXT) -> str | None:
    if text is None or text == "":
        return None
    return excerpt(str(text), longest, secrets)
