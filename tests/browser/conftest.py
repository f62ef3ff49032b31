"""
One Airflow with users who log in, one emulator, and one browser for all tests in this folder.

The fixture `page` is a page of an admin; `page_of` opens pages of other users. Both open URLs below ``deployment.api.url``.
"""

from __future__ import annotations

import json
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
from .run_tab import RunTab
from .users import ADMIN, environment_of_users, password_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

OWN_DAGS = Path(__file__).parent / "dags"
CONNECTIONS = Path(__file__).parent / "connections.toml"
DEMO = Path(itwin_emulator.__file__).parent / "admin" / "scenarios" / "demo.toml"

# The connection itwin_portal is itwin_default with links to this portal.
PORTAL = "https://portal.example.com/context/{itwin_id}/iModel/{imodel_id}"

# A run of 25 minutes in 7.5 seconds: less than the shortest poll interval.
SPEED = 200.0


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def emulator() -> Iterator[Emulator]:
    """An emulator with the connections of the demo and of these tests."""
    scenario: dict[str, Any] = tomllib.loads(DEMO.read_text())
    scenario["connection"] += tomllib.loads(CONNECTIONS.read_text())["connection"]
    with Emulator(speed=SPEED, scenario=scenario) as emulator:
        yield emulator


@pytest.fixture(scope="package")
def deployment(browser: Browser, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow with the example DAGs, DAGs of these tests, and a connection to the emulator."""
    home = tmp_path_factory.mktemp("airflow")
    environment = itwin_connection(emulator.url, emulator.client_id, emulator.client_secret)
    environment["AIRFLOW_CONN_ITWIN_PORTAL"] = json.dumps(
        json.loads(environment["AIRFLOW_CONN_ITWIN_DEFAULT"]) | {"extra": {"portal_url": PORTAL}}
    )
    environment["AIRFLOW__CORE__TEST_CONNECTION"] = "Enabled"
    dag_files = [*sorted(EXAMPLE_DAGS.glob("*.py")), *sorted(OWN_DAGS.glob("*.py"))]
    user = (ADMIN, password_of(ADMIN))
    with Deployment(home, dag_files, environment | environment_of_users(home), user) as deployment:
        yield deployment


@pytest.fixture
def page_of(browser: Browser, deployment: Deployment) -> Iterator[Callable[..., Page]]:
    """
    Return a function that opens a page of a user who has logged in.

    Its parameters: the user (default `ADMIN`), and those of ``Browser.new_context``, such as ``color_scheme="dark"``.
    """
    contexts: list[BrowserContext] = []

    def open_page(user: str = ADMIN, url: str = deployment.api.url, **settings: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        context.set_default_timeout(20_000)
        token = deployment.api.token((user, password_of(user)))
        context.add_cookies([{"name": "_token", "value": token, "url": url, "httpOnly": True}])
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(page_of: Callable[..., Page]) -> Page:
    """A page of the admin."""
    return page_of()


@pytest.fixture
def tab(page: Page, deployment: Deployment) -> RunTab:
    """The tab, opened by the admin."""
    return RunTab(page, deployment.api.url)


@pytest.fixture
def ended(deployment: Deployment, runs: dict[str, str]) -> Callable[..., str]:
    """Return a function that waits for the task of one of the module's `runs` to be in `state`, and returns its DAG run."""

    def wait(connection: str, state: str = "success") -> str:
        deployment.api.wait_for_task("browser_runs", runs[connection], "synchronize", state, seconds=240)
        return runs[connection]

    return wait


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    deployment = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(deployment, Deployment):
        report.sections.append(("Airflow's processes", deployment.last_output()))
    return report
