"""Prints the lowest versions of what the package itself needs, as pins: ``lock.sh`` makes an environment of them."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

for requirement in PROJECT["dependencies"]:
    name, bound = requirement.split(">=")
    print(f"{name}=={bound}")  # noqa: T201 (that is what it is for)
