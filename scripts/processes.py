"""
Subprocesses that can be stopped together with all their descendants.

Airflow starts nested processes and puts task processes into process groups of their own. All of them stay in the same session.
So each command gets a session of its own, and every process in this session belongs to the command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

POLL_SECONDS = 0.1


class ManagedProcess:
    """
    A command in a session of its own, with its output in a file.

    :param name: name for messages
    :param command: program and arguments
    :param environment: the complete environment of the process
    :param log: file that the output is appended to
    :param stop_signal: signal that requests a shutdown
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        self._stop_requested = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the commands are our own
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the session id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for the process to exit; return whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ask_to_stop(self) -> None:
        """Request a shutdown without waiting for it."""
        # Only once: after a second signal, Airflow's scheduler does not exit.
        if self.exit_code is None and not self._stop_requested:
            self._stop_requested = True
            self._process.send_signal(self._stop_signal)

    def stop(self, grace: float = 20.0) -> None:
        """Stop the process and its descendants; kill those that are left after `grace` seconds."""
        self.ask_to_stop()
        self.wait(grace)
        self._end_session(signal.SIGTERM, min(grace, 5.0))
        self.kill()

    def kill(self) -> None:
        """Kill the process and its descendants at once, like a crash of the machine."""
        self._end_session(signal.SIGKILL, 10.0)
        self.wait(10.0)

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of the output."""
        return tail(self.log, lines)

    def _end_session(self, number: signal.Signals, seconds: float) -> None:
        for process in self._members():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                process.send_signal(number)
        wait_until(lambda: not self._members(), seconds)

    def _members(self) -> list[psutil.Process]:
        """Return the processes of the session. The session id is not reused while one of them exists."""
        self._process.poll()
        members = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == self.pid:
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        members.append(process)
        return members


def wait_until(condition: Callable[[], bool], seconds: float, every: float = POLL_SECONDS) -> bool:
    """Poll a condition until it is true or the time is up; return whether it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True


def tail(path: Path, lines: int = 40) -> str:
    """Return the last lines of a text file, or the reason why it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, lines)).rstrip("\n")
    except OSError as error:
        return f"({path} cannot be read: {error.strerror})"
