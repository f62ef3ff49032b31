"""Installs the npm packages of clients that Bentley publishes, once for all test runs of a checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent / "npm_clients"
LIMIT = 180.0
"""Seconds; an installation takes about five."""
ROOT = Path(__file__).parents[2]


def installed_packages() -> Path:
    """
    Return the folder with the packages, all in the versions of the lists; skip, or fail in CI, without npm.

    ``packages_without_dependencies.txt`` names packages of which only modules without imports of others are used: their
    dependencies are a whole user interface.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            _give_up(f"no {tool} here: Bentley's clients cannot run")
    packages = (FOLDER / "packages.txt").read_text().split()
    alone = (FOLDER / "packages_without_dependencies.txt").read_text().split()
    digest = hashlib.sha256("\n".join([*packages, "", *alone]).encode()).hexdigest()[:16]
    target = ROOT / ".npm-clients" / digest
    target.mkdir(parents=True, exist_ok=True)
    # Test runs on several Airflow versions can happen at the same time.
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "installed").exists():
            _install(packages, target)
            for package in alone:
                _unpack(package, target)
            (target / "installed").touch()
    return target


def _install(packages: list[str], target: Path) -> None:
    (target / "package.json").write_text('{"private": true}\n')
    # No scripts of packages run, and no file with addresses of a registry is kept.
    options = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _npm(["install", *options, *packages], target)


def _unpack(package: str, target: Path) -> None:
    folder = target / "node_modules" / package.rpartition("@")[0]
    folder.mkdir(parents=True, exist_ok=True)
    name = _npm(["pack", "--ignore-scripts", "--loglevel=error", package], target).split()[-1]
    with tarfile.open(target / name) as archive:
        members = [one for one in archive.getmembers() if one.name.startswith("package/")]
        for member in members:
            member.name = member.name.removeprefix("package/")
        archive.extractall(folder, members, filter="data")


def _npm(arguments: list[str], target: Path) -> str:
    try:
        done = subprocess.run(
            ["npm", *arguments],
            cwd=target,
            env=os.environ | {"npm_config_update_notifier": "false"},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _give_up(f"npm did not install the packages within {LIMIT:g} seconds")
    if done.returncode != 0:
        _give_up(f"npm cannot install the packages: {done.stderr[-500:]}")
    return done.stdout


def _give_up(reason: str) -> NoReturn:
    if os.getenv("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
