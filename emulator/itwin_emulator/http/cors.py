"""Cross-origin requests (CORS): web pages of any origin may call the emulated APIs, as those of the real service."""

from __future__ import annotations

from collections.abc import Mapping

from itwin_emulator.http.responses import Response

_EXPOSED = "Location, Retry-After, Create-iModel-Operation, x-correlation-id, ETag, x-ms-request-id, x-ms-error-code"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks before it sends a cross-origin request."""
    return method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def preflight(headers: Mapping[str, str]) -> Response:
    """Return the response that allows the request."""
    allowed = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": _METHODS,
        # An asterisk does not include Authorization, so the names are repeated.
        "Access-Control-Allow-Headers": headers.get("Access-Control-Request-Headers") or "Authorization",
        "Access-Control-Max-Age": "600",
    }
    if headers.get("Access-Control-Request-Private-Network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    return Response(204, None, allowed)


def allow(response_headers: dict[str, str], headers: Mapping[str, str]) -> None:
    """Let a page of another origin read a response, if the request comes from one."""
    if "Origin" in headers:
        response_headers.setdefault("Access-Control-Allow-Origin", "*")
        response_headers.setdefault("Access-Control-Expose-Headers", _EXPOSED)
