"""Draws the rooms of the package and who uses whom, from the imports that are really there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "airflow_provider_itwin"

# From the top: whoever is in one of these rows uses only what is further down, or beside it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("operators", "sensors", "plugin"),
    ("triggers", "conclusions", "memory", "messages"),
    ("hooks", "assets", "lineage", "retry"),
    ("exceptions", "settings", "links", "deadline", "stored_kwargs"),
    ("api",),
    ("emulator",),
)
_WIDTH, _HEIGHT, _BOX = 860, 92, (128, 40)


def rooms() -> dict[str, tuple[float, float]]:
    """Give where the middle of each room is drawn."""
    return {
        room: (_WIDTH * (number + 1) / (len(layer) + 1), _HEIGHT * row + 40)
        for row, layer in enumerate(LAYERS)
        for number, room in enumerate(layer)
    }


def edges() -> set[tuple[str, str]]:
    """Find who imports whom when it runs; what only type checkers read is left out."""
    drawn = rooms()
    found = set()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name in _imported(ast.parse(path.read_text())):
            parts = name.split(".")
            if parts[0] == PACKAGE.name and len(parts) > 1 and room in drawn and parts[1] in drawn and parts[1] != room:
                found.add((room, parts[1]))
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.ImportFrom(module=str(module), names=names):
            yield module
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def picture() -> str:
    """Give the picture as SVG."""
    places = rooms()
    width, height = _BOX
    lines = []
    for start, end in sorted(edges()):
        (x1, y1), (x2, y2) = places[start], places[end]
        down = (y2 > y1) - (y2 < y1)
        ends = f'x1="{x1:.0f}" y1="{y1 + down * height / 2:.0f}" x2="{x2:.0f}" y2="{y2 - down * (height / 2 + 5):.0f}"'
        lines.append(f'<line {ends} data-edge="{start} {end}" marker-end="url(#tip)"/>')
    boxes = [
        f'<g><rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}" height="{height}" rx="8"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}">{escape(room)}</text></g>'
        for room, (x, y) in places.items()
    ]
    style = (
        "<style>.rooms line{stroke:#7a8b7f;stroke-width:1.2}.rooms rect{fill:#d6ecd8;stroke:#3f7d58}"
        ".rooms text{text-anchor:middle;font:15px sans-serif;fill:#123}</style>"
    )
    tip = (
        '<defs><marker id="tip" orient="auto" markerWidth="8" markerHeight="8" refX="6" refY="3">'
        '<path d="M0,0 L6,3 L0,6 z" fill="#7a8b7f"/></marker></defs>'
    )
    return (
        f'<svg class="rooms" role="img" aria-label="Who uses whom" viewBox="0 0 {_WIDTH} {_HEIGHT * len(LAYERS)}" '
        f'xmlns="http://www.w3.org/2000/svg">{style}{tip}{"".join(lines)}{"".join(boxes)}</svg>'
    )
