"""The documentation of the emulator: its blocks of code run, and its tables are complete."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from itwin_emulator import JobPlan, Quirks, RunPlan
from itwin_emulator.admin import scenario
from itwin_emulator.domain.job_kinds import JOB_KINDS
from itwin_emulator.http.faults import KIND_NOTES
from itwin_emulator.http.rate_limit import TIERS
from itwin_emulator.spec.operations import OPERATIONS

from .shell_script import PROMISE, ROOT, blocks_of, run_blocks

PAGE = ROOT / "docs" / "emulator.md"
README = ROOT / "emulator" / "README.md"
TEXT = PAGE.read_text()
LIMIT = 120.0
"""Seconds; the blocks of a page take about ten."""


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.stem)
def test_every_block_does_what_it_says(page: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page)
    assert {language for language, _ in blocks} <= {"sh", "python", "js"}
    if shutil.which("node") is None:
        blocks = [(language, code) for language, code in blocks if language != "js"]
    missing = [name for name in ("bash", "curl") if shutil.which(name) is None]
    if missing:
        if os.getenv("CI") == "true":
            pytest.fail(f"{missing} are required to run the blocks of {page.name}")
        pytest.skip(f"no {missing} here")
    run_blocks(blocks, tmp_path, LIMIT)


def test_promises_are_made() -> None:
    assert len(PROMISE.findall(TEXT)) > 20
    assert len(PROMISE.findall(README.read_text())) > 5


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_the_table_of_operations(operation: object) -> None:
    assert f"| `{operation.id}` | `{operation.method} {operation.template}` |" in TEXT  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        *KIND_NOTES,
        *(field.name for field in fields(Quirks)),
        *(field.name for field in fields(RunPlan)),
        *(field.name for field in fields(JobPlan)),
        *JOB_KINDS,
        *TIERS,
        *scenario.names(),
    ],
)
def test_nothing_is_left_out(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_readme_counts_the_kinds_of_faults() -> None:
    assert len(KIND_NOTES) == 19
    assert "nineteen kinds of faults" in README.read_text()


def test_links_within_the_page() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert target in anchors
