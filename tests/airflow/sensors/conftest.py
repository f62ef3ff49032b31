"""The emulated connection of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.sensors.run_sensors import NIGHT

if TYPE_CHECKING:
    from itwin_emulator import Emulator


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of two files, and the plan of its runs."""
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn", "Roof.rvt"])
    return emulator
