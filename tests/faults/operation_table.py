"""The table of the outcomes of one task: one line per fault, one column per operation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NAME_WIDTH = 22
_WIDTH = 16

# A link to another host, however it is made, is requested: without a token, but these tests stay on loopback.
CAUSES = [failure for failure in FAULTS if failure.fault is not None and failure.fault.get("kind") != "redirect"]


def read_rows(path: Path) -> dict[str, list[str]]:
    """Return the expected cells of each fault."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {line[:_NAME_WIDTH].strip(): line[_NAME_WIDTH:].split() for line in lines if line and line[0] != "#"}


def rewrite(path: Path, operations: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Write the observed cells if all are there, and ``REWRITE=1`` is in the environment."""
    if not os.environ.get("REWRITE") or len(rows) != len(CAUSES):
        return
    head = f"# once / always{'':7}" + "".join(f"{operation:{_WIDTH}}" for operation in operations)
    lines = [f"{name:{_NAME_WIDTH}}" + "".join(f"{cell:{_WIDTH}}" for cell in row) for name, row in rows.items()]
    path.write_text("\n".join(line.rstrip() for line in (head, *lines)) + "\n")
