"""A server on loopback that writes bytes as it is told to, HTTP or not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DRIP = 0.05
"""Seconds between two bytes; far less than any timeout."""


class Peer:
    """The other end of one connection."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self.sock = sock
        self._stop = stop

    def request(self) -> bytes:
        """Read the head of a request."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.sock.recv(65536)
            if not part:
                raise ConnectionError("the client has gone")
            head += part
        return head

    def send(self, data: bytes) -> None:
        """Send at once."""
        self.sock.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send byte after byte, and begin again, for as long as somebody listens."""
        while not self._stop.is_set():
            for byte in data:
                self.sock.sendall(bytes([byte]))
                if self._stop.wait(DRIP):
                    return

    def flood(self, data: bytes) -> None:
        """Send as fast as possible, for as long as somebody listens."""
        block = data * max(1, 65536 // len(data))
        while not self._stop.is_set():
            self.sock.sendall(block)

    def hold(self, _: bytes = b"") -> None:
        """Send nothing, and keep the connection open."""
        self._stop.wait(30.0)


@contextmanager
def serving(handle: Callable[[Peer], None]) -> Iterator[int]:
    """Serve each connection with `handle`, and give the port."""
    stop = threading.Event()
    threads = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            handle(Peer(sock, stop))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(5.0)
