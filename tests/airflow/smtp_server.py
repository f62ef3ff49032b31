"""A mail server on this machine that keeps what it is given; it speaks as much SMTP as Airflow's notifier needs."""

from __future__ import annotations

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class SmtpServer:
    """Takes mails from when it is entered until it is left; `mails` has them, oldest first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        office = self

        class Counter(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 localhost")
                for _ in range(1000):
                    command = self.rfile.readline().decode().strip().upper()
                    if command in ("", "QUIT"):
                        break
                    self.say("354 go on" if command == "DATA" else "250 fine")
                    if command == "DATA":
                        lines = iter(self.rfile.readline, b".\r\n")
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        office.mails.append(mail)
                        self.say("250 taken")
                self.say("221 bye")

            def say(self, answer: str) -> None:
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
