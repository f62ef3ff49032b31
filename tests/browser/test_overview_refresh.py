"""The automatic refresh of the page *iTwin*. The clock of the browser is moved, so that no test waits for a minute."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .nights import HARBOR, xcoms
from .run_tab import Overview
from .stored_tasks import StoredRun, StoredTask, store
from .users import REFRESH_READER

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system

DAG = "hourly_sync"
MINUTE = 60_000
"""Milliseconds between two refreshes."""

LISTS = 3
"""Requests for lists of tasks in a refresh of a small Airflow: unfinished, failed and ended tasks."""

SET_HIDDEN = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def ended(connection: str) -> StoredRun:
    """Return a DAG run whose task has just ended."""
    now = time.time()
    stored = xcoms(connection, HARBOR, "Success", now - 300)
    return StoredRun(DAG, connection, [StoredTask(connection, "success", now - 300, now - 1, xcoms=stored)])


def unfinished(connection: str) -> StoredRun:
    """Return a DAG run whose task waits for its run."""
    now = time.time()
    stored = xcoms(connection, HARBOR, None, now - 300)
    return StoredRun(DAG, connection, [StoredTask(connection, "deferred", now - 300, xcoms=stored)])


@pytest.fixture(scope="module")
def tasks(deployment: Deployment) -> None:
    """A task that has ended, and one that has not."""
    deployment.api.wait_for_dag(DAG)
    store(deployment, [ended("quay-wall"), unfinished("crane-rail")])


@pytest.fixture
def overview(page_of: Callable[..., Page], deployment: Deployment, tasks: None) -> Overview:
    """The page, completely read, with a clock that tests can move."""
    page = page_of(REFRESH_READER)
    page.clock.install()
    overview = Overview(page, deployment.api.url)
    overview.open()
    overview.wait_until_complete()
    expect(overview.row("quay-wall")).to_have_count(1)
    expect(overview.content.get_by_text("As of")).to_contain_text(", refreshed every minute")
    overview.requests.clear()
    return overview


def wait_for_refresh(overview: Overview, move_clock: Callable[[], None]) -> None:
    """Move the clock, and wait until the page says another time."""
    moment = overview.content.get_by_text("As of")
    before = moment.inner_text()
    move_clock()
    expect(moment).not_to_have_text(before)


@pytest.mark.every_airflow
def test_the_page_shows_new_tasks_within_a_minute(overview: Overview, deployment: Deployment) -> None:
    link = overview.row("quay-wall").get_by_role("link")
    link.focus()
    store(deployment, [ended("ferry-ramp")])

    wait_for_refresh(overview, lambda: overview.page.clock.fast_forward(MINUTE))

    expect(overview.row("ferry-ramp")).to_have_count(1)
    expect(link).to_be_focused()
    assert len(overview.lists) == LISTS
    assert overview.problems == []


def test_a_refresh_reads_no_stored_report_again(overview: Overview) -> None:
    wait_for_refresh(overview, lambda: overview.page.clock.fast_forward(MINUTE))

    reads = [request.url for request in overview.requests if "/xcomEntries" in request.url]
    assert [url for url in reads if "/crane-rail/" in url], "an unfinished task can have a new report"
    assert [url for url in reads if "/quay-wall/" in url] == []
    expect(overview.content.get_by_role("heading", name=HARBOR)).to_be_visible()


def test_a_hidden_page_is_refreshed_once_when_it_is_visible_again(overview: Overview) -> None:
    overview.page.evaluate(SET_HIDDEN, True)
    for _ in range(10):
        overview.page.clock.fast_forward(MINUTE)
    overview.page.evaluate("fetch(document.baseURI)")
    assert overview.lists == []

    wait_for_refresh(overview, lambda: overview.page.evaluate(SET_HIDDEN, False))

    assert len(overview.lists) == LISTS


def test_an_outage_leaves_the_tasks_on_the_page(overview: Overview) -> None:
    overview.page.route(re.compile("/taskInstances[?]"), lambda route: route.fulfill(status=503))
    overview.page.clock.fast_forward(MINUTE)
    expect(overview.content.locator(".box.bad")).to_have_text(
        "Airflow does not respond, so this page is not up to date."
    )
    expect(overview.row("quay-wall")).to_have_count(1)

    overview.page.unroute_all()
    wait_for_refresh(overview, lambda: overview.page.clock.fast_forward(MINUTE))

    expect(overview.content.locator(".box.bad")).to_have_count(0)
    expect(overview.row("quay-wall")).to_have_count(1)


def test_an_expired_session_ends_the_refresh(overview: Overview) -> None:
    overview.page.route(re.compile("/taskInstances[?]"), lambda route: route.fulfill(status=401))
    overview.page.clock.fast_forward(MINUTE)
    expect(overview.content.locator(".box.bad")).to_contain_text("Your session has expired.")
    expect(overview.content.get_by_text("As of")).not_to_contain_text("every minute")

    overview.requests.clear()
    overview.page.clock.fast_forward(10 * MINUTE)
    overview.page.evaluate("fetch(document.baseURI)")
    assert overview.lists == []
