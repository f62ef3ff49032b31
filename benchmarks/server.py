"""
A minimal stub of the services: TLS on loopback, in a process of its own.

Its only state is the time of each request, because a run id contains the end time of the run. Its first line on stdout is its
port. Each line on stdin is ``counts`` or ``moments`` with two times, and is answered with the requests between them. The
process ends with stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any, cast

from benchmarks.bodies import FILES, databricks_run, dbt_run, finish_of, itwin_run
from benchmarks.certificate import HOST
from benchmarks.machine import pin

_END_OF_HEAD = b"\r\n\r\n"
_TOKEN = b'{"access_token":"bench-token","expires_in":3600,"token_type":"Bearer","scope":"itwin-platform"}'


def _answer(body: bytes, status: str = "200 OK") -> bytes:
    """Build a complete response, with about as many headers as an API gateway sends."""
    head = (
        f"HTTP/1.1 {status}\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Date: Mon, 02 Mar 2026 01:07:24 GMT\r\n"
        "Cache-Control: no-cache\r\n"
        "Strict-Transport-Security: max-age=15724800; includeSubDomains\r\n"
        "X-Correlation-Id: 5a1d4b1e-8d04-4a5b-9a1e-0c7c7a5d1f00\r\n"
        "X-ITwinPlatform-Media-Type: bentley.itwin-platform.v1\r\n"
        "X-ITwinPlatform-Region: East US\r\n"
        "Request-Context: appId=cid-v1:5a1d4b1e-8d04-4a5b-9a1e-0c7c7a5d1f00\r\n"
    )
    return head.encode() + b"\r\n" + body


class Stub:
    """
    The responses, and the counts of requests.

    :param files: files of an iTwin run, which determine the size of its response
    """

    def __init__(self, files: int = FILES) -> None:
        self.connected_at = array("d")
        self.polled_at = array("d")
        self.tokens_at = array("d")
        self.misunderstood = 0
        self._itwin = self._both(lambda finished: itwin_run(finished=finished, files=files))
        self._dbt = self._both(lambda finished: dbt_run(finished=finished))
        self._databricks = self._both(lambda finished: databricks_run(finished=finished))
        self._token = _answer(_TOKEN)
        self._unknown = _answer(b'{"error":{"code":"NotFound","message":"No such resource"}}', "404 Not Found")

    @staticmethod
    def _both(body: Callable[[bool], bytes]) -> tuple[bytes, bytes]:
        return _answer(body(False)), _answer(body(True))

    def answer(self, path: bytes, body: bytes) -> bytes:
        """Return the response to one request."""
        if path.startswith(b"/synchronization/"):
            return self._state_of(path.rpartition(b"/")[2], self._itwin)
        if path.startswith(b"/api/v2/accounts/"):
            return self._state_of(path.rstrip(b"/").rpartition(b"/")[2], self._dbt)
        if path.startswith(b"/api/") and path.endswith(b"/jobs/runs/get"):
            return self._state_of(str(json.loads(body)["run_id"]).encode(), self._databricks)
        if path == b"/connect/token":
            self.tokens_at.append(time.monotonic())
            return self._token
        self.misunderstood += 1
        return self._unknown

    def _state_of(self, name: bytes, answers: tuple[bytes, bytes]) -> bytes:
        now = time.monotonic()
        self.polled_at.append(now)
        return answers[now >= finish_of(name)]

    def between(self, begin: float, end: float) -> dict[str, int]:
        """Return the counts between two times."""
        counts = {"connections": self.connected_at, "polls": self.polled_at, "tokens": self.tokens_at}
        found = {name: sum(begin <= at < end for at in moments) for name, moments in counts.items()}
        return found | {"misunderstood": self.misunderstood}

    def moments(self, begin: float, end: float) -> dict[str, list[float]]:
        """Return the time of each poll between two times."""
        return {"moments": [at for at in self.polled_at if begin <= at < end]}


class _Conversation(asyncio.Protocol):
    """One connection, which answers requests in order."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection after its TLS handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._stub.connected_at.append(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._received = received = self._received + data if self._received else data
        while (end := received.find(_END_OF_HEAD)) >= 0:
            head = received[:end]
            length = _content_length(head)
            whole = end + len(_END_OF_HEAD) + length
            if len(received) < whole:
                break
            path = head.split(b" ", 2)[1]
            if self._transport is not None:
                self._transport.write(self._stub.answer(path, received[whole - length : whole]))
            received = received[whole:]
        self._received = received


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(lowered[at + 17 :].split(b"\r\n", 1)[0])


async def _serve(stub: Stub, tls: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Conversation(stub), HOST, 0, ssl=tls, backlog=4096)
    _say(str(server.sockets[0].getsockname()[1]))
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while line := await questions.readline():
        what, begin, end = line.split()
        answer: dict[str, Any] = (stub.moments if what == b"moments" else stub.between)(float(begin), float(end))
        _say(json.dumps(answer | {"cpu": time.process_time()}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest available event loop, because the CPU time of the server is not measured."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    pin(options.cpu)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate, options.key)
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(Stub(options.files), tls))


if __name__ == "__main__":
    main()
