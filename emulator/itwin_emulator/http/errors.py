"""Errors of the service: statuses, codes and messages as documented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.http.responses import Response

MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"

OLD_UNAUTHORIZED = (
    "Access denied due to invalid access_token. Make sure to provide a valid token for this API endpoint."
)


class ApiError(Exception):
    """An error response, raised where the error is detected and converted to a response by the server."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
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

    def to_response(self, *, old_gateway: bool = False) -> Response:
        """
        Return the response for this error; ``details`` and ``target`` are left out if empty.

        :param old_gateway: return 401 and 429 in the format of 2021, without the ``error`` object
        """
        if old_gateway and self.status == 401:
            return Response(401, {"statusCode": 401, "message": OLD_UNAUTHORIZED}, dict(self.headers))
        if old_gateway and self.status == 429:
            old = {"code": "TooManyRequests", "message": RATE_LIMIT_MESSAGES["TooManyRequests"]}
            return Response(429, old, dict(self.headers))
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        return Response(self.status, {"error": error}, dict(self.headers))


def invalid_value(target: str, message: str | None = None) -> dict[str, str]:
    """Return a detail of a 422: a value is invalid."""
    return {
        "code": "InvalidValue",
        "message": message or f"Provided {target} value is not valid.",
        "target": target,
    }


def missing_parameter(target: str) -> dict[str, str]:
    """Return a detail of a 422: a parameter is missing."""
    return {"code": "MissingRequiredParameter", "message": f"{target} was not provided.", "target": target}


def missing_property(target: str, of: str) -> dict[str, str]:
    """Return a detail of a 422: a property is missing. ``of`` completes "a property required to ..."."""
    message = f"A property required to {of} is missing."
    return {"code": "MissingRequiredProperty", "message": message, "target": target}


MALFORMED_BODY = {"code": "InvalidRequestBody", "message": "Error parsing JSON, malformed JSON."}
"""The detail of a 422: the body is not a JSON object."""


def missing_body() -> ApiError:
    """Return the 422 for a missing body."""
    return ApiError(422, "MissingRequestBody", "Request body was not provided.")


def already_mapped(message: str = "The SourceFile is already mapped to the iModel.") -> ApiError:
    """Return the 409 for a file that a connection of the iModel already has. Unlike the 409 of two starts, it is permanent."""
    return ApiError(409, "FileMappingToTheIModelAlreadyExists", message)


def imodel_not_found() -> ApiError:
    """Return the 404 for an iModel that does not exist or is not visible to the client."""
    return ApiError(404, "iModelNotFound", "Requested iModel is not available.")


def itwin_not_found() -> ApiError:
    """Return the 404 for an iTwin that does not exist or is not visible to the client."""
    return ApiError(404, "iTwinNotFound", "Requested iTwin is not available.")


def named_version_not_found() -> ApiError:
    """Return the 404 for a named version that the iModel does not have."""
    return ApiError(404, "NamedVersionNotFound", "Requested Named Version is not available.")


def not_emulated(what: str) -> ApiError:
    """Return the 501 for what the real service has and the emulator has not."""
    return ApiError(501, "NotEmulated", f"The iTwin Platform has this operation, the emulator has not: {what}.")


def connection_not_found(traits: KindTraits) -> ApiError:
    """Return the 404 for a connection that does not exist or is not visible to the client."""
    return ApiError(404, *traits.connection_missing)


def run_not_found(traits: KindTraits) -> ApiError:
    """Return the 404 for a run that the connection does not have."""
    return ApiError(404, *traits.run_missing)


def source_file_not_found(traits: KindTraits) -> ApiError:
    """Return the 404 for a source file that the connection does not have."""
    return ApiError(404, *traits.source_file_missing)


def folder_not_found() -> ApiError:
    """Return the 404 for a folder of Storage that does not exist or is not visible to the client."""
    return ApiError(404, "FolderNotFound", "Requested folder is not available.")


def file_not_found() -> ApiError:
    """Return the 404 for a file of Storage that does not exist or is not visible to the client."""
    return ApiError(404, "FileNotFound", "Requested file is not available.")


def name_exists(*, of_file: bool) -> ApiError:
    """Return the 409 for a name that another file or folder has. It is not documented; the message is the emulator's own."""
    code, word = ("FileExists", "file") if of_file else ("FolderExists", "folder")
    return ApiError(409, code, f"A {word} with this name exists already.", target="displayName")


def file_locked() -> ApiError:
    """Return the 409 for the change of a locked file. It is not documented; the message is the emulator's own."""
    return ApiError(409, "FileLocked", "The file is locked.")


def unprocessable(code: str, *details: Mapping[str, str]) -> ApiError:
    """Return the 422 for a well-formed request with invalid content."""
    return ApiError(422, code, "Cannot perform operation.", details)


def insufficient_permissions() -> ApiError:
    """Return the 403 for a client without a sufficient role."""
    return ApiError(
        403, "InsufficientPermissions", "The user has insufficient permissions for the requested operation."
    )


def conflicting_start(code: str = "ConflictWithAnotherIModelRequest") -> ApiError:
    """Return the 409 for a start while another start for the same iModel is in progress."""
    return ApiError(409, code, "The iModel is already processing this request.")


def header_not_found() -> ApiError:
    """Return the 401 for a request without a token."""
    return ApiError(
        401, "HeaderNotFound", "Header Authorization was not found in the request. Access denied.", headers=_CHALLENGE
    )


def invalid_scheme() -> ApiError:
    """Return the 401 for an Authorization header with another scheme than Bearer."""
    return ApiError(
        401,
        "InvalidAuthorizationScheme",
        "Header Authorization does not have the Bearer scheme. Access denied.",
        headers=_CHALLENGE,
    )


def invalid_header_value() -> ApiError:
    """Return the 401 for a Bearer header without a well-formed token."""
    return ApiError(
        401,
        "InvalidHeaderValue",
        "Header Authorization does not contain a well-formed token. Access denied.",
        headers=_CHALLENGE,
    )


def unauthorized() -> ApiError:
    """Return the 401 for a token that is expired, revoked, or from another issuer."""
    return ApiError(
        401,
        "Unauthorized",
        "The user is unauthorized. Please provide valid authentication credentials.",
        headers=_CHALLENGE,
    )


def required_scope_missing() -> ApiError:
    """Return the 401 for a token without the scope of the API."""
    return ApiError(
        401, "RequiredScopeMissing", "The access token does not have the required scope itwin-platform. Access denied."
    )


def unknown_client() -> ApiError:
    """Return the 401 for a token of an unregistered client; a new token does not help."""
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
"""The documentation has both codes, each with its own message."""


def too_many_requests(code: str = "RateLimitExceeded", headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the 429 for an exceeded rate limit."""
    return ApiError(429, code, RATE_LIMIT_MESSAGES[code], headers=headers)


def not_acceptable() -> ApiError:
    """Return the 406 for an unknown API version. It is not documented; the message is the emulator's own."""
    return ApiError(406, "NotAcceptable", "The requested media type is not supported.", target="Accept")


def unknown_path(method: str, path: str) -> ApiError:
    """Return the 404 for a path of no operation. It is not documented; the message is the emulator's own."""
    return ApiError(404, "ResourceNotFound", f"The iTwin Platform has no operation {method} {path}.")


_CHALLENGE = {"WWW-Authenticate": "Bearer"}
