"""Exceptions of the iTwin Platform client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from airflow_provider_itwin.api.redaction import excerpt

_LONGEST_SUMMARY = 1000
_LONGEST_MESSAGE = 600
_LONGEST_DETAIL = 300
_LONGEST_NAME = 200
_MOST_DETAILS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """
    One entry of the ``details`` of an error.

    :param code: code of the detail
    :param message: message of the detail
    :param target: the field that it is about
    """

    code: str | None = None
    message: str | None = None
    target: str | None = None

    def __str__(self) -> str:
        place = f" (target {self.target})" if self.target else ""
        return f"{self.code or 'no code'}{place}: {self.message or 'no message'}"


class ITwinInputError(ValueError):
    """
    An id, a parameter or a setting is invalid; no request was sent.

    It differs from other ``ValueError``, which can be mistakes of a program rather than of a user.
    """


class ITwinError(Exception):
    """
    Base of the errors of a request to the iTwin Platform.

    :param summary: what happened, in one sentence
    :param status: HTTP status of the response, None if there was none
    :param code: ``error.code`` of the response, such as ``StorageConnectionNotFound``
    :param message: ``error.message`` of the response
    :param target: ``error.target`` of the response
    :param details: ``error.details`` of the response
    :param correlation_id: ``x-correlation-id`` of the response; Bentley's support asks for it
    :param method: HTTP method of the request
    :param url: URL of the request, without its query
    :param hint: what to do about it
    :param retry_after: ``Retry-After`` of the response in seconds, None if it had none
    """

    transient: ClassVar[bool] = False
    """Whether a retry of the same request can succeed."""

    def __init__(
        self,
        summary: str,
        *,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
        target: str | None = None,
        details: tuple[ErrorDetail, ...] = (),
        correlation_id: str | None = None,
        method: str | None = None,
        url: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        # The caller masks the secrets that it knows; the other rules for remote text are applied here.
        summary = excerpt(summary, _LONGEST_SUMMARY)
        super().__init__(summary)
        self.summary = summary
        self.status = status
        self.code = _bounded(code, _LONGEST_NAME)
        self.message = _bounded(message, _LONGEST_MESSAGE)
        self.target = _bounded(target, _LONGEST_NAME)
        self.details = tuple(
            ErrorDetail(
                _bounded(detail.code, _LONGEST_NAME),
                _bounded(detail.message, _LONGEST_DETAIL),
                _bounded(detail.target, _LONGEST_NAME),
            )
            for detail in details
        )
        self.correlation_id = _bounded(correlation_id, _LONGEST_NAME)
        self.method = method
        self.url = url
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        reason = self.code or ""
        if self.message:
            reason += f": {self.message}" if reason else self.message
        if self.target:
            reason += f" (target {self.target})"
        parts = [self.summary.rstrip(".") + "."]
        if reason:
            parts.append(f"The service returned {reason.rstrip('.')}.")
        if self.details:
            shown = [str(detail).rstrip(".") for detail in self.details[:_MOST_DETAILS_SHOWN]]
            if (left := len(self.details) - len(shown)) > 0:
                shown.append(f"{left} more")
            parts.append("Details: " + "; ".join(shown) + ".")
        if self.method and self.url:
            parts.append(f"Request: {self.method} {self.url}.")
        if self.correlation_id:
            parts.append(f"Correlation id: {self.correlation_id}.")
        if self.hint:
            parts.append(self.hint)
        return " ".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (type(self), self.summary, {key: vars(self)[key] for key in _FACTS}))

    def with_hint(self, hint: str) -> Self:
        """Set the hint unless there is one already, and return the error itself."""
        self.hint = self.hint or hint
        return self


_FACTS = (
    "status",
    "code",
    "message",
    "target",
    "details",
    "correlation_id",
    "method",
    "url",
    "hint",
    "retry_after",
)


def _bounded(text: str | None, longest: int) -> str | None:
    return None if text is None else excerpt(text, longest)


def _rebuilt(cls: type[ITwinError], summary: str, facts: dict[str, Any]) -> ITwinError:
    return cls(summary, **facts)


class ITwinAuthenticationError(ITwinError):
    """The service or the token endpoint refused the credentials (401)."""


class ITwinPermissionError(ITwinError):
    """The service application lacks a role in the iTwin (403)."""


class ITwinNotFoundError(ITwinError):
    """The connection or run does not exist, or the service application cannot see it (404)."""

    is_explained = False
    """Whether it was checked what the id is; see :mod:`~airflow_provider_itwin.api.runs.not_found`."""

    is_certain = False
    """Whether it is certain that waiting does not help: the id is of another kind, or the run is in no list."""


class ITwinInvalidRequestError(ITwinError):
    """The service refused the content of the request (422, 400 and others)."""


class ITwinConflictError(ITwinError):
    """The request conflicts with another one (409)."""


class ITwinRateLimitError(ITwinError):
    """The account exceeded its rate limit (429)."""

    transient = True


class ITwinServerError(ITwinError):
    """The service failed (5xx)."""

    transient = True


class ITwinConnectionError(ITwinError):
    """There was no complete response: name resolution, connect, TLS, reset, timeout, truncated body."""

    transient = True


class ITwinProtocolError(ITwinError):
    """The response is not one that the service documents."""

    transient = True


class ITwinUntrustedHostError(ITwinError):
    """A token or a secret would be sent to a host that it is not meant for."""


class ITwinWaitTimeoutError(ITwinError):
    """The run had not finished when the wait timed out."""


class ITwinRunNotFinishedError(ITwinError):
    """The run has not ended, but what it has done was asked for."""

    transient = True


class ITwinFileError(ITwinError):
    """A local file, or an object of an object store, could not be read or written."""

    transient = True


class ITwinJobNotFinishedError(ITwinError):
    """The job has not ended, or has no result."""


class ITwinJobStartInDoubtError(ITwinError):
    """It is unknown whether a job was started, and a second one could do harm."""


class ITwinUnclearChangesError(ITwinError):
    """It cannot be told which changeset of an iModel a run has pushed."""


class ITwinNamedVersionExistsError(ITwinError):
    """The name belongs to another changeset, or the changeset has another name."""


class ITwinFileExistsError(ITwinError):
    """The file exists, differs from what was to be written, and must not be replaced."""


class ITwinStoppedError(ITwinError):
    """The task was stopped before it was done."""

    transient = True
