"""Says whether this checkout is what a release is made of: tag, version and changelog agree, and nothing is left uncommitted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def version(checkout: Path = CHECKOUT) -> str:
    """
    Read the version from the one place that has it.

    :raises ValueError: if it is not there
    """
    found = _VERSION.search((checkout / "airflow_provider_itwin" / "__init__.py").read_text())
    if found is None:
        raise ValueError("airflow_provider_itwin/__init__.py has no __version__")
    return found[1]


def objections(version: str, tags: list[str], changelog: str, changes: str) -> list[str]:
    """
    Give what stands against a release.

    :param tags: of the commit
    :param changes: what git says is uncommitted
    """
    found = []
    if f"v{version}" not in tags:
        found.append(
            f"The commit has the tags {', '.join(tags) or 'none'}, but the version is {version}: v{version} is missing."
        )
    heading = re.search(rf"^## {re.escape(version)} \((.+)\)$", changelog, re.MULTILINE)
    if heading is None:
        found.append(f"CHANGELOG.md has no part '## {version} (date)'.")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[1]):
        found.append(f"CHANGELOG.md says of {version}: {heading[1]}. Put the date there.")
    if changes:
        found.append("There are uncommitted changes.")
    return found


def main() -> int:
    """Print what stands against a release."""
    found = objections(
        version(),
        _git("tag", "--points-at", "HEAD").split(),
        (CHECKOUT / "CHANGELOG.md").read_text(),
        _git("status", "--porcelain"),
    )
    sys.stdout.write("\n".join(found or [f"{version()} can be released."]) + "\n")
    return 1 if found else 0


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 (the arguments are the above)
        ["git", *arguments],  # noqa: S607 (whichever git there is)
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
