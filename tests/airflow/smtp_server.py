"""A local mail server that stores its mails; it supports the part of SMTP that Airflow's notifier uses."""

from __future__ import annotations

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class SmtpServer:
    """Receives mails while it is entered; `mails` has them, oldest first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        office = self

        class Counter(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.send("220 localhost")
                for _ in range(1000):
                    command = self.rfile.readline().decode().strip().upper()
                    if command in ("", "QUIT"):
                        break
                    self.send("354 continue" if command == "DATA" else "250 fine")
                    if command == "DATA":
                        lines = iter(self.rfile.readline, b".\r\n")
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        office.mails.append(mail)
                        self.send("250 taken")
                self.send("221 bye")

            def send(self, answer: str) -> None:
                self.wfile.write(f"{answer}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Counter)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
