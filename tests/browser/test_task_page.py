"""The page of a task instance in every Airflow with such tabs: the tab *iTwin run*, and the links to the portal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink

from .conftest import PORTAL
from .run_tab import TIMEOUT
from .screenshots import take_screenshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.deployment import Deployment

    from .run_tab import RunTab

pytestmark = [pytest.mark.system, pytest.mark.every_airflow]


@pytest.fixture(scope="module")
def runs(deployment: Deployment) -> dict[str, str]:
    """The DAG runs of the tests; all are started at once."""
    deployment.api.wait_for_dag("browser_runs")
    deployment.api.wait_for_dag("browser_mapped")
    started = {
        one: deployment.api.trigger("browser_runs", {"connection_id": one})
        for one in ("demo-storage-connection", "browser-moody")
    }
    linked = {"connection_id": "demo-second-connection", "itwin_conn_id": "itwin_portal"}
    return started | {
        "linked": deployment.api.trigger("browser_runs", linked),
        "mapped": deployment.api.trigger("browser_mapped"),
    }


def test_a_successful_run(tab: RunTab, ended: Callable[..., str], deployment: Deployment) -> None:
    run_id = ended("demo-storage-connection")

    content = tab.open("browser_runs", run_id)

    expect(tab.title).to_have_text(re.compile(r"^✓ Success12 files in \d+ s, 23 warnings, 4 other issues$"))
    expect(content.locator(".jobs li")).to_have_count(5)
    expect(content.locator(".bar.file")).to_have_count(12)
    expect(content.get_by_role("table").get_by_role("row")).to_have_count(6)
    expect(content.get_by_role("row", name="MSTN")).to_contain_text("3 Success")
    expect(content.get_by_text("Failing files")).to_have_count(0)
    take_screenshot(tab.page, "run-tab-success-light")

    raw = content.locator("#raw pre")
    expect(raw).to_have_text("")
    content.get_by_text("Raw JSON").focus()
    tab.page.keyboard.press("Enter")
    expect(raw).to_be_visible()
    report = deployment.api.xcom("browser_runs", run_id, "synchronize", "run_report")
    assert json.loads(raw.inner_text()) == report

    assert tab.problems == []
    assert {request.url.split("/", 3)[2] for request in tab.requests} == {deployment.api.url.split("/", 3)[2]}
    ours = [request for request in tab.requests if "/itwin-run/" in request.url or "xcomEntries" in request.url]
    assert {request.method for request in ours} == {"GET"}
    assert not any(re.search(r"eyJ|token=", request.url) for request in tab.requests), "no token in an address"


def test_an_earlier_attempt_can_be_selected(tab: RunTab, ended: Callable[..., str]) -> None:
    run_id = ended("browser-moody")
    content = tab.open("browser_runs", run_id)
    expect(tab.title).to_contain_text("✓ Success")

    content.get_by_label("Attempt").focus()
    content.get_by_label("Attempt").select_option("1")
    expect(tab.title).to_contain_text("Attempt 1 of 2.")
    expect(content.locator(".failure")).to_contain_text("its result is Error")
    expect(content.locator(".facts")).to_contain_text("failed")
    expect(content.get_by_label("Attempt")).to_be_focused()

    tab.open("browser_runs", run_id, query="?try_number=1")
    expect(tab.title).to_contain_text("Attempt 1 of 2.")
    content.get_by_label("Attempt").select_option("2")
    expect(tab.title).to_contain_text("✓ Success")


@pytest.mark.parametrize(
    ("map_index", "connection", "files"), [(0, "demo-second-connection", 5), (1, "demo-partial-connection", 4)]
)
def test_each_mapped_task_instance_shows_its_own_run(
    tab: RunTab, runs: dict[str, str], deployment: Deployment, map_index: int, connection: str, files: int
) -> None:
    deployment.api.wait_for_run("browser_mapped", runs["mapped"])

    content = tab.open("browser_mapped", runs["mapped"], map_index=map_index)

    expect(content.locator(".facts")).to_contain_text(connection)
    expect(content.locator(".numbers")).to_contain_text(f"{files} files")


def test_the_link_of_a_task_leads_to_the_portal(tab: RunTab, ended: Callable[..., str], deployment: Deployment) -> None:
    run_id = ended("linked")

    tab.page.goto(f"{deployment.api.url}/dags/browser_runs/runs/{run_id}/tasks/synchronize/details", timeout=TIMEOUT)

    address = re.compile("^" + PORTAL.format(itwin_id="[0-9a-f-]{36}", imodel_id="[0-9a-f-]{36}") + "$")
    link = tab.page.get_by_role("link", name=ITwinRunLink.name, exact=True)
    expect(link).to_have_attribute("href", address)
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    # Only Bentley's own portal has a page of an iModel.
    expect(tab.page.get_by_role("link", name=ITwinIModelLink.name, exact=True)).to_have_count(0)
