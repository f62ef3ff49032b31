"""One Airflow and one emulator for the tests of the pages."""

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
