"""The emulated connections of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.operators.run_operators import (
    IMODEL,
    NIGHT,
    RIVAL,
)

if TYPE_CHECKING:
    from itwin_emulator import Emulator


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """Two connections of one iModel."""
    for connection_id in (NIGHT, RIVAL):
        emulator.add_connection(connection_id=connection_id, imodel_id=IMODEL, files=["Tower.dgn", "Roof.rvt"])
    return emulator
