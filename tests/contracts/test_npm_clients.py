"""Clients that Bentley publishes work with the emulator unchanged, and receive what they expect."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from itwin_emulator import Emulator

from .npm_packages import FOLDER, installed_packages

CHECKS = [
    (program, check)
    for program in ("client", "jobs")
    for check in re.findall(r"^  async (\w+)\(\) \{", (FOLDER / f"{program}.mjs").read_text(), re.MULTILINE)
]
LIMIT = 60.0
"""Seconds; a check takes about one."""


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed_packages()


def test_all_checks_are_found() -> None:
    assert len(CHECKS) >= 12


@pytest.mark.parametrize(("program", "check"), CHECKS)
def test_bentleys_clients(packages: Path, program: str, check: str) -> None:
    with Emulator(speed=1e6) as emulator:
        itwin = emulator.add_itwin("site")
        emulator.add_itwin("other")
        model = emulator.add_imodel(itwin_id=itwin)
        connection = emulator.add_connection(imodel_id=model, files=4)
        emulator.plan_run(connection, changesets=2)
        emulator.finish_run(connection, emulator.start_run(connection))
        deadline = time.monotonic() + 10
        while len(emulator.changesets(model)) < 2:
            assert time.monotonic() < deadline
        emulator.push_changesets(model)
        environment = os.environ | {
            "EMULATOR_URL": emulator.url,
            "CLIENT_ID": emulator.client_id,
            "CLIENT_SECRET": emulator.client_secret,
            "NPM_CLIENTS": str(packages),
            "MODEL": model,
            "ITWIN": itwin,
            "NO_PROXY": "127.0.0.1",
        }
        command = ["node", str(FOLDER / f"{program}.mjs"), check]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr[-3000:]
        # Pre-signed URLs are used without the token.
        assert emulator.token_leaks() == []
