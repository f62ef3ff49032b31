"""One Airflow and one emulator for all system tests; the report of a failure has the last output of the processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator
from scripts.airflow_home import EXAMPLE_DAGS, itwin_connection

from .deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


OWN_DAGS = Path(__file__).parent / "dags"

# A run of 25 minutes in 7.5 seconds: less than the shortest poll interval.
SPEED = 200.0


@pytest.fixture(scope="package")
def emulator() -> Iterator[Emulator]:
    with Emulator(speed=SPEED, scenario="demo") as emulator:
        yield emulator


@pytest.fixture(scope="package")
def deployment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow with the example DAGs and a connection to the emulator."""
    connection = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret)
    home = tmp_path_factory.mktemp("airflow")
    with Deployment(
        home, [*sorted(EXAMPLE_DAGS.glob("*.py")), *sorted(OWN_DAGS.glob("*.py"))], connection
    ) as deployment:
        yield deployment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    deployment = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(deployment, Deployment):
        report.sections.append(("Airflow's processes", deployment.last_output()))
    return report
