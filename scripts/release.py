"""Check that the checkout can be released: tag, version and changelog agree, and nothing is uncommitted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROVIDER, EMULATOR = "airflow_provider_itwin", "emulator/itwin_emulator"
CHECKOUT = Path(__file__).resolve().parent.parent
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def version(package: str = PROVIDER, checkout: Path = CHECKOUT) -> str:
    """
    Read the version of a package.

    :param package: folder of the package in the checkout
    :raises ValueError: if it is missing
    """
    found = _VERSION.search((checkout / package / "__init__.py").read_text())
    if found is None:
        raise ValueError(f"{package}/__init__.py has no __version__")
    return found[1]


def problems(version: str, emulator_version: str, tags: list[str], changelog: str, changes: str) -> list[str]:
    """
    Return the problems that prevent a release.

    :param version: version of the provider
    :param emulator_version: version of the emulator, which is released together with the provider
    :param tags: tags of the commit
    :param changes: uncommitted changes, as reported by git
    """
    found = []
    if emulator_version != version:
        found.append(f"The version of the emulator is {emulator_version}, that of the provider {version}.")
    if f"v{version}" not in tags:
        found.append(
            f"The commit has the tags {', '.join(tags) or 'none'}, but the version is {version}: v{version} is missing."
        )
    heading = re.search(rf"^## {re.escape(version)} \((.+)\)$", changelog, re.MULTILINE)
    if heading is None:
        found.append(f"CHANGELOG.md has no section '## {version} (date)'.")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[1]):
        found.append(f"CHANGELOG.md has no date for {version}, but {heading[1]!r}. Replace it with the date.")
    if changes:
        found.append("There are uncommitted changes.")
    return found


def main() -> int:
    """Print the problems that prevent a release."""
    found = problems(
        version(),
        version(EMULATOR),
        _git("tag", "--points-at", "HEAD").split(),
        (CHECKOUT / "CHANGELOG.md").read_text(),
        _git("status", "--porcelain"),
    )
    sys.stdout.write("\n".join(found or [f"{version()} can be released."]) + "\n")
    return 1 if found else 0


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 (the arguments are constants)
        ["git", *arguments],  # noqa: S607 (whichever git there is)
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
