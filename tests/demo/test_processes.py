from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest

from scripts.console import deferring_interrupts
from scripts.processes import ManagedProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
CHILD_IN_OWN_PROCESS_GROUP = (
    "import os, subprocess, sys;"
    "subprocess.Popen([sys.executable, '-c', 'import time; print(\"child\", flush=True); time.sleep(600)'],"
    " process_group=0);"
)
SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], ManagedProcess]]:
    started: list[ManagedProcess] = []

    def start(code: str) -> ManagedProcess:
        command = [sys.executable, "-c", code]
        started.append(ManagedProcess("test", command, environment=os.environ, log=tmp_path / "logs" / "test.log"))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def has_printed(process: ManagedProcess, text: str) -> bool:
    return wait_until(lambda: text in process.tail(), 30.0)


def test_stop_terminates_a_process(start: Callable[[str], ManagedProcess]) -> None:
    process = start(SLEEP)
    assert has_printed(process, "ready")

    process.stop(grace=20.0)

    assert process.exit_code == -15


def test_stop_kills_a_process_that_ignores_sigterm(start: Callable[[str], ManagedProcess]) -> None:
    process = start(IGNORE_SIGTERM + SLEEP)
    assert has_printed(process, "ready")
    began = time.monotonic()

    process.stop(grace=0.5)

    assert process.exit_code == -9
    assert time.monotonic() - began < 15.0


def test_stop_ends_the_children_too(start: Callable[[str], ManagedProcess]) -> None:
    process = start(CHILD_IN_OWN_PROCESS_GROUP + SLEEP)
    assert has_printed(process, "ready")
    assert has_printed(process, "child")
    children = psutil.Process(process.pid).children()
    assert len(children) == 1

    process.stop()

    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_the_exit_code_and_the_output_are_available_after_the_end(start: Callable[[str], ManagedProcess]) -> None:
    process = start("print('one\\ntwo\\nthree'); raise SystemExit(3)")

    assert process.wait(30.0)
    assert process.exit_code == 3
    assert process.tail(2) == "two\nthree"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make SIGINT raise KeyboardInterrupt; a shell ignores SIGINT in background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_deferred_until_the_process_is_registered() -> None:
    noted = []

    def start() -> None:
        with deferring_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            noted.append("to be stopped")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert noted == ["to be stopped"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
