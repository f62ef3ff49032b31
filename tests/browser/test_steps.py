"""Steps of a night that have no run, in the tab and on the page: uploads, named versions and downloads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_itwin.api.models.job_types import JobReportDict
from airflow_provider_itwin.api.models.json_types import DownloadedFileDict, NamedVersionDict
from airflow_provider_itwin.api.storage.upload import UploadSummary
from airflow_provider_itwin.operators.upload import _report

from .contrast import poor_contrasts
from .nights import HARBOR, HOSTILE
from .run_tab import Overview, RunTab
from .screenshots import take_screenshot
from .steps import (
    CHANGESET,
    CONNECTION,
    DAG,
    FOLDER,
    JOB,
    OTHER_CONNECTION,
    SHA256,
    VERSION,
    downloaded,
    job,
    named_version,
    nights,
    report,
)
from .stored_tasks import store
from .users import STEPS_READER

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.system.deployment import Deployment

pytestmark = pytest.mark.system

MOST_ROWS = 100
"""Rows of a table in the tab."""


@pytest.fixture(scope="module")
def night(deployment: Deployment) -> None:
    """Nights in the database."""
    deployment.api.wait_for_dag(DAG)
    store(deployment, nights())


@pytest.fixture
def step_tab(tab: RunTab, night: None) -> RunTab:
    """The tab, not opened yet."""
    return tab


def test_the_stored_outputs_have_the_keys_of_the_operators() -> None:
    pushed = _report(UploadSummary(FOLDER, [], [], not_tried=0, sent=0, seconds=0.0), None, removes=False)

    assert report() == pushed
    assert named_version().keys() == NamedVersionDict.__annotations__.keys()
    assert job("Success", "passed").keys() == JobReportDict.__annotations__.keys()
    assert downloaded()[0].keys() == DownloadedFileDict.__annotations__.keys()


@pytest.mark.every_airflow
def test_an_upload_shows_what_became_of_its_files(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "whole", "upload")

    expect(step_tab.title).to_have_text("1 created, 2 updated, 60 unchanged, 1 gone")
    expect(content.locator(".numbers li")).to_have_text(
        [
            "0 failed",
            "1 created",
            "2 updated",
            "60 unchanged",
            "1 gone",
            "60.0 MiB sent in 12 s",
            "5.0 MiB/s on average",
        ]
    )
    expect(content.locator(".facts")).to_contain_text(FOLDER)
    expect(content.locator(".facts")).to_contain_text("Added to the connection1")
    expect(content.locator(".facts")).to_contain_text("Duration90 s")
    created = content.get_by_role("row", name="HB-STR-Quay.dgn")
    expect(created.get_by_role("cell")).to_have_text(["✓ created", "12.0 MiB", ""])
    gone = content.get_by_role("row", name="HB-STR-Crane.dgn")
    expect(gone).to_contain_text("◷ gone")
    # 50 files and one that is gone are in the report, of 64.
    expect(content.get_by_role("table").get_by_role("row")).to_have_count(52)
    expect(content.get_by_text("… and 13 more files.")).to_be_visible()
    assert step_tab.problems == []
    take_screenshot(step_tab.page, "run-tab-upload-light", height=1000)


def test_a_failed_upload_shows_the_reason_of_each_file_first(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "failed", "upload")

    expect(step_tab.title).to_have_text("✕ failed1 failed, 3 not tried, 1 updated")
    first = content.get_by_role("table").get_by_role("row").nth(1)
    expect(first).to_contain_text("HB-MEP-Pumps.rvt")
    expect(first).to_contain_text("✕ failed")
    expect(first).to_contain_text("rename the file")
    expect(content.get_by_text("… and 3 more files.")).to_be_visible()
    expect(content.locator(".facts .state")).to_have_text("failed")


@pytest.mark.every_airflow
def test_a_named_version_shows_its_changeset_and_its_imodel(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "whole", "version")

    expect(step_tab.title).to_have_text(f"✓ createdNightly {HOSTILE}, on changeset 12")
    for fact in (f"Changeset12 {CHANGESET}", f"iModel{HARBOR}", f"Named version{VERSION}"):
        expect(content.locator(".facts")).to_contain_text(fact)
    assert step_tab.problems == []


@pytest.mark.every_airflow
def test_a_download_shows_path_size_and_digest(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "whole", "download")

    expect(step_tab.title).to_have_text("1 file, 3.0 MiB")
    row = content.get_by_role("row", name="Harbor-0.ifc")
    expect(row.get_by_role("cell")).to_have_text(["/deliveries/Harbor-0.ifc", "3.0 MiB", SHA256])
    assert step_tab.problems == []


@pytest.mark.every_airflow
def test_a_failed_job_shows_its_messages(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "failed", "model")

    expect(step_tab.title).to_have_text("✕ Failedreality modeling job: Failed")
    expect(content.get_by_role("row").nth(1)).to_contain_text("Not enough overlap: only 3 photos. <b>Bold</b>")
    expect(content.get_by_role("row").nth(2)).to_contain_text(HOSTILE)
    expect(content.get_by_text("… and 2 more messages.")).to_be_visible()
    assert step_tab.problems == []
    take_screenshot(step_tab.page, "job-failed")


def test_a_job_that_succeeded_shows_where_its_result_is(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "whole", "model")

    expect(step_tab.title).to_have_text("✓ Successreality modeling job: Success")
    expect(content.locator(".facts")).to_contain_text("/deliveries/bridge.json")
    expect(content.locator(".facts")).to_contain_text(JOB)
    expect(content.get_by_role("table")).to_have_count(0)


@pytest.mark.parametrize(
    ("run_id", "task_id", "text"),
    [
        ("running", "model", "The task waits for its job."),
        ("without", "model", "The task ended without a job report."),
        ("running", "upload", "The task uploads files; it has no report yet."),
        ("running", "version", "The task is running; it has no named version yet."),
        ("running", "download", "The task downloads files; it has no list of them yet."),
        ("without", "upload", "The task ended without an upload report."),
        ("without", "version", "The task returned no named version."),
        ("unknown", "upload", "This report has an unknown format. The raw JSON is below."),
        (
            "unknown",
            "download",
            "Airflow's REST API cannot read the output of this task: it is in a storage of its own, or has an unknown format.",
        ),
    ],
)
def test_a_step_without_an_output_says_so(step_tab: RunTab, run_id: str, task_id: str, text: str) -> None:
    content = step_tab.open(DAG, run_id, task_id)

    expect(content.locator(".note, h2").last).to_have_text(text)
    expect(content.get_by_role("table")).to_have_count(0)


def test_a_list_of_files_is_bounded(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "without", "download")

    expect(step_tab.title).to_have_text("120 files, 360 MiB")
    expect(content.get_by_role("table").get_by_role("row")).to_have_count(MOST_ROWS + 1)
    expect(content.get_by_text("… and 20 more files.")).to_be_visible()


@pytest.mark.parametrize(("run_id", "task_id"), [("failed", "upload"), ("whole", "version")])
def test_text_of_a_step_is_never_markup(step_tab: RunTab, run_id: str, task_id: str) -> None:
    content = step_tab.open(DAG, run_id, task_id)

    expect(content).to_contain_text(HOSTILE)
    expect(content.locator("script, img, iframe, svg, b, i, [onclick]")).to_have_count(0)
    assert step_tab.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["auto", "320px"])
def test_steps_are_readable_in_both_themes_and_in_a_narrow_panel(
    page_of: Callable[..., Page], deployment: Deployment, night: None, scheme: str, width: str
) -> None:
    page = page_of(color_scheme=scheme)
    tab = RunTab(page, deployment.api.url)
    for run_id, task_id in (("failed", "upload"), ("whole", "upload"), ("whole", "version"), ("whole", "download")):
        content = tab.open(DAG, run_id, task_id)
        expect(tab.title).to_be_visible()
        # The whole of Airflow does not become as narrow as this part of it.
        content.evaluate("(page, width) => page.style.setProperty('width', width)", width)
        assert poor_contrasts(content) == []
        for badge in content.locator(".badge").all():
            assert re.fullmatch(r"\S \w+", badge.inner_text()), "no information is in the color alone"
        assert content.evaluate("page => page.scrollWidth <= page.clientWidth"), "only tables scroll"


def test_the_files_of_a_step_are_usable_with_the_keyboard(step_tab: RunTab) -> None:
    content = step_tab.open(DAG, "whole", "download")
    expect(content.get_by_role("region", name="Files")).to_be_visible()

    content.get_by_role("region", name="Files").focus()
    step_tab.page.keyboard.press("Tab")
    step_tab.page.keyboard.press("Enter")

    expect(content.locator("#raw pre")).to_contain_text(SHA256)


@pytest.mark.every_airflow
def test_the_page_lists_steps_beside_the_run_of_their_connection(
    page_of: Callable[..., Page], deployment: Deployment, night: None
) -> None:
    overview = Overview(page_of(STEPS_READER), deployment.api.url)
    content = overview.open()
    overview.wait_until_complete()

    harbor = content.locator("tbody").filter(has_text=HARBOR)
    expect(harbor.get_by_role("heading")).to_have_text(f"iModel {HARBOR} · 1 connection")
    version = harbor.locator("tr").filter(has=overview.page.get_by_role("link", name="version"))
    expect(version.get_by_role("rowheader")).to_contain_text(CONNECTION)
    expect(version.get_by_role("rowheader")).to_contain_text("named version")
    upload = harbor.locator("tr").filter(has=overview.page.get_by_role("link", name="upload"))
    expect(upload.get_by_role("rowheader")).to_contain_text("upload")
    download = content.locator("tr").filter(has=overview.page.get_by_role("link", name="download"))
    expect(download.get_by_role("rowheader")).to_contain_text("no connection")
    assert overview.problems == []
    assert overview.page.evaluate("window.hacked") is None

    upload.get_by_role("link").click()
    expect(RunTab(overview.page, deployment.api.url).content.locator("h2")).to_be_visible()


def test_the_page_shows_the_output_of_a_step_and_its_failing_files(
    page_of: Callable[..., Page], deployment: Deployment, night: None
) -> None:
    overview = Overview(page_of(STEPS_READER), deployment.api.url)
    overview.open()
    overview.wait_until_complete()

    row = overview.row(OTHER_CONNECTION)
    expect(row.locator("[data-label='Result']")).to_have_text("failed1 failed, 3 not tried, 1 updated")
    expect(row.locator("[data-label='Duration']")).to_have_text("90 s")
    expect(row.locator("[data-label='Failing files']")).to_contain_text("1 file")
    expect(row.get_by_role("listitem")).to_have_text("HB-MEP-Pumps.rvt")
