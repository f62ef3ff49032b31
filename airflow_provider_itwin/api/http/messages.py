"""Calls, requests and responses, and what a request flow and its driver pass to one another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from airflow_provider_itwin.api.errors import ITwinError

T = TypeVar("T")

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of one answer, after decompression, that a driver accepts; a run of 5,000 files takes about five million."""


# Each poll makes several of these, and structs are made in a tenth of the time that frozen dataclasses take. Those that
# can be part of no cycle are nothing for the garbage collector to know.


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
    One HTTP answer, complete.

    :param headers: to be asked for by names in lower case
    :param in_doubt: whether the same call was tried before and its fate is unknown, so that this answer may be about its effect
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    in_doubt: bool = False

    def __repr__(self) -> str:
        return f"Reply({self.status!r}, in_doubt={self.in_doubt!r})"


def http_date(text: str | None) -> datetime | None:
    """Read a date as HTTP headers spell it, in UTC; None if there is none, or it cannot be read."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def server_time(response: Response) -> datetime | None:
    """Give the moment of the answer by the service's own clock, its ``Date`` header; None if it gave none."""
    return http_date(response.headers.get("date"))


class NoResponse(msgspec.Struct, frozen=True, gc=False):
    """There was no complete answer; `reason` is free of secrets."""

    reason: str


class Send(msgspec.Struct, frozen=True, gc=False):
    """
    An exchange wants this request sent; it is given a :class:`Response` or a :class:`NoResponse`.

    :param counts: whether the request counts against the account's limits
    :param latest: moment of the account's clock after which its turn would come too late: it is then not sent
    """

    request: Request
    counts: bool = True
    latest: float = inf


class Pause(msgspec.Struct, frozen=True):
    """An exchange wants to be resumed after that many seconds; `error` says why, None for the pause between two polls."""

    seconds: float
    error: ITwinError | None = None


class Authorize(msgspec.Struct, frozen=True, gc=False):
    """
    An exchange wants a :class:`~.Token`; if there is none to be had, the error is thrown into it.

    :param refused: a token that the service did not take: another one is wanted
    :param retry_budget: seconds that fetching one may take
    """

    refused: Token | None
    retry_budget: float


NO_TURN = NoResponse("neither the service nor [itwin] lets it be asked in time")
"""What comes of a request whose turn would have come too late."""

Flow: TypeAlias = Generator["Send | Pause | Authorize", Any, T]
"""A conversation with the service that gives a `T`: it yields what it wants done and is sent what came of it."""


@dataclass(frozen=True, slots=True)
class Token:
    """
    An access token.

    :param value: the token itself, never shown
    :param renew_at: moment on the caller's clock from which on another one should be fetched; None for a token that cannot
        be renewed
    """

    value: str = field(repr=False)
    renew_at: float | None = None

    def is_good(self, now: float) -> bool:
        """Whether it can still be used at `now` without a risk of expiring on the way."""
        return self.renew_at is None or now < self.renew_at


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One operation with its arguments.

    :param operation: the operation's name in the API's documentation
    :param path: path below the base of the API, quoted
    :param read: makes of an accepted answer what the operation gives; may raise ``ITwinProtocolError``
    :param accepts: statuses that are answers, all others being errors
    :param conflict_passes: whether a 409 goes away by itself, as it does for a run that is just being created
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
