"""The package as it is published, built once, and an environment that has nothing but what it brings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("airflow_provider_itwin", "pyproject.toml", "README.md", "LICENSE")
NOT_KEPT = shutil.ignore_patterns("__pycache__", "*.pyc")
UV = Path(sys.executable).with_name("uv")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it needs what only the newest environment has."""
    mark_as_publishing(item for item in items if Path(__file__).parent in item.path.parents)


def mark_as_publishing(items: Iterable[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.publishing)


@dataclass(frozen=True)
class Distributions:
    """What one build has made."""

    wheel: Path
    sdist: Path


def environment() -> dict[str, str]:
    """Give the environment without what would let this checkout, or this Airflow, show through."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_", "PYTHON", "VIRTUAL_ENV"))
    } | {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def call(*command: str | Path, cwd: Path, limit: float = 300.0, **more: str) -> str:
    """Run a command to its good end, and give what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
    return done.stdout


def build(folder: Path) -> Distributions:
    """Build from a copy of what the package is made of: the wheel out of the source distribution, as others would."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=NOT_KEPT)
        else:
            shutil.copy(ROOT / name, source)
    call(UV, "build", "--quiet", "--out-dir", folder / "dist", cwd=source, SOURCE_DATE_EPOCH="1790000000")
    [wheel], [sdist] = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return Distributions(wheel, sdist)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The package, built."""
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment in which only the wheel was asked for."""
    folder = tmp_path_factory.mktemp("installed")
    call(UV, "venv", "--quiet", "--python", sys.executable, folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / "requirements" / "airflow-3.3.txt"
    call(UV, "pip", "install", "--quiet", "--python", python, "-c", constraints, distributions.wheel, cwd=folder)
    return python.parent
