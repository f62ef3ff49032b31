"""The pages, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# tests/contracts runs the blocks of this page.
EMULATOR = DOCS / "emulator.md"
# tests/package runs this page in an environment of its own.
GETTING_STARTED = DOCS / "getting-started.md"
# tests/contracts/test_testing_dags.py runs its blocks.
TESTING_DAGS = DOCS / "testing-dags.md"

PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


@dataclass(frozen=True)
class Block:
    """A block of code and its position."""

    page: Path
    number: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}[{self.number}]"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    found = _BLOCK.findall(page.read_text())
    return [Block(page, number, language, code) for number, (language, code) in enumerate(found)]


def blocks(language: str, *, without: tuple[Path, ...] = (EMULATOR, TESTING_DAGS)) -> list[Block]:
    """Return all blocks in a language."""
    return [block for page in PAGES if page not in without for block in blocks_of(page) if block.language == language]
