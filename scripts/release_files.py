"""Write what a release has besides its distributions to ``release/``: bills of materials, checksums and notes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.release import CHECKOUT, version

DIST, RELEASE = CHECKOUT / "dist", CHECKOUT / "release"
UV = Path(sys.executable).with_name("uv")
_PINS = CHECKOUT / "requirements" / "airflow-3.3.txt"
_TOOL_PINS = CHECKOUT / "requirements" / "sbom.txt"
_SECONDS_PER_COMMAND = 900


class NoWheelError(Exception):
    """There is no wheel of a distribution."""


def wheel_of(distribution: str, folder: Path) -> Path:
    """
    Return the wheel of a distribution.

    :raises NoWheelError: if there is none, or more than one
    """
    found = sorted(folder.glob(f"{distribution.replace('-', '_')}-*.whl"))
    if len(found) != 1:
        raise NoWheelError(f"{folder} has {len(found)} wheels of {distribution} instead of one. Run make dist.")
    return found[0]


def bill_of_materials(wheel: Path, project: Path) -> str:
    """
    Return the dependencies of a wheel in CycloneDX format, with the versions that the tests use.

    :param project: ``pyproject.toml`` of the wheel
    """
    name, number = wheel.name.split("-")[:2]
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder, "env", "bin", "python")
        output = Path(folder, "bom.json")
        _run("venv", "--quiet", "--python", sys.executable, Path(folder, "env"))
        _run("pip", "install", "--quiet", "--python", python, "--constraint", _PINS, wheel)
        tool = ("tool", "run", "--quiet", "--constraints", _TOOL_PINS, "--from", "cyclonedx-bom", "cyclonedx-py")
        options = ("--output-reproducible", "--mc-type", "library", "--pyproject", project, "--output-file", output)
        _run(*tool, "environment", *options, python)
        bom = json.loads(output.read_text())
    # The version is not in pyproject.toml, so the tool does not find it.
    purl = f"pkg:pypi/{name.replace('_', '-')}@{number}"
    bom["metadata"]["component"] |= {"version": number, "purl": purl}
    return json.dumps(bom, indent=2, sort_keys=True) + "\n"


def checksums(files: Iterable[Path]) -> str:
    """Return the SHA-256 checksums of files, in the format of ``sha256sum``."""
    ordered = sorted(files, key=lambda file: file.name)
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in ordered)


def notes(changelog: str, version: str) -> str:
    """Return the section of a version in the changelog, without its heading; empty if there is none."""
    section = re.search(rf"^## {re.escape(version)} \([^\n]+\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return section[1].strip() + "\n" if section else ""


def main() -> None:
    """Write the files for the distributions in ``dist/``."""
    RELEASE.mkdir(exist_ok=True)
    for old in RELEASE.iterdir():
        old.unlink()
    for distribution, folder in (("airflow-provider-itwin", CHECKOUT), ("itwin-emulator", CHECKOUT / "emulator")):
        wheel = wheel_of(distribution, DIST)
        bom = bill_of_materials(wheel, folder / "pyproject.toml")
        (RELEASE / f"{distribution}-{version()}.cdx.json").write_text(bom)
    (RELEASE / "SHA256SUMS").write_text(checksums([*DIST.glob("*.whl"), *DIST.glob("*.tar.gz"), *RELEASE.iterdir()]))
    (RELEASE / "notes.md").write_text(notes((CHECKOUT / "CHANGELOG.md").read_text(), version()))
    sys.stdout.write("".join(f"{file.relative_to(CHECKOUT)}\n" for file in sorted(RELEASE.iterdir())))


def _run(*arguments: str | Path) -> None:
    subprocess.run([UV, *arguments], check=True, timeout=_SECONDS_PER_COMMAND)  # noqa: S603 (constants and own files)


if __name__ == "__main__":
    main()
