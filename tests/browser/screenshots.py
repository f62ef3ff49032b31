"""Screenshots for the documentation, taken only if ITWIN_PICTURES is set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parents[2] / "docs" / "images"


def take_screenshot(page: Page, name: str, height: int = 1300, width: int = 1280) -> None:
    """Save a screenshot of a page in a tall window to the pictures of the documentation."""
    if "ITWIN_PICTURES" in os.environ:
        page.set_viewport_size({"width": width, "height": height})
        # Airflow redraws its grid.
        page.wait_for_timeout(2000)
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
