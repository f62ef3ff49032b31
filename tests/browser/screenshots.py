"""Pictures for the documentation: made only when somebody wants new ones, by setting ITWIN_PICTURES."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parents[2] / "docs" / "images"


def take_screenshot(page: Page, name: str, height: int = 1300) -> None:
    """Make a picture of a page as a tall window shows it, and put it where the documentation has its pictures."""
    if "ITWIN_PICTURES" in os.environ:
        page.set_viewport_size({"width": 1280, "height": height})
        # Airflow draws its grid anew.
        page.wait_for_timeout(2000)
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
