"""Calls, requests and responses, and what a request flow and its driver pass to one another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from airflow_provider_itwin.api.errors import ITwinError

T = TypeVar("T")

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of one response after decompression, at most; a run of 5,000 files has about five million."""


# Each poll creates several of these: creating a struct takes a tenth of the time of a frozen dataclass. Structs that cannot be
# part of a cycle are not tracked by the garbage collector.


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, complete."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.url!r})"


class Response(msgspec.Struct, frozen=True, gc=False):
    """
    One HTTP response, complete.

    :param headers: the headers; look them up by lower-case names
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status!r})"


def http_date(text: str | None) -> datetime | None:
    """Parse the date of an HTTP header; return it in UTC, None if it is missing or invalid."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def server_time(response: Response) -> datetime | None:
    """Return the ``Date`` of the response, the service's own clock; None if it is missing or invalid."""
    return http_date(response.headers.get("date"))


class NoResponse(msgspec.Struct, frozen=True, gc=False):
    """The request got no complete response; `reason` contains no secrets."""

    reason: str


class Send(msgspec.Struct, frozen=True, gc=False):
    """
    Send a request. The result is a :class:`Response` or a :class:`NoResponse`.

    :param counts: whether the request counts against the account's rate limit
    :param latest: latest time, on the account's clock, to send the request. If its turn in the rate limit comes later, the
        request is not sent and the result is :data:`NO_TURN`
    """

    request: Request
    counts: bool = True
    latest: float = inf


class Pause(msgspec.Struct, frozen=True):
    """
    Resume the flow after `seconds`.

    :param error: the error that is retried, which is logged; None for the pause between two polls
    """

    seconds: float
    error: ITwinError | None = None


class Authorize(msgspec.Struct, frozen=True, gc=False):
    """
    Get a :class:`Token`; if that fails, the error is thrown into the flow.

    :param refused: the token that the service refused, so that it is replaced; None for none
    :param retry_budget: seconds for which temporary errors of the token endpoint are retried
    """

    refused: Token | None
    retry_budget: float


NO_TURN = NoResponse("the rate limit ([itwin], or a Retry-After of the service) leaves no time for it")
"""The result of a request that was not sent because its turn in the rate limit was too late."""

Flow: TypeAlias = Generator["Send | Pause | Authorize", Any, T]
"""A generator that yields what is to be done, is sent the result of each, and returns a `T`."""


@dataclass(frozen=True, slots=True)
class Token:
    """
    An access token.

    :param value: the token itself, not part of the ``repr``
    :param renew_at: time, on the caller's clock, at which the token is replaced; None for a token that cannot be renewed
    """

    value: str = field(repr=False)
    renew_at: float | None = None

    def is_good(self, now: float) -> bool:
        """Return whether the token can be used at `now` without the risk that it expires during the request."""
        return self.renew_at is None or now < self.renew_at


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One operation with its arguments.

    :param operation: the name of the operation in the API documentation
    :param path: path below the base URL of the API, quoted
    :param read: parses an accepted response; may raise ``ITwinProtocolError``
    :param accepts: statuses of success; all others are errors
    :param conflict_passes: whether a 409 is temporary, as it is while a run is being created
    """

    operation: str
    method: str
    path: str
    read: Callable[[Response], T]
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    accepts: frozenset[int] = frozenset({200})
    conflict_passes: bool = False
