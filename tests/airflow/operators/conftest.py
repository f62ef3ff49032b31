"""The emulated connections of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api.storage import content_upload
from tests.airflow.operators.run_operators import (
    IMODEL,
    NIGHT,
    RIVAL,
)
from tests.airflow.operators.upload_night import Night, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """Two connections of one iModel."""
    for connection_id in (NIGHT, RIVAL):
        emulator.add_connection(connection_id=connection_id, imodel_id=IMODEL, files=["Tower.dgn", "Roof.rvt"])
    return emulator


@pytest.fixture
def designs(tmp_path: Path) -> Path:
    """A folder of design files, one of them in a subfolder."""
    write(tmp_path / "Tower.dgn", "tower")
    write(tmp_path / "Site" / "Roads.dwg", "roads")
    write(tmp_path / "Site" / "notes.txt", "notes")
    return tmp_path


@pytest.fixture
def night(emulator: Emulator, run_task: Callable[..., Outcome], designs: Path) -> Night:
    """A night whose source is `designs`."""
    return Night(emulator, run_task, designs)


@pytest.fixture
def large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ten bytes a large file, and four bytes a block."""
    monkeypatch.setattr(content_upload, "LARGEST_SINGLE_PUT", 10)
    monkeypatch.setattr(content_upload, "SMALLEST_BLOCK", 4)
