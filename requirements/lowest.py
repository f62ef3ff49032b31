"""Print the lowest version of each direct dependency, and of those of the extra for OpenLineage, as a pin, for ``lock.sh``."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

OPENLINEAGE = PROJECT["optional-dependencies"]["openlineage"]

for requirement in [*PROJECT["dependencies"], *OPENLINEAGE]:
    name, bound = requirement.split(">=")
    print(f"{name}=={bound}")  # noqa: T201 (the output of this script)
