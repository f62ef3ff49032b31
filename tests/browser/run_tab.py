"""The tab *iTwin run* in a browser page: where it is, and what the page has asked for and complained of meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

# There may be others who want the machine at the same time.
PATIENCE = 60_000.0


@dataclass
class RunTab:
    """One look at one task instance."""

    page: Page
    url: str
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        expect.set_options(timeout=PATIENCE)
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._take_down)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(
        self, dag_id: str, run_id: str, task_id: str = "synchronize", *, map_index: int = -1, query: str = ""
    ) -> Locator:
        """Open the tab by its address; the part of the page that is ours."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        address = f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{mapped}/plugin/itwin-run{query}"
        self.page.goto(address, timeout=PATIENCE)
        return self.content

    @property
    def content(self) -> Locator:
        """What the tab shows."""
        return self.page.get_by_test_id("itwin-run").locator(".page")

    @property
    def title(self) -> Locator:
        """The line that says the most important."""
        return self.content.locator("h2")

    def _take_down(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.text} ({message.location.get('url')})")
