"""The page "Getting started", run step by step in a new environment with the built packages."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import ROOT, UV, environment

if TYPE_CHECKING:
    from .conftest import Distributions

PAGE = ROOT / "docs" / "getting-started.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED_OUTPUT = re.compile(r"^# prints: (.+)$", re.MULTILINE)
FIVE_MINUTES = 300.0

# The packages of this project come from the checkout, all others from the package index in their pinned versions.
PREAMBLE = """
set -eu
pip() {{
    shift
    for wanted in "$@"; do
        case $wanted in
            airflow-provider-itwin) wanted='{wheel}' ;;
            itwin-emulator) wanted='{emulator}' ;;
        esac
        set -- "$@" "$wanted"
        shift
    done
    '{uv}' pip install --quiet --python venv/bin/python --constraint '{constraints}' "$@"
}}
"""


def test_getting_started_works_step_by_step(
    distributions: Distributions, emulator_distributions: Distributions, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    blocks = [code.replace("8899", port) for code in BLOCK.findall(PAGE.read_text())]
    constraints = ROOT / "requirements" / "airflow-3.3.txt"
    parts = [
        PREAMBLE.format(
            wheel=distributions.wheel, emulator=emulator_distributions.wheel, uv=UV, constraints=constraints
        )
    ]
    for number, code in enumerate(blocks):
        parts += [f"echo '@@@ {number}'", code]
    script = tmp_path / "steps.sh"
    script.write_text("\n".join([*parts, "echo '@@@ end'"]))
    began = time.monotonic()
    status, output = follow(script, tmp_path)
    took = time.monotonic() - began
    assert status == 0, output[-4000:]
    shown = re.split(r"^@@@ (?:\d+|end)\n", output, flags=re.MULTILINE)[1:-1]
    assert len(shown) == len(blocks)
    promises = 0
    for code, part in zip(blocks, shown, strict=True):
        squeezed = " ".join(part.split())
        for expected in EXPECTED_OUTPUT.findall(code):
            promises += 1
            assert expected in squeezed, f"{expected!r} is not in the output of\n{code}\nbut:\n{part[-3000:]}"
    assert promises >= 2
    # Most of the time is the start of Airflow, which takes longer on a busy machine.
    assert took < FIVE_MINUTES * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def follow(script: Path, folder: Path) -> tuple[int, str]:
    """Run the steps, and stop the processes that they have left running."""
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=environment() | {"no_proxy": "127.0.0.1,localhost", "COLUMNS": "200"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(3 * FIVE_MINUTES)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, output.read_text()
