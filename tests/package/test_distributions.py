"""What is published: the same bytes for the same sources, and nothing in it that does not belong there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import airflow_provider_itwin

from .conftest import BUILT_FROM, NOT_KEPT, ROOT, build, call

if TYPE_CHECKING:
    from .conftest import Distributions

PACKAGE = "airflow_provider_itwin"
MOST_BYTES = 400_000


def members(distributions: Distributions) -> tuple[set[str], set[str]]:
    """Give the files of the wheel, and those of the source distribution."""
    with zipfile.ZipFile(distributions.wheel) as wheel, tarfile.open(distributions.sdist) as sdist:
        top = f"{PACKAGE}-{airflow_provider_itwin.__version__}/"
        return set(wheel.namelist()), {name.removeprefix(top) for name in sdist.getnames()}


def sources() -> set[str]:
    folder = ROOT / PACKAGE
    names = [path for path in folder.rglob("*") if path.is_file()]
    ignored = NOT_KEPT("", [path.name for path in names])
    return {
        path.relative_to(ROOT).as_posix()
        for path in names
        if path.name not in ignored and "__pycache__" not in path.parts
    }


def test_are_the_same_bytes_another_time_in_another_place(distributions: Distributions, tmp_path: Path) -> None:
    again = build(tmp_path / "somewhere else")
    for one, other in ((distributions.wheel, again.wheel), (distributions.sdist, again.sdist)):
        assert one.name == other.name
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


def test_hold_the_package_and_nothing_else(distributions: Distributions) -> None:
    wheel, sdist = members(distributions)
    outside = {name for name in wheel if ".dist-info/" not in name}
    assert outside == sources()
    assert {PurePosixPath(name).suffix for name in outside} <= {
        ".py",
        ".typed",
        ".toml",
        ".html",
        ".js",
        ".css",
        ".svg",
        ".json",
    }
    assert sdist == outside | {"PKG-INFO", *BUILT_FROM[1:]}


def test_are_small(distributions: Distributions) -> None:
    assert distributions.wheel.stat().st_size < MOST_BYTES
    assert distributions.sdist.stat().st_size < MOST_BYTES


def test_are_named_by_the_one_place_that_has_the_version(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = message_from_bytes(wheel.read(name))
    assert metadata["Version"] == airflow_provider_itwin.__version__
    assert metadata["Name"].replace("-", "_") == PACKAGE
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Requires-Python"] == ">=3.11"


def test_satisfy_those_who_look_at_packages(distributions: Distributions, tmp_path: Path) -> None:
    call(sys.executable, "-m", "twine", "check", "--strict", distributions.wheel, distributions.sdist, cwd=tmp_path)
    checker = Path(sys.executable).with_name("check-wheel-contents")
    call(checker, "--no-config", distributions.wheel, cwd=tmp_path)


def test_carry_no_file_that_git_would_not_keep() -> None:
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--", PACKAGE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return  # this is no checkout
    ignored = [line[3:] for line in listed.stdout.splitlines() if line.startswith("!!")]
    assert all("__pycache__" in name for name in ignored)
