"""A blob storage on loopback that responds as a test tells it to, and notes what it was sent."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Behavior:
    """
    How one request is answered.

    :param cut: bytes of the body after which the connection is cut; None: the whole body
    :param hold: whether the connection stays open in silence instead of being cut
    :param status: a status other than that of a success; None: 200 or 206
    :param headers: headers that replace others
    :param ignores_range: whether the whole content is returned
    :param extra: bytes after the content
    :param before: called before the response
    :param body: body of a response that is no success
    """

    cut: int | None = None
    hold: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ignores_range: bool = False
    extra: bytes = b""
    before: Any = None
    body: bytes = b"<Error><Code>Told</Code><Message>no</Message></Error>"


GOOD = Behavior()


class BlobServer:
    """
    The blob storage: one content.

    :param content: the content
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"v1"'
        self.behaviors: list[Behavior] = []
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.url = ""
        self.stop = threading.Event()

    def replace(self, content: bytes, etag: str) -> None:
        """Replace the content."""
        self.content, self.etag = content, etag

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were requested."""
        return [headers.get("range") for headers in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.requests.append({name.lower(): value for name, value in handler.headers.items()})
        self.paths.append(handler.path)
        behavior = self.behaviors.pop(0) if self.behaviors else GOOD
        if behavior.before is not None:
            behavior.before()
        body, headers, status = self.content, {}, 200
        wanted = handler.headers.get("Range")
        match = handler.headers.get("If-Match")
        if behavior.status is None and match is not None and match != self.etag:
            behavior = Behavior(status=412)
        if wanted and not behavior.ignores_range:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(body):
                behavior = Behavior(status=416)
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            body, status = body[first:], 206
        body += behavior.extra
        if behavior.status is not None:
            status, headers, body = behavior.status, {}, behavior.body
        if self.etag:
            headers["ETag"] = self.etag
        handler.send_response_only(status)
        for name, value in ({"Content-Length": str(len(body))} | headers | behavior.headers).items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body if behavior.cut is None else body[: behavior.cut])
        handler.wfile.flush()
        if behavior.hold:
            self.stop.wait(20.0)
        if behavior.cut is not None:
            handler.close_connection = True


@contextmanager
def serving(content: bytes) -> Iterator[BlobServer]:
    """Serve a content."""
    blob = BlobServer(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            blob.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client has gone
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    blob.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield blob
    finally:
        blob.stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
