"""The page *iTwin* in Airflow's navigation."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .contrast import poor_contrasts
from .nights import HARBOR, HOSTILE, METRO, many, nights
from .run_tab import TIMEOUT, Overview, RunTab
from .screenshots import take_screenshot
from .stored_tasks import store
from .users import MANY_READER, NIGHT_READER, RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system

NOTHING = "\N{EN DASH}"
"""An empty cell."""

MAX_SECONDS = 15.0
"""Seconds in which the first rows must appear; the machine may be busy. On an idle one they appear in less than two."""

MAX_PAGES = 16
"""Requests for lists of tasks without a click: ten pages of ended tasks, three of failed and three of unfinished ones."""

MAX_DETAILS = 400
"""Task instances whose XComs are read, at most four requests for each."""

LABEL_OF_FIRST_CELL = "page => getComputedStyle(page.querySelector('tr:not(.earlier) td'), '::before').content"
"""In one step: a row that is drawn again in between has no style."""

NOTE_SUMMARY = """status => {
  const note = () => { window.summaryAt ??= status.textContent ? performance.now() : undefined; };
  note();
  new MutationObserver(note).observe(status, { childList: true, characterData: true, subtree: true });
}"""
"""Notes when the summary is said first."""

REQUESTS_AFTER_SUMMARY = """() => performance.getEntriesByType("resource")
  .filter((entry) => entry.startTime > window.summaryAt && /xcomEntries|taskInstances/.test(entry.name))
  .map((entry) => entry.name)"""


@pytest.fixture(scope="module")
def night(deployment: Deployment) -> None:
    """A night with problems, in the database."""
    deployment.api.wait_for_dag("nightly_sync")
    store(deployment, nights())


@pytest.fixture
def overview(page_of: Callable[..., Page], deployment: Deployment, night: None) -> Overview:
    """The page of the last night, not opened yet."""
    return Overview(page_of(NIGHT_READER), deployment.api.url)


@pytest.mark.every_airflow
def test_rows_are_grouped_by_imodel_the_worst_first(overview: Overview) -> None:
    content = overview.open()
    overview.wait_until_complete()

    groups = content.locator("tbody")
    expect(groups).to_have_count(3)
    harbor = groups.nth(0)
    expect(harbor.get_by_role("heading")).to_have_text(f"iModel {HARBOR} · 3 connections")
    order = [re.compile(f"^{one}") for one in ("Parking deck", "Bridge north", "Bridge south")]
    expect(harbor.locator("tr:not(.group) th")).to_have_text(order)
    expect(content.get_by_role("heading", name=METRO)).to_contain_text("2 connections")
    expect(content.get_by_role("heading", name="iModel unknown")).to_contain_text("3 connections")
    expect(content.locator(".numbers li")).to_have_text(
        ["1 failed task", "4 unfinished tasks", "4 ended tasks", "1 slow connection", "1 connection failing again"]
    )
    expect(content.get_by_role("status")).to_have_text("8 connections, 3 problems; 1 failed task.")
    assert overview.problems == []
    take_screenshot(overview.page, "overview-light", height=1000)


def test_failing_files_that_failed_before_are_marked(overview: Overview) -> None:
    overview.open()
    overview.wait_until_complete()

    files = overview.row("parking-deck").locator("[data-label='Failing files']")
    expect(files).to_contain_text("3 files, 2 failed before")
    expect(files.get_by_role("listitem")).to_have_text(
        ["PD-ARC-Deck.rvt (in 2 of 3 earlier)", "PD-STR-Frame.ifc (in 1 of 3 earlier)", "PD-ARC-Roof.dgn"]
    )


def test_a_duration_is_compared_with_the_median_of_earlier_ones(overview: Overview) -> None:
    overview.open()
    overview.wait_until_complete()

    slow = overview.row("bridge-north")
    expect(slow.locator("[data-label='Duration']")).to_have_text("41 min▲ slow, usual 20 min")
    expect(overview.row("bridge-south").locator("[data-label='Duration']")).to_have_text("24 minusual 23 min")
    expect(overview.row("depot").locator("[data-label='Duration']")).to_have_text(NOTHING)


def test_queueing_is_shown(overview: Overview) -> None:
    content = overview.open()
    overview.wait_until_complete()

    for connection, text in (
        ("bridge-south", r"^6 min before its run$"),
        ("tunnel-west", r"^1\d min behind another run$"),
        ("tunnel-east", f"^{NOTHING}$"),
    ):
        expect(overview.row(connection).locator("[data-label='Queue']")).to_have_text(re.compile(text))
    unknown = content.locator("tr").filter(has_text="not known yet")
    expect(unknown.locator("[data-label='Queue']")).to_have_text(re.compile(r"^1\d min in Airflow's queue$"))


def test_the_period_is_a_day_or_a_week(overview: Overview) -> None:
    content = overview.open()
    overview.wait_until_complete()
    expect(content.locator(".numbers li").nth(2)).to_have_text("4 ended tasks")
    expect(overview.row("parking-deck").locator("[data-label='Earlier']")).to_have_text(NOTHING)

    content.get_by_label("Period").select_option("week")

    expect(content.locator(".numbers li").nth(2)).to_have_text("34 ended tasks")
    overview.wait_until_complete()
    earlier = content.get_by_role("button", name="6 earlier tasks, 2 failed")
    expect(earlier).to_have_attribute("aria-expanded", "false")
    assert "period=week" in overview.page.url

    overview.page.reload()
    expect(content.get_by_label("Period")).to_have_value("week")
    expect(content.locator(".numbers li").nth(2)).to_have_text("34 ended tasks")


def test_the_page_is_usable_with_the_keyboard(overview: Overview) -> None:
    content = overview.open("?period=week")
    overview.wait_until_complete()
    keyboard = overview.page.keyboard

    content.get_by_label("Period").focus()
    keyboard.press("Tab")
    expect(content.get_by_label("Only problems")).to_be_focused()
    keyboard.press("Space")
    expect(content.locator("tr.problem")).to_have_count(3)
    expect(content.locator("tbody tr:not(.group) th")).to_have_count(3)
    expect(content.get_by_label("Only problems")).to_be_focused()
    keyboard.press("Tab")
    expect(content.get_by_role("button", name="Refresh")).to_be_focused()
    keyboard.press("Tab")
    expect(content.get_by_role("link").first).to_be_focused()
    keyboard.press("Tab")
    expect(content.get_by_role("button", name="6 earlier tasks, 2 failed")).to_be_focused()
    keyboard.press("Enter")
    expect(content.locator("tr.earlier")).to_have_count(6)
    expect(content.get_by_role("button", name="6 earlier tasks, 2 failed")).to_be_focused()
    expect(content.get_by_role("button", name="6 earlier tasks, 2 failed")).to_have_attribute("aria-expanded", "true")
    expect(content.locator("tr.earlier").first.get_by_role("link")).to_have_attribute(
        "href", re.compile("/dags/nightly_sync/runs/night-1/tasks/synchronize/mapped/0/plugin/itwin-run$")
    )
    keyboard.press("Enter")
    expect(content.locator("tr.earlier")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_without_color(
    page_of: Callable[..., Page], deployment: Deployment, night: None, scheme: str
) -> None:
    overview = Overview(page_of(NIGHT_READER, color_scheme=scheme), deployment.api.url)
    content = overview.open("?period=week")
    overview.wait_until_complete()

    expect(overview.page.get_by_test_id("itwin-overview")).to_have_attribute("data-theme", scheme)
    assert poor_contrasts(content) == []
    for sign in content.locator(".badge, .dot").all():
        assert re.match(r"\S", sign.inner_text())
    if scheme == "dark":
        take_screenshot(overview.page, "overview-dark", height=1000)


def test_a_narrow_window_shows_cards(page_of: Callable[..., Page], deployment: Deployment, night: None) -> None:
    page = page_of(NIGHT_READER, viewport={"width": 480, "height": 900})
    overview = Overview(page, deployment.api.url)
    content = overview.open()
    overview.wait_until_complete()

    expect(content.get_by_role("table")).to_be_visible()
    assert content.evaluate("page => page.scrollWidth <= page.clientWidth"), "no horizontal scrolling"
    row = overview.row("parking-deck")
    label = content.evaluate(LABEL_OF_FIRST_CELL)
    assert label == '"Result"'
    expect(row.locator("[data-label='Queue']")).to_be_hidden()
    assert poor_contrasts(content) == []
    take_screenshot(page, "overview-narrow", height=2000, width=480)


def test_stored_text_is_never_markup(overview: Overview) -> None:
    content = overview.open("?period=week")
    overview.wait_until_complete()

    expect(content.locator("script, img, iframe, svg, b, i, [onclick]")).to_have_count(0)
    assert HOSTILE not in content.inner_html(), "an angle bracket is escaped"
    assert overview.page.evaluate("window.hacked") is None


@pytest.mark.every_airflow
def test_the_navigation_leads_to_the_page_and_a_row_to_its_tab(overview: Overview, deployment: Deployment) -> None:
    overview.page.goto(f"{deployment.api.url}/dags", timeout=TIMEOUT)
    overview.page.get_by_role("link", name="iTwin", exact=True).click()
    overview.wait_until_complete()

    overview.row("parking-deck").get_by_role("link").click()

    expect(RunTab(overview.page, deployment.api.url).title).to_contain_text("✕ Error")
    assert overview.problems == []


def test_a_row_leads_to_the_tab_of_its_task(page: Page, deployment: Deployment) -> None:
    deployment.api.wait_for_dag("browser_runs")
    # The same task, for another connection.
    other = deployment.api.trigger("browser_runs", {"connection_id": "demo-second-connection"})
    run_id = deployment.api.trigger("browser_runs", {"connection_id": "demo-failing-connection"})
    deployment.api.wait_for_task("browser_runs", other, "synchronize", "success", seconds=240)
    deployment.api.wait_for_task("browser_runs", run_id, "synchronize", "failed", seconds=240)
    overview = Overview(page, deployment.api.url)
    page.goto(f"{deployment.api.url}/dags", timeout=TIMEOUT)
    nav = page.get_by_role("link", name="iTwin", exact=True)
    expect(nav).to_have_attribute("href", re.compile("plugin/itwin$"))
    nav.click()
    overview.wait_until_complete()

    expect(overview.row("demo-second-connection")).to_have_count(1)
    row = overview.row("demo-failing-connection")
    expect(row.locator("[data-label='Result']")).to_contain_text("✕ Error")
    expect(row.locator("[data-label='Failing files']")).to_contain_text("3 files")
    imodel = deployment.api.xcom("browser_runs", run_id, "synchronize", "run_report").get("imodel_id")
    expect(overview.content.get_by_role("heading", name=imodel or "iModel unknown").first).to_be_visible()
    row.get_by_role("link").click()

    expect(RunTab(page, deployment.api.url).title).to_contain_text("✕ Error")
    assert overview.problems == []
    assert {request.url.split("/", 3)[2] for request in overview.requests} == {deployment.api.url.split("/", 3)[2]}
    assert not any(re.search(r"eyJ|token=", request.url) for request in overview.requests), "no token in an address"
    ours = [request for request in overview.requests if "/itwin-run/" in request.url or "taskInstances" in request.url]
    assert {request.method for request in ours} == {"GET"}


def test_a_user_sees_only_tasks_of_readable_dags(overview: Overview, deployment: Deployment) -> None:
    deployment.api.wait_for_dag("browser_runs")
    run_id = deployment.api.trigger("browser_runs", {"connection_id": "demo-storage-connection"})
    deployment.api.wait_for_task("browser_runs", run_id, "synchronize", "success", seconds=240)
    content = overview.open("?period=week")
    overview.wait_until_complete()

    expect(overview.row("parking-deck")).to_have_count(1)
    assert "browser_runs" not in content.inner_text()
    assert "demo-storage-connection" not in content.inner_text()


def test_a_user_without_permission_for_task_instances_sees_a_reason(
    page_of: Callable[..., Page], deployment: Deployment, night: None
) -> None:
    overview = Overview(page_of(RESTRICTED), deployment.api.url)
    content = overview.open()

    expect(content.locator(".box.bad")).to_have_text("You have no permission to read task instances.")
    expect(content.get_by_role("status")).to_have_text("You have no permission to read task instances.")
    expect(content.get_by_role("table")).to_have_count(0)
    assert "parking-deck" not in overview.page.content()


def test_an_outage_of_airflow_is_reported_and_can_be_retried(overview: Overview) -> None:
    overview.page.route(re.compile("/taskInstances[?]"), lambda route: route.fulfill(status=503))
    content = overview.open()
    expect(content.locator(".box.bad")).to_contain_text("Airflow does not respond")

    overview.page.unroute_all()
    content.get_by_role("button", name="Refresh").click()

    expect(overview.row("parking-deck")).to_have_count(1)
    expect(content.locator(".box.bad")).to_have_count(0)


def test_nothing_is_read_after_the_summary(overview: Overview) -> None:
    """A screen reader reads the summary when nothing changes any more: details of details are read before it."""
    overview.open("?period=week").get_by_role("status").evaluate(NOTE_SUMMARY)
    overview.wait_until_complete()
    overview.page.wait_for_timeout(1000)

    assert overview.page.evaluate("window.summaryAt") > 0
    assert overview.page.evaluate(REQUESTS_AFTER_SUMMARY) == []


def test_ten_thousand_tasks_need_a_bounded_number_of_requests(
    page_of: Callable[..., Page], deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.api.wait_for_dag("weekly_sync")
    store(deployment, many())
    overview = Overview(page_of(MANY_READER), deployment.api.url)
    # Load the static files of Airflow first.
    overview.page.goto(f"{deployment.api.url}/dags", timeout=TIMEOUT)
    nav = overview.page.get_by_role("link", name="iTwin", exact=True)
    expect(nav).to_be_visible()
    overview.requests.clear()

    began = time.monotonic()
    nav.click()
    overview.content.locator("tbody tr.group").first.wait_for(timeout=TIMEOUT)
    first = time.monotonic() - began
    overview.content.get_by_label("Period").select_option("week")
    expect(overview.content.locator(".numbers li").nth(2)).to_have_text("10,000 ended tasks")
    overview.requests.clear()
    overview.page.reload()
    began = time.monotonic()
    expect(overview.content.locator("tbody tr.group").first).to_be_visible()
    week = time.monotonic() - began
    overview.wait_until_complete()
    complete = time.monotonic() - began

    listed = overview.lists
    details = [request.url for request in overview.requests if "/xcomEntries" in request.url]
    with capsys.disabled():
        print(
            f"\n10,000 tasks: first rows after {first:.2f} s (day) and {week:.2f} s (week, page reloaded), all read after "
            f"{complete:.1f} s; {len(listed)} requests for tasks, {len(details)} for XComs"
        )
    assert len(listed) <= MAX_PAGES
    assert len(details) <= 4 * MAX_DETAILS
    assert min(first, week) < MAX_SECONDS
    expect(overview.content.locator("footer")).to_contain_text("The newest 1,000 of 10,000 ended tasks are listed")
    expect(overview.content.locator("tbody tr:not(.group) th")).to_have_count(50)

    overview.requests.clear()
    overview.content.get_by_role("button", name="Read more").focus()
    overview.page.keyboard.press("Enter")
    expect(overview.content.locator("footer")).to_contain_text("The newest 2,000 of 10,000", timeout=TIMEOUT)
    assert len(overview.lists) <= 10
    # A refresh would take away what is read now, or read it all again.
    expect(overview.content.get_by_text("As of")).not_to_contain_text("every minute")
    overview.content.get_by_role("button", name="Show 50 more of 150 connections").click()
    expect(overview.content.locator("tbody tr:not(.group) th")).to_have_count(100)
    assert overview.problems == []
