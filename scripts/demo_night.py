"""What the demo of a whole night puts in, and what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.airflow_home import short_path

if TYPE_CHECKING:
    from pathlib import Path

DAG_ID = "itwin_night"
SYNCHRONIZE, EXPORT = "night.synchronize", "night.export"
CHANGED = "Architecture/ED-ARC-Walls.rvt"

_DESIGNS = {
    CHANGED: 2_400_000,
    "Services/ED-MEP-Ducts.ifc": 600_000,
    "Structural/ED-STR-Frame.dgn": 1_500_000,
}
_LABEL = 16


class NightFolders:
    """
    The folder of design files that the DAG uploads, and the one that it delivers to.

    :param home: where the folders are created
    """

    def __init__(self, home: Path) -> None:
        self.designs = home / "designs"
        self.deliveries = home / "deliveries"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that tell the example DAG about the folders."""
        return {"ITWIN_NIGHT_SOURCE": str(self.designs), "ITWIN_NIGHT_DELIVERY": f"{self.deliveries}/"}

    def create_designs(self) -> None:
        """Create the design files."""
        for name, size in _DESIGNS.items():
            self._write(name, size)

    def change_design(self) -> None:
        """Change one of the design files."""
        self._write(CHANGED, _DESIGNS[CHANGED] + 100_000)

    def _write(self, name: str, size: int) -> None:
        path = self.designs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"{name}, {size} bytes, made by the demo\n".encode()
        path.write_bytes((line * (size // len(line) + 1))[:size])


def night_table(number: int, outcome: dict[str, Any], deliveries: Path) -> str:
    """
    Describe a night: the files that went in, and what came out of them.

    :param number: number of the night
    :param outcome: outcome of the DAG run, with the outputs and the run reports of its tasks
    :param deliveries: the folder that the files are delivered to
    """
    outputs, reports = outcome["outputs"], outcome["reports"]
    title = f"Night {number}"
    lines = [title, "-" * len(title)]
    files = outputs.get("night.upload") or []
    width = max((len(file["path"]) for file in files), default=0)
    lines += _row("In", [f"{file['path']:<{width}}  {file['size']:>10,} bytes  {file['outcome']}" for file in files])
    lines += _row("Synchronized", [reports[SYNCHRONIZE]["summary"]] if SYNCHRONIZE in reports else [])
    if version := outputs.get("night.version"):
        changeset = f"changeset {version['changeset_index']} ({version['changeset_id']})"
        lines += _row("Named version", [version["name"], f"on {changeset}"])
    lines += _row("Exported", [reports[EXPORT]["summary"]] if EXPORT in reports else [])
    delivered = outputs.get("night.download") or []
    lines += _row("Out", [f"{file['name']}  {file['size']:,} bytes" for file in delivered])
    lines += _row("Delivered to", [f"{short_path(deliveries)}/"] if delivered else [])
    return "\n".join(lines)


def _row(label: str, texts: list[str]) -> list[str]:
    return [f"  {label if number == 0 else '':<{_LABEL}}{text}" for number, text in enumerate(texts)]
