"""Pictures for the documentation: made only when somebody wants new ones, by setting ITWIN_PICTURES."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = Path(__file__).parents[2] / "docs" / "images"


def photograph(what: Page | Locator, name: str) -> None:
    """Make a picture of a page, or of a part of it, and put it where the documentation has its pictures."""
    if "ITWIN_PICTURES" in os.environ:
        what.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
