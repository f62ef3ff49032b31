"""One Airflow and one emulator for what the pages show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it needs what only the newest environment has."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.publishing)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """An iTwin Platform that is in a hurry."""
    with Emulator(speed=1000.0, scenario="demo") as emulator:
        yield emulator


@pytest.fixture
def own_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for commands that are started; Airflow in this process has its own already."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path
