"""Package metadata with the entry points of the distribution, so that tests do not depend on how it is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

DISTRIBUTION = Path(__file__).parents[1]


def write_metadata(folder: Path) -> Path:
    """Write a ``.dist-info`` folder with the entry points of ``pyproject.toml``, and return the folder to put on the path."""
    project = tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text())["project"]
    info = folder / "itwin_emulator-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: itwin-emulator\nVersion: 0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
