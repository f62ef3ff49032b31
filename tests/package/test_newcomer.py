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
PROMISE = re.compile(r"^# prints: (.+)$", re.MULTILINE)
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


def test_has_a_run_of_the_emulator_in_an_airflow_of_their_own(
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
    status, told = follow(script, tmp_path)
    took = time.monotonic() - began
    assert status == 0, told[-4000:]
    shown = re.split(r"^@@@ (?:\d+|end)\n", told, flags=re.MULTILINE)[1:-1]
    assert len(shown) == len(blocks)
    promises = 0
    for code, part in zip(blocks, shown, strict=True):
        squeezed = " ".join(part.split())
        for promise in PROMISE.findall(code):
            promises += 1
            assert promise in squeezed, f"{promise!r} is not in the output of\n{code}\nbut:\n{part[-3000:]}"
    assert promises >= 2
    # Most of it is Airflow starting, so a machine that is busy with other things takes longer.
    assert took < FIVE_MINUTES * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def follow(script: Path, folder: Path) -> tuple[int, str]:
    """Do the steps, and end whatever they have left running."""
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
