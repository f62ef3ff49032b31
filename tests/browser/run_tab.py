"""The tab *iTwin run* and the page *iTwin* in a browser page, with the requests and the errors of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request

# Milliseconds; long, because the machine may be busy.
TIMEOUT = 60_000.0

OUR_FILES = "/itwin-run/"
"""Part of the URL of each script of this package."""


@dataclass
class _PluginPage:
    """A page of this package in Airflow."""

    test_id: ClassVar[str]

    page: Page
    url: str
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        expect.set_options(timeout=TIMEOUT)
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._note_error)
        self.page.on("pageerror", self._note_page_error)

    @property
    def content(self) -> Locator:
        """The content of the page."""
        return self.page.get_by_test_id(self.test_id).locator(".page")

    def _note_page_error(self, error: Error) -> None:
        # Airflow 3.2 sometimes aborts a request of its own when it redraws a page. The stack names the script.
        if "signal is aborted" not in error.message or OUR_FILES in (error.stack or ""):
            self.problems.append(f"{error.message} {error.stack or ''}")

    def _note_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.text} ({message.location.get('url')})")


class RunTab(_PluginPage):
    """The tab of one task instance."""

    test_id = "itwin-run"

    def open(
        self, dag_id: str, run_id: str, task_id: str = "synchronize", *, map_index: int = -1, query: str = ""
    ) -> Locator:
        """Open the tab by its URL; return its content."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        address = f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{mapped}/plugin/itwin-run{query}"
        self.page.goto(address, timeout=TIMEOUT)
        return self.content

    @property
    def title(self) -> Locator:
        """The heading of the tab."""
        return self.content.locator("h2")


class Overview(_PluginPage):
    """The page in Airflow's navigation."""

    test_id = "itwin-overview"

    def open(self, query: str = "") -> Locator:
        """Open the page by its URL; return its content."""
        self.page.goto(f"{self.url}/plugin/itwin{query}", timeout=TIMEOUT)
        return self.content

    def wait_until_complete(self) -> None:
        """Wait until everything is read: the page then reports a summary to screen readers."""
        expect(self.content.get_by_role("status")).not_to_be_empty()
        expect(self.content.get_by_text("Reading", exact=False)).to_have_count(0)

    @property
    def lists(self) -> list[str]:
        """The addresses of all requests for lists of tasks."""
        return [request.url for request in self.requests if "/dagRuns/~/taskInstances?" in request.url]

    def row(self, connection: str) -> Locator:
        """Return the row of the latest task of a connection."""
        return self.content.locator("tr:not(.earlier)").filter(has=self.page.get_by_role("rowheader", name=connection))
