"""Diagrams of the package for the documentation site, drawn from its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "airflow_provider_itwin"

_WIDTH, _HEIGHT, _BOX = 860, 92, (128, 40)


@dataclass(frozen=True)
class Diagram:
    """
    The parts of a package as boxes in layers, and their imports as arrows.

    :param folder: the folder of the package
    :param name: its dotted name
    :param layers: from the top; a part imports only parts of its own layer or of lower layers
    """

    folder: Path
    name: str
    layers: tuple[tuple[str, ...], ...]

    def positions(self) -> dict[str, tuple[float, float]]:
        """Return the center of each box."""
        return {
            part: (_WIDTH * (number + 1) / (len(layer) + 1), _HEIGHT * row + 40)
            for row, layer in enumerate(self.layers)
            for number, part in enumerate(layer)
        }

    def edges(self) -> set[tuple[str, str]]:
        """Return the imports between parts at run time; imports for type checkers are ignored."""
        parts = {part for layer in self.layers for part in layer}
        found = set()
        for path in self.folder.rglob("*.py"):
            part = path.relative_to(self.folder).parts[0].removesuffix(".py")
            for module in _imported(ast.parse(path.read_text())):
                if part in parts and module.startswith(f"{self.name}."):
                    other = module.removeprefix(f"{self.name}.").partition(".")[0]
                    if other in parts and other != part:
                        found.add((part, other))
        return found

    def svg(self) -> str:
        """Draw the diagram."""
        positions = self.positions()
        width, height = _BOX
        lines = []
        for start, end in sorted(self.edges()):
            (x1, y1), (x2, y2) = positions[start], positions[end]
            down = (y2 > y1) - (y2 < y1)
            across = 0 if down else (x2 > x1) - (x2 < x1)
            ends = (
                f'x1="{x1 + across * width / 2:.0f}" y1="{y1 + down * height / 2:.0f}" '
                f'x2="{x2 - across * (width / 2 + 5):.0f}" y2="{y2 - down * (height / 2 + 5):.0f}"'
            )
            lines.append(f'<line {ends} data-edge="{start} {end}" marker-end="url(#tip)"/>')
        boxes = [
            f'<g><rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}" height="{height}" rx="8"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}">{escape(part)}</text></g>'
            for part, (x, y) in positions.items()
        ]
        return (
            f'<svg class="diagram" role="img" aria-label="Imports within {escape(self.name)}" '
            f'viewBox="0 0 {_WIDTH} {_HEIGHT * len(self.layers)}" xmlns="http://www.w3.org/2000/svg">'
            f"{_STYLE}{_ARROW}{''.join(lines)}{''.join(boxes)}</svg>"
        )


_STYLE = (
    "<style>.diagram line{stroke:#7a8b7f;stroke-width:1.2}.diagram rect{fill:#d6ecd8;stroke:#3f7d58}"
    ".diagram text{text-anchor:middle;font:15px sans-serif;fill:#123}</style>"
)
_ARROW = (
    '<defs><marker id="tip" orient="auto" markerWidth="8" markerHeight="8" refX="6" refY="3">'
    '<path d="M0,0 L6,3 L0,6 z" fill="#7a8b7f"/></marker></defs>'
)

DIAGRAMS = {
    "provider": Diagram(
        PACKAGE,
        PACKAGE.name,
        (
            ("night", "jobs"),
            ("operators", "sensors", "plugin"),
            ("run_task", "job_task"),
            ("waiting_task",),
            ("triggers",),
            ("utils",),
            ("hooks", "links", "assets", "notifications", "retry_policy"),
            ("exceptions",),
            ("api",),
        ),
    ),
    "api": Diagram(
        PACKAGE / "api",
        f"{PACKAGE.name}.api",
        (
            ("client_pool",),
            ("client", "async_client"),
            ("wait",),
            ("runs", "storage", "imodels", "jobs"),
            ("http",),
            ("models",),
            ("errors",),
            ("redaction",),
        ),
    ),
}


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
