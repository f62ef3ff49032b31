"""The site works when its pages are opened from a folder, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture
def page(site: Path) -> Iterator[Page]:
    """The home page, opened from the folder; requests to a network and errors of scripts fail the test."""
    problems: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend([request.url] if request.url.startswith("http") else []))
        page.goto((site / "index.html").as_uri())
        yield page
    assert not problems


def search(page: Page, text: str) -> None:
    page.click("[data-md-component=search-query]")
    page.keyboard.type(text)


def test_the_search_finds_a_page_and_opens_it(page: Page) -> None:
    search(page, "outage tolerance")
    result = page.locator(".md-search-result__link", has_text="Outages").first
    result.wait_for()
    result.click()
    page.wait_for_url("**/waiting.html**")
    assert page.locator("h1").inner_text().startswith("Waiting")


def test_the_search_finds_a_symptom(page: Page) -> None:
    search(page, "UserNotAuthenticated")
    page.locator(".md-search-result__link", has_text="UserNotAuthenticated").first.wait_for()


def test_the_search_works_below_a_folder(page: Page, site: Path) -> None:
    page.goto((site / "operators" / "run-storage-connection.html").as_uri())
    search(page, "preflight")
    result = page.locator(".md-search-result__link", has_text="preflight").first
    result.wait_for()
    assert (result.get_attribute("href") or "").startswith("file:")
