"""
Processes that can be ended for good.

Airflow starts processes that start processes, and puts its task processes into process groups of their own. What they
all keep is the session, so each command gets a new one, and whoever is found in it belongs to the command.
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
    One command, in a session of its own, with its output in a file.

    :param name: what messages call it
    :param command: program and arguments
    :param environment: the whole environment of the process
    :param log: file that its output is added to
    :param stop_signal: what asks it to end
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
        self._asked = False
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
        """Process id, and by that the id of its session."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for it to end by itself; False if it has not."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ask_to_stop(self) -> None:
        """Ask it to end, and do not wait for it."""
        # Once: Airflow takes a second time for impatience, and its scheduler then does not end at all.
        if self.exit_code is None and not self._asked:
            self._asked = True
            self._process.send_signal(self._stop_signal)

    def stop(self, grace: float = 20.0) -> None:
        """End it and everything that it started: ask, insist, and kill what is left after ``grace`` seconds."""
        self.ask_to_stop()
        self.wait(grace)
        self._end_session(signal.SIGTERM, min(grace, 5.0))
        self.kill()

    def kill(self) -> None:
        """Kill it and everything that it started, at once, as a crash of the machine would."""
        self._end_session(signal.SIGKILL, 10.0)
        self.wait(10.0)

    def tail(self, lines: int = 40) -> str:
        """Give the last lines of its output."""
        return tail(self.log, lines)

    def _end_session(self, number: signal.Signals, seconds: float) -> None:
        for process in self._members():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                process.send_signal(number)
        wait_until(lambda: not self._members(), seconds)

    def _members(self) -> list[psutil.Process]:
        """Who lives in our session. Its id cannot be given to another one while a member of it lives."""
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
    """Ask again and again until the answer is yes, or the time is up; the last answer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True


def tail(path: Path, lines: int = 40) -> str:
    """Give the last lines of a text file, or a word on why there are none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, lines)).rstrip("\n")
    except OSError as error:
        return f"({path} cannot be read: {error.strerror})"
