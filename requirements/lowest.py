"""Print the lowest version of each direct dependency as a pin, for ``lock.sh``."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

for requirement in PROJECT["dependencies"]:
    name, bound = requirement.split(">=")
    print(f"{name}=={bound}")  # noqa: T201 (the output of this script)
