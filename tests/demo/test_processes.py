from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest

from scripts.console import not_just_now
from scripts.processes import ManagedProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
CHILD_IN_A_GROUP_OF_ITS_OWN = (
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


def says(process: ManagedProcess, word: str) -> bool:
    return wait_until(lambda: word in process.tail(), 30.0)


def test_a_process_ends_when_asked(start: Callable[[str], ManagedProcess]) -> None:
    process = start(SLEEP)
    assert says(process, "ready")

    process.stop(grace=20.0)

    assert process.exit_code == -15


def test_a_stubborn_process_is_killed(start: Callable[[str], ManagedProcess]) -> None:
    process = start(STUBBORN + SLEEP)
    assert says(process, "ready")
    began = time.monotonic()

    process.stop(grace=0.5)

    assert process.exit_code == -9
    assert time.monotonic() - began < 15.0


def test_what_it_has_started_ends_too(start: Callable[[str], ManagedProcess]) -> None:
    process = start(CHILD_IN_A_GROUP_OF_ITS_OWN + SLEEP)
    assert says(process, "ready")
    assert says(process, "child")
    children = psutil.Process(process.pid).children()
    assert len(children) == 1

    process.stop()

    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_how_it_ended_and_its_last_words_are_kept(start: Callable[[str], ManagedProcess]) -> None:
    process = start("print('one\\ntwo\\nthree'); raise SystemExit(3)")

    assert process.wait(30.0)
    assert process.exit_code == 3
    assert process.tail(2) == "two\nthree"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let an interruption raise; a shell that starts tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_waits_until_what_is_started_is_noted_down() -> None:
    noted = []

    def start() -> None:
        with not_just_now():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            noted.append("to be stopped")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert noted == ["to be stopped"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
