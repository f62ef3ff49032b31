"""The table of all cells, expected or observed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from .environment import LEGEND
from .scenarios import OPERATIONS, SCENARIOS

Cells: TypeAlias = dict[str, dict[tuple[str, str], str]]
"""By fault, and then by scenario and operation."""

EXPECTED = Path(__file__).with_name("expected.txt")

COLUMNS = [
    (scenario, operation)
    for scenario in SCENARIOS
    for operation in OPERATIONS
    if operation in SCENARIOS[scenario].operations
]
_WIDTH = 12
_NAME_WIDTH = 22


def read(path: Path = EXPECTED) -> Cells:
    """Read a table that :func:`format_table` has written."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {
        line[:_NAME_WIDTH].strip(): dict(zip(COLUMNS, line[_NAME_WIDTH:].split(), strict=True))
        for line in lines
        if line.strip()
    }


def format_table(cells: Cells) -> str:
    """Return the table as text: one line per fault, one column per operation in each scenario."""
    scenarios = "".join(
        f"{scenario:{_WIDTH * sum(1 for column in COLUMNS if column[0] == scenario)}}" for scenario in SCENARIOS
    )
    lines = [
        "# Fault occurs once / always; one word where both are the same.",
        *(f"# {code:8}{meaning}" for code, meaning in LEGEND.items()),
        "#",
        f"#{'':{_NAME_WIDTH - 1}}{scenarios}".rstrip(),
        f"#{'':{_NAME_WIDTH - 1}}{''.join(f'{operation:{_WIDTH}}' for _, operation in COLUMNS)}".rstrip(),
    ]
    lines += [
        f"{name:{_NAME_WIDTH}}" + "".join(f"{row.get(column, '?'):{_WIDTH}}" for column in COLUMNS).rstrip()
        for name, row in cells.items()
    ]
    return "\n".join(lines) + "\n"


def cell(once: str, always: str) -> str:
    """Return the text of a cell with both halves."""
    return once if once == always else f"{once}/{always}"
