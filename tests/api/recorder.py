"""A server, or a proxy, on loopback that notes what it is sent, header by header, and answers what it is told to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    """Path and query; behind a proxy the whole URL."""
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


Answering: TypeAlias = Callable[[Received], tuple[int, dict[str, str], bytes]]

TOKEN = b'{"access_token":"t0ken","expires_in":3600,"token_type":"Bearer"}'
CONNECTION = b'{"connection":{"id":"c1"},"connections":[]}'


def usual(received: Received) -> tuple[int, dict[str, str], bytes]:
    """Answer as the platform would: a token, an accepted run, a connection."""
    if received.target.endswith("/connect/token"):
        return 200, {}, TOKEN
    if received.method == "POST":
        return 202, {"Location": f"{received.target.removesuffix('/run').removesuffix('/runs')}/runs/r1"}, b""
    return 200, {"Date": "Sun, 06 Nov 1994 12:00:00 GMT"}, CONNECTION


class Recorder:
    """The server; `answer` may be replaced at any time."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Answering = usual
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # header and body leave together, as they do from a real server

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, body)
                recorder.received.append(received)
                status, extra, content = recorder.answer(received)
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(content)), **extra}.items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_any  # noqa: N815 -- so it is called

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What was asked for so far."""
        return [f"{one.method} {one.target}" for one in self.received]

    @contextmanager
    def serving(self) -> Iterator[Recorder]:
        """Serve for as long as the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(10.0)
