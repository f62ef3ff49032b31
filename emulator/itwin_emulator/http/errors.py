"""What the service answers with: statuses, bodies and headers, among them every documented error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"


OLD_UNAUTHORIZED = (
    "Access denied due to invalid access_token. Make sure to provide a valid token for this API endpoint."
)


@dataclass(slots=True)
class Answer:
    """An answer before it is put on the wire. ``body`` is JSON data, ready bytes, or None for no body at all."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """A refusal, raised where it is found out and turned into an answer at the edge."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, str]] = (),
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.details = [dict(detail) for detail in details]
        self.target = target
        self.headers = dict(headers or {})

    def answer(self, *, old_gateway: bool = False) -> Answer:
        """
        Give the answer that carries the error; ``details`` and ``target`` are left out when there are none.

        :param old_gateway: print 401 and 429 as the gateway of 2021 did, without the ``error`` around them
        """
        if old_gateway and self.status == 401:
            return Answer(401, {"statusCode": 401, "message": OLD_UNAUTHORIZED}, dict(self.headers))
        if old_gateway and self.status == 429:
            old = {"code": "TooManyRequests", "message": RATE_LIMIT_MESSAGES["TooManyRequests"]}
            return Answer(429, old, dict(self.headers))
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        return Answer(self.status, {"error": error}, dict(self.headers))


def invalid_value(target: str, message: str | None = None) -> dict[str, str]:
    """Give the detail of a 422 that says which value is wrong."""
    return {
        "code": "InvalidValue",
        "message": message or f"Provided {target} value is not valid.",
        "target": target,
    }


def missing_parameter(target: str) -> dict[str, str]:
    """Give the detail of a 422 that says which value is missing."""
    return {"code": "MissingRequiredParameter", "message": f"{target} was not provided.", "target": target}


def missing_property(target: str, of: str) -> dict[str, str]:
    """Give the detail of a 422 that says which part of the body is missing; ``of`` says what the body describes."""
    message = f"A property required to {of} is missing."
    return {"code": "MissingRequiredProperty", "message": message, "target": target}


MALFORMED_BODY = {"code": "InvalidRequestBody", "message": "Error parsing JSON, malformed JSON."}
"""The detail of a 422 for a body that is not a JSON object."""


def missing_body() -> ApiError:
    """Refuse a request without the body that it needs."""
    return ApiError(422, "MissingRequestBody", "Request body was not provided.")


def already_mapped(message: str = "The SourceFile is already mapped to the iModel.") -> ApiError:
    """Refuse a file that a connection of the iModel has already; a permanent conflict, unlike that of two starts."""
    return ApiError(409, "FileMappingToTheIModelAlreadyExists", message)


def imodel_not_found() -> ApiError:
    """Refuse because there is no such iModel, or none that the client may see."""
    return ApiError(404, "iModelNotFound", "Requested iModel is not available.")


def itwin_not_found() -> ApiError:
    """Refuse because there is no such iTwin, or none that the client may see."""
    return ApiError(404, "iTwinNotFound", "Requested iTwin is not available.")


def unprocessable(code: str, *details: Mapping[str, str]) -> ApiError:
    """Refuse a request whose form is right and whose content is not."""
    return ApiError(422, code, "Cannot perform operation.", details)


def insufficient_permissions() -> ApiError:
    """Refuse a client that has no role where it would need one."""
    return ApiError(
        403, "InsufficientPermissions", "The user has insufficient permissions for the requested operation."
    )


def conflicting_start(code: str = "ConflictWithAnotherIModelRequest") -> ApiError:
    """Refuse all but the first of several starts that arrive at the same moment."""
    return ApiError(409, code, "The iModel is already processing this request.")


def header_not_found() -> ApiError:
    """Refuse a request without a token."""
    return ApiError(
        401, "HeaderNotFound", "Header Authorization was not found in the request. Access denied.", headers=_CHALLENGE
    )


def invalid_scheme() -> ApiError:
    """Refuse an Authorization header that is not a Bearer one."""
    return ApiError(
        401,
        "InvalidAuthorizationScheme",
        "Header Authorization does not have the Bearer scheme. Access denied.",
        headers=_CHALLENGE,
    )


def invalid_header_value() -> ApiError:
    """Refuse a Bearer header without anything in it that could be a token."""
    return ApiError(
        401,
        "InvalidHeaderValue",
        "Header Authorization does not contain a well-formed token. Access denied.",
        headers=_CHALLENGE,
    )


def unauthorized() -> ApiError:
    """Refuse a token that is expired, revoked, or not from this issuer."""
    return ApiError(
        401,
        "Unauthorized",
        "The user is unauthorized. Please provide valid authentication credentials.",
        headers=_CHALLENGE,
    )


def required_scope_missing() -> ApiError:
    """Refuse a token that is good, but not for this API."""
    return ApiError(
        401, "RequiredScopeMissing", "The access token does not have the required scope itwin-platform. Access denied."
    )


def unknown_client() -> ApiError:
    """Refuse a token of a client that the platform does not know: no new token will ever help."""
    return ApiError(
        401,
        "Unauthorized",
        "Access denied due to invalid client. Make sure that client was registered on https://developer.bentley.com.",
        [{"code": "UnknownClient", "message": "Client was not registered on https://developer.bentley.com."}],
    )


RATE_LIMIT_MESSAGES = {
    "RateLimitExceeded": "The client sent more requests than allowed by this API for the current tier of the client.",
    "TooManyRequests": "More requests were received than the subscription rate-limit allows.",
}
"""Both spellings are documented, each with its own sentence."""


def too_many_requests(code: str = "RateLimitExceeded", headers: Mapping[str, str] | None = None) -> ApiError:
    """Refuse a client that asks too often."""
    return ApiError(429, code, RATE_LIMIT_MESSAGES[code], headers=headers)


def not_acceptable() -> ApiError:
    """Refuse a version of the API that does not exist. Documented nowhere: the wording is the emulator's own."""
    return ApiError(406, "NotAcceptable", "The requested media type is not supported.", target="Accept")


def no_such_resource() -> Answer:
    """Answer for a path that belongs to no operation: the gateway in front of the APIs speaks a dialect of its own."""
    return Answer(404, {"statusCode": 404, "message": "Resource not found"})


_CHALLENGE = {"WWW-Authenticate": "Bearer"}
