"""Both distributions, built once, and an environment in which only the provider is installed."""

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
PACKAGING_FILES = ("pyproject.toml", "README.md", "LICENSE")
NOT_KEPT = shutil.ignore_patterns("__pycache__", "*.pyc")
UV = Path(sys.executable).with_name("uv")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here: they need tools that only the newest environment has."""
    mark_as_publishing(item for item in items if Path(__file__).parent in item.path.parents)


def mark_as_publishing(items: Iterable[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.publishing)


@dataclass(frozen=True)
class Project:
    """A distribution of this repository."""

    package: str
    folder: Path
    """Folder of its pyproject.toml."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Files and folders, relative to its folder, that it is built from."""
        return (self.package, *PACKAGING_FILES)


PROVIDER = Project("airflow_provider_itwin", ROOT)
EMULATOR = Project("itwin_emulator", ROOT / "emulator")


@dataclass(frozen=True)
class Distributions:
    """The result of a build."""

    project: Project
    wheel: Path
    sdist: Path


def environment() -> dict[str, str]:
    """Return the environment without variables that lead to this checkout or to this Airflow."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_", "PYTHON", "VIRTUAL_ENV"))
    } | {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def call(*command: str | Path, cwd: Path, limit: float = 300.0, **more: str) -> str:
    """Run a command, assert that it succeeds, and return its output."""
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


def build(project: Project, folder: Path) -> Distributions:
    """Build from a copy of the sources: first the source distribution, then the wheel from it."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in project.sources:
        if (project.folder / name).is_dir():
            shutil.copytree(project.folder / name, source / name, ignore=NOT_KEPT)
        else:
            shutil.copy(project.folder / name, source)
    call(UV, "build", "--quiet", "--out-dir", folder / "dist", cwd=source, SOURCE_DATE_EPOCH="1790000000")
    [wheel], [sdist] = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return Distributions(project, wheel, sdist)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The provider, built."""
    return build(PROVIDER, tmp_path_factory.mktemp("provider"))


@pytest.fixture(scope="session")
def emulator_distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The emulator, built."""
    return build(EMULATOR, tmp_path_factory.mktemp("emulator"))


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment in which only the provider's wheel is installed."""
    folder = new_environment(tmp_path_factory.mktemp("installed"))
    install(folder, distributions.wheel)
    return folder


def python_for(wanted: str) -> str:
    """Return a Python of the version that the file was made for, or this one if there is none."""
    found = subprocess.run(
        [UV, "python", "find", wanted], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return found.stdout.strip() if found.returncode == 0 else sys.executable


def new_environment(folder: Path, python: str | Path = sys.executable) -> Path:
    """Create a virtual environment and return its ``bin`` folder."""
    call(UV, "venv", "--quiet", "--python", python, folder / "env", cwd=folder)
    return folder / "env" / "bin"


def install(folder: Path, *packages: str | Path) -> None:
    """Install packages into the environment with this ``bin`` folder, with the pinned versions of their dependencies."""
    constraints = ROOT / "requirements" / "airflow-3.3.txt"
    call(UV, "pip", "install", "--quiet", "--python", folder / "python", "-c", constraints, *packages, cwd=folder)
