"""One Airflow and one emulator for the tests of the pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator

from .pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here: they need packages that only the newest environment has."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.publishing)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """A fast emulator."""
    with Emulator(speed=1000.0, scenario="demo") as emulator:
        yield emulator


@pytest.fixture
def own_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate Airflow home for subprocesses."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in strict mode."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1", "AIRFLOW_HOME": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    assert "WARNING" not in output, output[-4000:]
    return folder / "site"
