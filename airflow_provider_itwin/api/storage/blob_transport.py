"""
Transfers from and to pre-signed URLs.

A pre-signed URL is a secret: its signature allows everybody to read or write a file. So it is in no error text and no ``repr``,
and a request to it carries no credentials of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinServerError,
    ITwinUntrustedHostError,
)
from airflow_provider_itwin.api.http.config import Account, is_loopback
from airflow_provider_itwin.api.http.deadline import Deadline, deadline
from airflow_provider_itwin.api.http.error_mapping import retry_after
from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.http.proxies import proxy_for
from airflow_provider_itwin.api.http.session import new_session
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.redaction import HIDDEN, excerpt

CHUNK = 1 << 18
"""Bytes that are read and written at once."""

_LOWEST_RATE = 16 * 1024
"""Bytes a second, on average, below which a transfer fails."""

_LARGEST_ERROR = 1 << 14
_HEAD = 1 << 20


class Body(Protocol):
    """The content of a request: its size, and an iteration over its bytes, once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class BlobResponse:
    """
    A response of the blob storage.

    :param status: its status
    :param headers: its headers, by lower-case names
    :param code: the error code of the blob storage, such as ``AuthenticationFailed``; None for none
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    code: str | None = None
    _raw: Any = field(default=None, repr=False)

    def chunks(self) -> Iterator[bytes]:
        """
        Yield the content.

        :raises ITwinConnectionError: if it ends early, or stalls
        """
        while part := self._raw.read1(CHUNK, decode_content=False):
            yield part


class _TransferDeadline(Deadline):
    """The deadline of a transfer; each wait within it ends after `stall` seconds without a byte."""

    __slots__ = ("_stall",)

    def __init__(self, size: int, stall: float) -> None:
        super().__init__(stall + size / _LOWEST_RATE, size + _HEAD)
        self._stall = stall

    def left(self) -> float:
        """Return the seconds that one wait may take."""
        return min(self._stall, super().left())


class BlobTransport:
    """
    Sends requests to pre-signed URLs; can be used by several threads.

    :param account: gives network settings; its credentials are never sent
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._verify = Transport.of(account).verify
        self._session = new_session({})
        self._proxied: dict[str, requests.Session] = {}

    def close(self) -> None:
        """Close the connections."""
        for session in (self._session, *self._proxied.values()):
            session.close()

    def put(self, url: str, body: Body | bytes, headers: Mapping[str, str] | None = None) -> BlobResponse:
        """
        Write to `url`.

        :param body: the content
        :param headers: headers of the request
        :return: the response, whatever its status
        :raises ITwinConnectionError: if there was no complete response
        """
        with self._request("PUT", url, headers or {}, body, len(body)) as response:
            return response

    @contextmanager
    def get(self, url: str, size: int, headers: Mapping[str, str] | None = None) -> Iterator[BlobResponse]:
        """
        Read from `url`; the content is read in the block.

        :param size: bytes of the content, at most
        :param headers: headers of the request
        :raises ITwinConnectionError: if there was no complete response, also in the block
        """
        with self._request("GET", url, {"accept-encoding": "identity", **(headers or {})}, None, size) as response:
            yield response

    @contextmanager
    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | bytes | None, size: int
    ) -> Iterator[BlobResponse]:
        host = checked_url(self._account, url)
        stall = self._account.network.timeout
        limit = _TransferDeadline(size, stall)
        session, proxies = self._session_for(url)
        try:
            with (
                deadline(limit),
                session.request(
                    method,
                    url,
                    headers={"user-agent": self._account.user_agent, **headers},
                    data=_data(body),
                    timeout=(max(1.0, stall / 6), stall),
                    verify=self._verify,
                    proxies=proxies,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                lower = {name.lower(): value for name, value in response.headers.items()}
                code = _error_code(lower, response) if response.status_code >= 400 else None
                yield BlobResponse(response.status_code, lower, code, response.raw)
        except ITwinError:
            raise
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if isinstance(error, _SourceError):
                raise error.original from None
            raise no_response(method, host, error, url) from None

    def _session_for(self, url: str) -> tuple[requests.Session, dict[str, str]]:
        network = self._account.network
        proxy = proxy_for(url, network.proxies, use_environment=not self._account.environment.is_local)
        if proxy is None:
            return self._session, {}
        if proxy.url not in self._proxied:
            self._proxied[proxy.url] = new_session({proxy.url: proxy.authorization} if proxy.authorization else {})
        return self._proxied[proxy.url], {"http": proxy.url, "https": proxy.url}


def checked_url(account: Account, url: str) -> str:
    """
    Return the host of a pre-signed URL.

    :raises ITwinUntrustedHostError: if the content would be sent unencrypted, or the URL is none
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_safe = parts.scheme == "https" or (
            parts.scheme == "http" and is_loopback(host) and account.environment.is_local
        )
        is_whole = bool(host) and parts.username is None and parts.port != 0
    except ValueError:
        is_safe = is_whole = False
        host = ""
    if not (is_safe and is_whole and url.isascii() and url.isprintable()):
        raise ITwinUntrustedHostError(
            f"The service returned an invalid URL for the content of a file (host {host!r}): it must be https without "
            "credentials"
        )
    return host


def no_response(method: str, host: str, error: Exception, url: str) -> ITwinConnectionError:
    """Return the error for a request without a complete response; the URL is not in its text."""
    reason = "timeout" if "timed out" in str(error) or isinstance(error, TimeoutError) else None
    if reason is None:
        text = str(error).replace(url, HIDDEN)
        query = urlsplit(url).query
        reason = f"{type(error).__name__}: {text.replace(query, HIDDEN) if query else text}"
    return ITwinConnectionError(
        f"{method} of the content of a file, at {host}, got no complete response: {excerpt(reason, 300)}"
    )


def as_error(response: BlobResponse, method: str, url: str) -> ITwinError:
    """
    Return the error for a response that is not a success.

    A refusal is final only if it has an error code of the blob storage. Any other comes from a gateway or a proxy in between: it
    says nothing about the content or the URL, and is temporary.
    """
    cls: type[ITwinError] = {403: ITwinPermissionError, 404: ITwinNotFoundError}.get(
        response.status, ITwinInvalidRequestError
    )
    hint = None
    if response.status in (408, 425, 429) or response.status >= 500:
        cls = ITwinServerError
    elif response.code is None:
        cls = ITwinProtocolError
        hint = "This may be the response of a gateway or a proxy: check the proxies of the worker."
    return cls(
        f"{method} of the content of a file, at {urlsplit(url).hostname}, returned {response.status}",
        status=response.status,
        code=response.code,
        correlation_id=response.headers.get("x-ms-request-id"),
        hint=hint,
        retry_after=retry_after(Response(response.status, response.headers)),
    )


_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,80})</Code>")


def _error_code(headers: Mapping[str, str], response: requests.Response) -> str | None:
    """Return the error code of Azure's blob storage; its message is left out, as it may repeat the signature."""
    code = headers.get("x-ms-error-code")
    if code is None:
        found = _CODE.search(response.raw.read(_LARGEST_ERROR, decode_content=False))
        code = found[1].decode() if found else None
    return excerpt(code, 80) if code else None


def _data(body: Body | bytes | None) -> Any:
    if body is None or isinstance(body, bytes):
        return body
    # For an empty iteration, requests would choose a transfer encoding that blob storages refuse.
    return _Reader(body) if len(body) else b""


class _SourceError(ValueError):
    """Carries an error of the source through the HTTP library."""

    def __init__(self, original: BaseException) -> None:
        super().__init__("the source could not be read")
        self.original = original


class _Reader:
    """The body of a request as ``requests`` wants it: with a length, and an iteration."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._size = len(body)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except Exception as error:  # noqa: BLE001 (any error of the source must not look like one of the network)
            raise _SourceError(error) from None
