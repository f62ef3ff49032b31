"""
One Airflow with people who log in, one emulator, and one browser for all tests in here.

A test asks for `page`, a browser page that an admin has logged in to, and opens addresses below ``deployment.api.url``; or
for `page_of`, to look with other eyes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import itwin_emulator
from itwin_emulator import Emulator
from scripts.airflow_home import EXAMPLE_DAGS, itwin_connection

pytest.importorskip("airflow.sdk", reason="Airflow's own processes are those of Airflow 3")

from tests.system.deployment import Deployment

from .chromium import chromium
from .users import ADMIN, environment_of_users, password_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

OWN_DAGS = Path(__file__).parent / "dags"
CONNECTIONS = Path(__file__).parent / "connections.toml"
DEMO = Path(itwin_emulator.__file__).parent / "admin" / "scenarios" / "demo.toml"

# A night of 25 minutes in 7.5 seconds: less than the shortest pause between two looks.
SPEED = 200.0


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def emulator() -> Iterator[Emulator]:
    """The demo's connections, and those that only a browser is shown."""
    scenario: dict[str, Any] = tomllib.loads(DEMO.read_text())
    scenario["connection"] += tomllib.loads(CONNECTIONS.read_text())["connection"]
    with Emulator(speed=SPEED, scenario=scenario) as emulator:
        yield emulator


@pytest.fixture(scope="package")
def deployment(browser: Browser, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow with the example DAGs, DAGs of these tests, and a connection to the emulator."""
    home = tmp_path_factory.mktemp("airflow")
    environment = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret)
    environment["AIRFLOW__CORE__TEST_CONNECTION"] = "Enabled"
    dag_files = [*sorted(EXAMPLE_DAGS.glob("*.py")), *sorted(OWN_DAGS.glob("*.py"))]
    person = (ADMIN, password_of(ADMIN))
    with Deployment(home, dag_files, environment | environment_of_users(home), person) as deployment:
        yield deployment


@pytest.fixture
def page_of(browser: Browser, deployment: Deployment) -> Iterator[Callable[..., Page]]:
    """
    Give a function that opens a page for a person who has logged in.

    Its parameters: the person (`ADMIN` if none), and what else ``Browser.new_context`` takes, such as ``color_scheme="dark"``.
    """
    contexts: list[BrowserContext] = []

    def open_page(person: str = ADMIN, url: str = deployment.api.url, **settings: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        context.set_default_timeout(20_000)
        token = deployment.api.token((person, password_of(person)))
        context.add_cookies([{"name": "_token", "value": token, "url": url, "httpOnly": True}])
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(page_of: Callable[..., Page]) -> Page:
    """A page for the admin."""
    return page_of()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    deployment = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(deployment, Deployment):
        report.sections.append(("Airflow's processes", deployment.last_words()))
    return report
