"""The stage of the fault matrix, and the matrix as it was seen, printed at the end of the tests."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api import async_client, client
from itwin_emulator import Emulator

# Before all else: it gives Airflow a home of its own.
from tests.airflow import conftest as airflow_home  # noqa: F401
from tests.airflow.fake_clock import FakeClock, use_fake_clock

from . import table
from .environment import OUTAGE_TOLERANCE, CrashDeployment
from .faults import MEBIBYTE

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEN = pytest.StashKey[table.Cells]()


@pytest.fixture(scope="session")
def seen(pytestconfig: pytest.Config) -> table.Cells:
    """What was seen so far."""
    return pytestconfig.stash.setdefault(SEEN, {})


@pytest.fixture(scope="module")
def stage() -> Iterator[CrashDeployment]:
    """One stage for all plays, on which bodies are large from a mebibyte on."""
    clock = FakeClock()
    with pytest.MonkeyPatch.context() as patch, Emulator(clock=clock, token_lifetime=1e9) as emulator:
        use_fake_clock(clock, patch)
        for module in (client, async_client):
            patch.setattr(module, "LARGEST_BODY", MEBIBYTE)
        patch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", str(OUTAGE_TOLERANCE))
        # Client and emulator are threads of one process here, and answer each other at once.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        # What is told of thousands of plays is of no use to anybody.
        logging.disable(logging.CRITICAL)
        yield CrashDeployment(emulator, clock, patch)
        logging.disable(logging.NOTSET)
        sys.setswitchinterval(interval)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was seen, whether it was expected or not."""
    cells = config.stash.get(SEEN, {})
    if cells:
        terminalreporter.section("fault matrix")
        terminalreporter.write(table.written(cells))
        number = sum(len(row) for row in cells.values())
        terminalreporter.write_line(f"{number} cells, {len(cells)} troubles, as seen on this Airflow")
