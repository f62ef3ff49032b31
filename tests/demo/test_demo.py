"""The demo: one command, plain text, an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest

from scripts.airflow_home import CHECKOUT
from scripts.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

LONGEST = 240.0


class Demo:
    """A running demo."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.output_file = home.with_suffix(".out")
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("ITWIN_", "DEMO_"))}
        with self.output_file.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.demo"],
                cwd=CHECKOUT,
                env=mine | {"DEMO_HOME": str(home)} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    def exit_code(self) -> int:
        return self.process.wait(LONGEST)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Return a function that starts a demo; demos that are still running are stopped after the test."""
    started: list[Demo] = []

    def start(name: str = "demo", **environment: str) -> Demo:
        started.append(Demo(tmp_path / name, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.terminate()
        one.process.wait(60)


def test_two_nights_show_what_went_in_and_what_came_out(demo: Callable[..., Demo], tmp_path: Path) -> None:
    nights = demo("nights")

    assert nights.exit_code() == 0, nights.output
    assert "night.synchronize: deferred" in nights.output
    first, second = re.findall(r"^Night \d\n-+\n(.*?)\n\n", nights.output, re.MULTILINE | re.DOTALL)
    assert re.findall(r"(\S+) +([\d,]+) bytes +(\w+)\n", first) == [
        ("Architecture/ED-ARC-Walls.rvt", "2,400,000", "created"),
        ("Services/ED-MEP-Ducts.ifc", "600,000", "created"),
        ("Structural/ED-STR-Frame.dgn", "1,500,000", "created"),
    ]
    assert re.findall(r"(\S+) +([\d,]+) bytes +(\w+)\n", second) == [
        ("Architecture/ED-ARC-Walls.rvt", "2,500,000", "updated"),
        ("Services/ED-MEP-Ducts.ifc", "600,000", "unchanged"),
        ("Structural/ED-STR-Frame.dgn", "1,500,000", "unchanged"),
    ]
    assert "Success: 3 files in" in first
    assert "(2 Skipped, 1 Success)" in second
    for number, text in enumerate((first, second), 1):
        assert re.search(rf"Named version +Nightly manual__\S+\n +on changeset {number} \([0-9a-f]{{40}}\)\n", text)
    delivered = re.findall(r"^  Out +(\S+)  ([\d,]+) bytes$", nights.output, re.MULTILINE)
    files = (tmp_path / "nights" / "deliveries").iterdir()
    assert sorted((file.name, f"{file.stat().st_size:,}") for file in files) == sorted(delivered)
    assert len(delivered) == 2
    assert "Traceback" not in nights.output


def test_a_successful_and_a_failing_demo(demo: Callable[..., Demo]) -> None:
    # Both at once, because most of the time is waiting.
    good = demo("good", DEMO_CONNECTION="demo-storage-connection")
    bad = demo("bad", DEMO_CONNECTION="demo-failing-connection")

    assert good.exit_code() == 0, good.output
    assert bad.exit_code() == 0, bad.output
    assert "wait_for_synchronization: deferred" in good.output
    assert re.search(r"Result +Success\n", good.output)
    assert re.search(r"Files +12\n", good.output)
    assert re.search(r"Warnings +23\n", good.output)
    assert "tell_the_team success" in good.output
    assert re.search(r"Result +Error\n", bad.output)
    assert re.search(r"PD-ARC-Deck\.rvt +REVIT +Error +TAE_BRG_1021\n", bad.output)
    assert "See https://kb.example.com/itwin/unsupported-file-version" in bad.output
    assert "tell_the_team upstream_failed" in bad.output
    assert "The failure was expected" in bad.output
    for output in (good.output, bad.output):
        assert "\x1b" not in output, "no control sequences"
        assert "Traceback" not in output


def test_an_unexpected_failure_fails_the_demo(demo: Callable[..., Demo]) -> None:
    failing = demo(DEMO_CONNECTION="there-is-no-such-connection")

    assert failing.exit_code() == 1, failing.output
    assert "The demo failed: the DAG run ended as failed" in failing.output
    assert "there-is-no-such-connection" in failing.output
    assert "airflow.log" in failing.output


def test_incomplete_credentials_are_rejected(demo: Callable[..., Demo]) -> None:
    incomplete = demo(ITWIN_CLIENT_ID="somebody")

    assert incomplete.exit_code() == 1
    assert "ITWIN_CLIENT_SECRET, ITWIN_CONNECTION_ID must be set too" in incomplete.output


def test_an_interrupted_demo_leaves_no_process_running(demo: Callable[..., Demo]) -> None:
    interrupted = demo()
    assert wait_until(lambda: "Airflow runs the DAG" in interrupted.output, LONGEST), interrupted.output
    started = psutil.Process(interrupted.process.pid).children(recursive=True)
    assert started, "the emulator and Airflow"

    interrupted.process.send_signal(signal.SIGTERM)

    assert interrupted.exit_code() == 130
    assert "Interrupted" in interrupted.output
    assert not [process for process in started if process.is_running()]
