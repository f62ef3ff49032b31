"""
One deadline for a whole request of the synchronous client, from connect to the last byte of the body.

The timeouts of ``requests`` limit single waits: a server that sends one byte now and then never exceeds them. So the connections
here set the socket timeout to the remaining time before each connect, handshake, send and receive. The bytes of a response are
counted too, because headers, chunk extensions and trailers have no other limit.

Name resolution is not limited here: the operating system's resolver has its own timeout.

``requests`` and ``urllib3`` have no documented way to do this. The classes here override ``_new_conn``, ``_tunnel``,
``response_class`` and the pool classes; ``tests/airflow/test_version_compat.py`` fails when a new version no longer calls these.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError


class DeadlineExceeded(TimeoutError):  # noqa: N818 (a TimeoutError by another name)
    """The deadline of the request has passed."""


class Deadline:
    """
    The time by which a request must be complete.

    :param seconds: seconds from now
    :param most_bytes: bytes of the response including headers and framing, at most
    :param clock: a monotonic clock, in seconds
    """

    __slots__ = ("_clock", "_ends_at", "bytes_left")

    def __init__(self, seconds: float, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = clock() + seconds
        self.bytes_left = most_bytes

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self._ends_at

    def left(self) -> float:
        """
        Return the remaining seconds, more than 0.

        :raises DeadlineExceeded: if the deadline has passed
        """
        seconds = self._ends_at - self._clock()
        if seconds <= 0:
            raise DeadlineExceeded("the deadline of the request has passed")
        return seconds

    def count(self, received: int) -> None:
        """
        Count received bytes.

        :raises OSError: if the response has too many
        """
        self.bytes_left -= received
        if self.bytes_left < 0:
            raise OSError("the headers and framing of the response are too large")


_current: ContextVar[Deadline | None] = ContextVar("itwin_request_deadline", default=None)


@contextmanager
def deadline(limit: Deadline) -> Iterator[None]:
    """Apply `limit` to the request that is made in the block."""
    token = _current.set(limit)
    try:
        yield
    finally:
        _current.reset(token)


class _Reader(io.RawIOBase):
    """Reads from a socket until the deadline."""

    def __init__(self, sock: socket.socket, limit: Deadline) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._limit.left())
        received: int | None = self._raw.readinto(buffer)
        self._limit.count(received or 0)
        return received

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _SocketWithDeadline:
    """The part of a socket that ``http.client`` uses to read a response."""

    def __init__(self, sock: socket.socket, limit: Deadline) -> None:
        self._sock = sock
        self._limit = limit

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._limit))


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **settings: Any) -> None:
        limit = _current.get()
        super().__init__(sock if limit is None else _SocketWithDeadline(sock, limit), *args, **settings)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    """A connection whose waits end at the deadline of the current request."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that accepts; the connect timeout is shared by all addresses."""
        limit = _current.get()
        if limit is None:
            return super()._new_conn()
        connect = Deadline(min(self.timeout or limit.left(), limit.left()), 0)
        failure: OSError = OSError("the name has no address")
        try:
            addresses = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, reason) from error
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(connect.left() / (len(addresses) - tried))
                sock.connect(address)
                sock.settimeout(limit.left())
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from failure
        raise NewConnectionError(self, f"Failed to establish a new connection: {failure}") from failure

    def _tunnel(self) -> None:
        super()._tunnel()
        self._keep_to_deadline()

    def send(self, data: Any) -> None:
        """Send until the deadline."""
        if self.sock is not None:
            self._keep_to_deadline()
        super().send(data)

    def _keep_to_deadline(self) -> None:
        limit = _current.get()
        if limit is not None and self.sock is not None:
            self.sock.settimeout(limit.left())


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class DeadlineAdapter(HTTPAdapter):
    """
    Makes the requests of a session keep to the deadline of :func:`deadline`.

    :param proxy_authorization: the header for each proxy, by its URL, for those that want one
    """

    def __init__(self, proxy_authorization: dict[str, str] | None = None) -> None:
        self._proxy_authorization = proxy_authorization or {}
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **settings)
        _use_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **settings)
        _use_pools(manager)
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return what identifies us to a proxy."""
        header = self._proxy_authorization.get(proxy)
        return {"Proxy-Authorization": header} if header else {}


def _use_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
