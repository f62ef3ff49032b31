"""The environment of the fault matrix; the observed matrix is printed at the end of the tests."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api import async_client, client
from itwin_emulator import Emulator

# Before all other imports: it sets AIRFLOW_HOME.
from tests.airflow import conftest as airflow_home  # noqa: F401
from tests.airflow.fake_clock import FakeClock, use_fake_clock

from . import table
from .environment import OUTAGE_TOLERANCE, FaultEnvironment
from .faults import MEBIBYTE

if TYPE_CHECKING:
    from collections.abc import Iterator

OBSERVED = pytest.StashKey[table.Cells]()


@pytest.fixture(scope="session")
def observed(pytestconfig: pytest.Config) -> table.Cells:
    """The cells observed so far."""
    return pytestconfig.stash.setdefault(OBSERVED, {})


@pytest.fixture(scope="module")
def environment() -> Iterator[FaultEnvironment]:
    """One environment for all scenarios; a response body may have at most one mebibyte."""
    clock = FakeClock()
    with pytest.MonkeyPatch.context() as patch, Emulator(clock=clock, token_lifetime=1e9) as emulator:
        use_fake_clock(clock, patch)
        for module in (client, async_client):
            patch.setattr(module, "LARGEST_BODY", MEBIBYTE)
        patch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", str(OUTAGE_TOLERANCE))
        # Client and emulator are threads of one process here, and respond to each other at once.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        # The logs of thousands of scenarios are of no use.
        logging.disable(logging.CRITICAL)
        yield FaultEnvironment(emulator, clock, patch)
        logging.disable(logging.NOTSET)
        sys.setswitchinterval(interval)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the observed matrix, whether it was expected or not."""
    cells = config.stash.get(OBSERVED, {})
    if cells:
        terminalreporter.section("fault matrix")
        terminalreporter.write(table.format_table(cells))
        number = sum(len(row) for row in cells.values())
        terminalreporter.write_line(f"{number} cells, {len(cells)} faults, as observed on this Airflow")
