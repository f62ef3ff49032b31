"""Runs the blocks of code of a page as one script, and compares their output with what the page promises."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from plugin_metadata import write_metadata

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"^(?:#|//) prints: (.+)$", re.MULTILINE)
# Blocks in these languages are not run.
NOT_RUN = {"text", "toml"}
SCRIPTS = {"python": ("py", "python3"), "js": ("mjs", "node")}
# Packages are not installed; the tools are those of the environment that the tests run in.
PREAMBLE = """
set -euo pipefail
pip() { echo "pip $*"; }
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Return language and code of the blocks that are run."""
    return [(language, code) for language, code in BLOCK.findall(page.read_text()) if language not in NOT_RUN]


def run_blocks(blocks: list[tuple[str, str]], folder: Path, limit: float) -> None:
    """Run blocks one after the other in one shell, and assert that each prints what it promises."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    blocks = [(language, code.replace("8899", port)) for language, code in blocks]
    work = folder / "work"
    work.mkdir()
    (work / "script.sh").write_text(_script(blocks, work))
    status, output = run(["bash", "script.sh"], work, environment(folder), limit)
    assert status == 0, output[-4000:]
    parts = re.split(r"^@@@ (?:\d+|end)\n", output, flags=re.MULTILINE)[1:-1]
    assert len(parts) == len(blocks)
    for (_, code), part in zip(blocks, parts, strict=True):
        squeezed = " ".join(part.split())
        for promise in PROMISE.findall(code):
            assert promise in squeezed, f"{promise!r} is not in the output of\n{code}\nbut:\n{part[:3000]}"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which this checkout and the pytest plugin of the emulator are installed."""
    metadata = write_metadata(folder / "metadata")
    return {
        **os.environ,
        "PATH": f"{_commands(folder / 'bin')}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, (metadata, ROOT, ROOT / "emulator"))),
        "no_proxy": "127.0.0.1",
        "NO_COLOR": "1",
        "LC_ALL": "C",
        **more,
    }


def run(command: list[str], folder: Path, environment: dict[str, str], limit: float) -> tuple[int, str]:
    """Run a command, and kill it with everything that it has started if it takes too long."""
    # Background processes must not keep a pipe open: the output goes to a file.
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        return status, output.read()


def _script(blocks: list[tuple[str, str]], folder: Path) -> str:
    parts = [PREAMBLE]
    for number, (language, code) in enumerate(blocks):
        parts.append(f"echo; echo '@@@ {number}'")
        if language in SCRIPTS:
            extension, interpreter = SCRIPTS[language]
            (folder / f"block{number}.{extension}").write_text(code)
            code = f"{interpreter} block{number}.{extension}"
        parts.append(code)
    parts.append("echo; echo '@@@ end'")
    return "\n".join(parts)


def _commands(folder: Path) -> Path:
    folder.mkdir()
    emulator = f'#!/bin/sh\nexec "{sys.executable}" -m itwin_emulator "$@"\n'
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for name, text in {"itwin-emulator": emulator, "python3": python, "python": python}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder
