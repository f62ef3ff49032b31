"""A request has one deadline from connect to the last byte, in both clients, whatever the server sends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import pytest

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinProtocolError
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Environment, Network
from airflow_provider_itwin.api.http.deadline import Deadline, DeadlineExceeded
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints, start
from tests.api.drivers import DRIVERS, Driver, World, call, driver
from tests.api.raw_server import Peer, serving

GET_CONNECTION = endpoints.get_connection(ConnectionKind.STORAGE, "c1")
BODY = b'{"connection":{"id":"c1"}}'
TIMEOUT = 0.6
LONGEST_TEST = 15.0
"""Seconds within which the request must end; without a deadline it would take half a minute or longer."""

Handler: TypeAlias = Callable[[Peer], None]


def after_request(*sends: tuple[str, bytes]) -> Handler:
    """Read the request, then send each of these: at once, slowly, or repeatedly."""

    def handle(peer: Peer) -> None:
        peer.request()
        for way, data in sends:
            getattr(peer, way)(data)

    return handle


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = CHUNKED + b"%x\r\n%s\r\n" % (len(BODY), BODY)
GZIP = OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"
"""The head of a gzip file that has a name, which ends at the first zero byte."""

ENDLESS: dict[str, Handler] = {
    "nothing is sent": lambda peer: peer.hold(),
    "nothing is answered": after_request(("hold", b"")),
    "status line": after_request(("send", b"HTTP/1.1 200 "), ("drip", b"O")),
    "header name": after_request(("send", OK), ("drip", b"x")),
    "header value": after_request(("send", OK + b"x: "), ("drip", b"y")),
    "headers": after_request(("send", OK), ("drip", b"x: y\r\n")),
    "100 Continue, slowly": after_request(("drip", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "100 Continue, fast": after_request(("flood", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "103 Early Hints": after_request(("flood", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")),
    "body of unknown length": after_request(("send", OK + b"\r\n"), ("drip", b" ")),
    "body of known length": after_request(("send", OK + b"Content-Length: 1000000\r\n\r\n"), ("drip", b" ")),
    "body that stops": after_request(("send", OK + b"Content-Length: 99\r\n\r\n{"), ("hold", b"")),
    "chunk size": after_request(("send", CHUNKED), ("drip", b"0")),
    "chunk extension, slowly": after_request(("send", CHUNKED + b"1;"), ("drip", b"x")),
    "chunk extension, fast": after_request(("send", CHUNKED + b"1;"), ("flood", b"x")),
    "chunks of one byte": after_request(("send", CHUNKED), ("drip", b"1\r\n \r\n")),
    "trailers, slowly": after_request(("send", ONE_CHUNK + b"0\r\n"), ("drip", b"x: y\r\n")),
    "trailers, fast": after_request(("send", ONE_CHUNK + b"0\r\n"), ("flood", b"x: y\r\n")),
    "gzip file name, slowly": after_request(("send", GZIP), ("drip", b"n")),
    "gzip file name, fast": after_request(("send", GZIP), ("flood", b"n")),
}


@contextmanager
def connected(name: str, environment: Environment, network: Network) -> Iterator[Driver]:
    world = World()
    with driver(name, world, world.account(ReadyToken("t0ken"), network, environment)) as made:
        yield made


def ends_in_time(made: Driver) -> None:
    began = time.monotonic()
    # The standard library reads a 103 as the final response, which is a protocol error.
    with pytest.raises((ITwinConnectionError, ITwinProtocolError)):
        call(made, GET_CONNECTION, retry_budget=0.0)
    assert time.monotonic() - began < LONGEST_TEST


@pytest.fixture(params=DRIVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("handle", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_response_is_aborted_at_the_deadline(name: str, handle: Handler) -> None:
    with (
        serving(handle) as port,
        connected(name, Environment.of(f"http://127.0.0.1:{port}"), Network(TIMEOUT)) as made,
    ):
        ends_in_time(made)


HANDSHAKES: dict[str, Handler] = {
    "nothing": lambda peer: peer.hold(),
    "a record, byte after byte": lambda peer: peer.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 1000),
    "empty records": lambda peer: peer.drip(b"\x16\x03\x03\x00\x00"),
}


@pytest.mark.parametrize("handle", HANDSHAKES.values(), ids=HANDSHAKES)
def test_an_endless_tls_handshake_is_aborted_at_the_deadline(name: str, handle: Handler) -> None:
    with (
        serving(handle) as port,
        connected(name, Environment.of(f"https://127.0.0.1:{port}"), Network(TIMEOUT)) as made,
    ):
        ends_in_time(made)


TUNNELS: dict[str, Handler] = {
    "nothing": after_request(("hold", b"")),
    "status line": after_request(("send", b"HTTP/1.1 200 "), ("drip", b"O")),
    "headers": after_request(("send", OK), ("drip", b"x: y\r\n")),
    "refusal": after_request(("send", b"HTTP/1.1 403 No\r\n"), ("drip", b"x: y\r\n")),
    "handshake": after_request(("send", OK + b"\r\n"), ("drip", b"\x16")),
}


@pytest.mark.parametrize("handle", TUNNELS.values(), ids=TUNNELS)
def test_an_endless_proxy_tunnel_is_aborted_at_the_deadline(name: str, handle: Handler) -> None:
    with serving(handle) as port:
        network = Network(TIMEOUT, proxies=(("https", f"http://127.0.0.1:{port}"),))
        with connected(name, Environment("https://itwin.example", "https://ims.itwin.example"), network) as made:
            ends_in_time(made)


def test_an_unanswered_connect_is_aborted_at_the_deadline(name: str) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # a full queue neither accepts nor refuses further connections
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        with connected(name, Environment.of(f"http://127.0.0.1:{address[1]}"), Network(TIMEOUT)) as made:
            ends_in_time(made)


def test_an_unread_request_body_is_aborted_at_the_deadline(name: str) -> None:
    body = {"sourceFiles": [{"id": "x" * 1000}] * 30_000}
    world = World()
    with serving(lambda peer: peer.hold()) as port:
        environment = Environment.of(f"http://127.0.0.1:{port}")
        with driver(name, world, world.account(ReadyToken("t"), Network(TIMEOUT), environment)) as made:
            began = time.monotonic()
            with pytest.raises(ITwinConnectionError):
                call(made, endpoints.start_run(ConnectionKind.MANIFEST, "c1", body), retry_budget=0.0)
    assert time.monotonic() - began < LONGEST_TEST


def test_each_request_on_a_connection_has_its_own_deadline(name: str) -> None:
    def handle(peer: Peer) -> None:
        while True:
            peer.request()
            time.sleep(0.6 * TIMEOUT)
            peer.send(OK + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))

    with (
        serving(handle) as port,
        connected(name, Environment.of(f"http://127.0.0.1:{port}"), Network(TIMEOUT)) as made,
    ):
        for _ in range(3):
            assert call(made, GET_CONNECTION, retry_budget=0.0).id == "c1"


def test_a_slow_response_within_the_deadline_is_returned(name: str) -> None:
    with (
        serving(after_request(("send", OK + b"Content-Length: 26\r\n\r\n"), ("drip", BODY))) as port,
        connected(name, Environment.of(f"http://127.0.0.1:{port}"), Network(10.0)) as made,
    ):
        assert call(made, GET_CONNECTION, retry_budget=0.0).id == "c1"


def test_all_addresses_of_a_host_share_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the synchronous client resolves names itself; aiohttp has one limit for all addresses."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        silent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())

        def answer(peer: Peer) -> None:
            peer.request()
            peer.send(OK + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))

        port = stack.enter_context(serving(answer))
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        found = [silent, good]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        environment = Environment.of(f"http://localhost:{port}")
        made = stack.enter_context(connected("sync", environment, Network(TIMEOUT)))

        assert call(made, GET_CONNECTION, retry_budget=0.0).id == "c1"
        made.close()

        found[:] = [silent] * 12
        ends_in_time(made)


def test_a_deadline_follows_its_clock() -> None:
    now = [100.0]
    limit = Deadline(5.0, 10, clock=lambda: now[0])

    now[0] = 104.0
    assert limit.left() == 1.0
    before = limit.is_over
    now[0] = 105.0
    assert (before, limit.is_over) == (False, True)
    with pytest.raises(DeadlineExceeded):
        limit.left()


def test_a_deadline_limits_the_bytes_of_the_response() -> None:
    limit = Deadline(5.0, 10)

    limit.count(10)
    with pytest.raises(OSError, match="are too large"):
        limit.count(1)


@pytest.mark.parametrize("kind", list(ConnectionKind))
def test_the_start_of_a_run_has_the_deadline_too(name: str, kind: ConnectionKind) -> None:
    with (
        serving(ENDLESS["headers"]) as port,
        connected(name, Environment.of(f"http://127.0.0.1:{port}"), Network(TIMEOUT)) as made,
    ):
        began = time.monotonic()
        with pytest.raises(ITwinConnectionError):
            made.run_flow(start.ensure_run(made.account, kind, "c1", {"exportType": "IFC"}, retry_budget=0.0))
    assert time.monotonic() - began < LONGEST_TEST
