"""What can go wrong between us and the iTwin Platform: one exception per meaning."""

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
    """One entry of the ``details`` that the service gives with an error."""

    code: str | None = None
    message: str | None = None
    target: str | None = None

    def __str__(self) -> str:
        place = f" (target {self.target})" if self.target else ""
        return f"{self.code or 'no code'}{place}: {self.message or 'no message'}"


class ITwinInputError(ValueError):
    """
    An id, a parameter, or a setting is invalid; nothing was sent because of it.

    A class of its own, so that no other ``ValueError`` is taken for a mistake of the user.
    """


class ITwinError(Exception):
    """
    Something went wrong in talking with the iTwin Platform; its subclasses say what.

    :param summary: one sentence of ours: what happened
    :param status: HTTP status of the answer, None if there was none
    :param code: ``error.code`` of the answer, such as ``StorageConnectionNotFound``
    :param message: ``error.message`` of the answer
    :param target: ``error.target`` of the answer
    :param details: ``error.details`` of the answer
    :param correlation_id: ``x-correlation-id`` of the answer; Bentley's support asks for it
    :param method: HTTP method of the request
    :param url: URL of the request, without its query
    :param hint: what to do about it
    :param retry_after: seconds that the service asked to wait, None if it did not ask
    """

    transient: ClassVar[bool] = False
    """Whether the same request can succeed later with nothing changed on our side."""

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
        # Whoever raises this has removed the secrets that it knows; here the rest of the gate for remote text is kept for all.
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
        said = self.code or ""
        if self.message:
            said += f": {self.message}" if said else self.message
        if self.target:
            said += f" (target {self.target})"
        parts = [self.summary.rstrip(".") + "."]
        if said:
            parts.append(f"The service said {said.rstrip('.')}.")
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
        """Add a sentence on what to do, unless there is one already, and give the error itself."""
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
    """The credentials or the token were refused (401, or a refusal by the token endpoint)."""


class ITwinPermissionError(ITwinError):
    """The service application may not do this (403): it lacks a role in the iTwin."""


class ITwinNotFoundError(ITwinError):
    """There is no such connection or run, or the service application cannot see it (404)."""


class ITwinInvalidRequestError(ITwinError):
    """The service could not make sense of the request (422, 400 and other refusals of its content)."""


class ITwinConflictError(ITwinError):
    """Another request got there first (409)."""


class ITwinRateLimitError(ITwinError):
    """More requests were sent than the account's tier allows (429)."""

    transient = True


class ITwinServerError(ITwinError):
    """The service failed (5xx)."""

    transient = True


class ITwinConnectionError(ITwinError):
    """There was no complete answer: name resolution, connect, TLS, reset, timeout, truncated body."""

    transient = True


class ITwinProtocolError(ITwinError):
    """There was an answer, but not one that the service's documentation allows for."""

    transient = True


class ITwinUntrustedHostError(ITwinError):
    """Going on would send a token or a secret to a host that it is not meant for."""


class ITwinWaitTimeoutError(ITwinError):
    """The run was still going on when the time limit of the wait had passed."""
