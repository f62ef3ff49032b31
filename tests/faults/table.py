"""The table of all cells: what is expected of each, and what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from .environment import LEGEND
from .scenarios import OPERATIONS, PLAYS

Cells: TypeAlias = dict[str, dict[tuple[str, str], str]]
"""By trouble, and then by play and operation."""

EXPECTED = Path(__file__).with_name("expected.txt")

COLUMNS = [(play, operation) for play in PLAYS for operation in OPERATIONS if operation in PLAYS[play].asks]
_WIDTH = 12
_FIRST = 22


def read(path: Path = EXPECTED) -> Cells:
    """Read a table as :func:`written` gives it."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {
        line[:_FIRST].strip(): dict(zip(COLUMNS, line[_FIRST:].split(), strict=True)) for line in lines if line.strip()
    }


def written(cells: Cells) -> str:
    """Write a table: a line for each trouble, a column for each operation in each play."""
    plays = "".join(f"{play:{_WIDTH * sum(1 for column in COLUMNS if column[0] == play)}}" for play in PLAYS)
    lines = [
        "# Once / whenever asked; one word where both are the same.",
        *(f"# {code:8}{meaning}" for code, meaning in LEGEND.items()),
        "#",
        f"#{'':{_FIRST - 1}}{plays}".rstrip(),
        f"#{'':{_FIRST - 1}}{''.join(f'{operation:{_WIDTH}}' for _, operation in COLUMNS)}".rstrip(),
    ]
    lines += [
        f"{name:{_FIRST}}" + "".join(f"{row.get(column, '?'):{_WIDTH}}" for column in COLUMNS).rstrip()
        for name, row in cells.items()
    ]
    return "\n".join(lines) + "\n"


def cell(once: str, always: str) -> str:
    """Write both halves of a cell."""
    return once if once == always else f"{once}/{always}"
