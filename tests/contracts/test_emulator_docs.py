"""What the page about the emulator shows is done, block by block, and what its tables list is complete."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from itwin_emulator import Oddities, RunPlan
from itwin_emulator.admin import scenario
from itwin_emulator.http.faults import KIND_NOTES
from itwin_emulator.http.rate_limit import TIERS
from itwin_emulator.spec.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emulator.md"
TEXT = PAGE.read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"^# prints: (.+)$", re.MULTILINE)
LIMIT = 120.0
"""Seconds; all blocks take about ten."""
# Installing is left to the reader; the tools are those of the environment that the tests run in.
PREAMBLE = """
set -euo pipefail
pip() { echo "pip $*"; }
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def script_of(blocks: list[tuple[str, str]], folder: Path) -> str:
    """Make one script of all blocks, so that each finds what those before it have left."""
    parts = [PREAMBLE]
    for number, (language, code) in enumerate(blocks):
        parts.append(f"echo; echo '@@@ {number}'")
        if language == "python":
            (folder / f"block{number}.py").write_text(code)
            code = f"python3 block{number}.py"
        parts.append(code)
    parts.append("echo; echo '@@@ end'")
    return "\n".join(parts)


def commands(folder: Path) -> Path:
    """Make a folder with the commands that the page takes for granted."""
    folder.mkdir()
    itwin = f'#!/bin/sh\nexec "{sys.executable}" -m itwin_emulator "$@"\n'
    for name, text in {"itwin-emulator": itwin, "python3": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command, and end it with all that it has started when it takes too long."""
    # What runs in the background must not keep a pipe open: the output goes to a file.
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(LIMIT)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        return status, output.read()


def test_every_block_does_what_it_says(tmp_path: Path) -> None:
    missing = [name for name in ("bash", "curl") if shutil.which(name) is None]
    if missing:
        if os.getenv("CI") == "true":
            pytest.fail(f"{missing} are needed to run the blocks of {PAGE.name}")
        pytest.skip(f"no {missing} here")
    port = str(free_port())
    blocks = [(language, code.replace("8899", port)) for language, code in BLOCK.findall(TEXT)]
    assert {language for language, _ in blocks} == {"sh", "python"}
    work = tmp_path / "work"
    work.mkdir()
    (work / "script.sh").write_text(script_of(blocks, work))
    environment = os.environ | {
        "PATH": f"{commands(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "no_proxy": "127.0.0.1",
        "NO_COLOR": "1",
        "LC_ALL": "C",
    }
    status, told = run(["bash", "script.sh"], work, environment)
    assert status == 0, told[-4000:]
    parts = re.split(r"^@@@ (?:\d+|end)\n", told, flags=re.MULTILINE)[1:-1]
    assert len(parts) == len(blocks)
    for (_, code), part in zip(blocks, parts, strict=True):
        squeezed = " ".join(part.split())
        for promise in PROMISE.findall(code):
            assert promise in squeezed, f"{promise!r} is not in the output of\n{code}\nbut:\n{part[:3000]}"


def test_promises_are_made() -> None:
    assert len(PROMISE.findall(TEXT)) > 20


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_the_table_of_operations(operation: object) -> None:
    assert f"| `{operation.id}` | `{operation.method} {operation.template}` |" in TEXT  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        *KIND_NOTES,
        *(field.name for field in fields(Oddities)),
        *(field.name for field in fields(RunPlan)),
        *TIERS,
        *scenario.names(),
    ],
)
def test_nothing_is_left_out(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_links_within_the_page() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert target in anchors
