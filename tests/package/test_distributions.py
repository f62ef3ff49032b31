"""Both distributions: reproducible, complete, without foreign files, and small."""

from __future__ import annotations

import configparser
import hashlib
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

import airflow_provider_itwin
import itwin_emulator

from .conftest import EMULATOR, NOT_KEPT, PACKAGING_FILES, PROVIDER, Distributions, Project, build, call

# Jobs of other APIs need about 58,000 bytes in the provider, and 35,000 in the emulator.
MAX_WHEEL_BYTES = {PROVIDER: 415_000, EMULATOR: 230_000}
MAX_SDIST_BYTES = 400_000
VERSIONS = {PROVIDER: airflow_provider_itwin.__version__, EMULATOR: itwin_emulator.__version__}
SUFFIXES = {".py", ".typed", ".toml", ".html", ".js", ".css", ".svg", ".json"}


@pytest.fixture(params=[PROVIDER, EMULATOR], ids=lambda project: project.package)
def built(request: pytest.FixtureRequest) -> Distributions:
    """Each of the two distributions."""
    name = "distributions" if request.param is PROVIDER else "emulator_distributions"
    found: Distributions = request.getfixturevalue(name)
    return found


def members(built: Distributions) -> tuple[set[str], set[str]]:
    """Return the files in the wheel, and those in the source distribution."""
    with zipfile.ZipFile(built.wheel) as wheel, tarfile.open(built.sdist) as sdist:
        top = f"{built.project.package}-{VERSIONS[built.project]}/"
        return set(wheel.namelist()), {name.removeprefix(top) for name in sdist.getnames()}


def sources(project: Project) -> set[str]:
    paths = [path for path in (project.folder / project.package).rglob("*") if path.is_file()]
    ignored = NOT_KEPT("", [path.name for path in paths])
    return {
        path.relative_to(project.folder).as_posix()
        for path in paths
        if path.name not in ignored and "__pycache__" not in path.parts
    }


def read(built: Distributions, name: str) -> bytes:
    with zipfile.ZipFile(built.wheel) as wheel:
        [found] = [one for one in wheel.namelist() if one.endswith(f".dist-info/{name}")]
        return wheel.read(found)


def metadata(built: Distributions) -> Message:
    return message_from_bytes(read(built, "METADATA"))


def entry_points(built: Distributions) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(read(built, "entry_points.txt").decode())
    return {section: dict(parser[section]) for section in parser.sections()}


def test_builds_are_reproducible(built: Distributions, tmp_path: Path) -> None:
    again = build(built.project, tmp_path / "another folder")
    for one, other in ((built.wheel, again.wheel), (built.sdist, again.sdist)):
        assert one.name == other.name
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


def test_distributions_contain_the_package_and_nothing_else(built: Distributions) -> None:
    wheel, sdist = members(built)
    package = {name for name in wheel if ".dist-info/" not in name}
    assert package == sources(built.project)
    assert {PurePosixPath(name).parts[0] for name in package} == {built.project.package}
    assert {PurePosixPath(name).suffix for name in package} <= SUFFIXES
    assert sdist == package | {"PKG-INFO", *PACKAGING_FILES}


def test_the_provider_contains_nothing_of_the_emulator(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        code = {name: wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".py")}
    assert [name for name, text in code.items() if "itwin_emulator" in text] == []
    assert "itwin-emulator" not in str(entry_points(distributions))


def test_distributions_are_small(built: Distributions) -> None:
    size = built.wheel.stat().st_size
    with zipfile.ZipFile(built.wheel) as wheel:
        largest = sorted(((one.compress_size, one.filename) for one in wheel.infolist()), reverse=True)[:8]
    assert size < MAX_WHEEL_BYTES[built.project], f"the wheel has {size} bytes; largest files: {largest}"
    assert built.sdist.stat().st_size < MAX_SDIST_BYTES


def test_metadata(built: Distributions) -> None:
    found = metadata(built)
    assert found["Version"] == VERSIONS[built.project]
    assert found["Name"].replace("-", "_") == built.project.package
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Requires-Python"] == ">=3.11"


def test_dependencies(distributions: Distributions, emulator_distributions: Distributions) -> None:
    assert metadata(emulator_distributions).get_all("Requires-Dist") == ["aiohttp>=3.11"]
    requirements = metadata(distributions).get_all("Requires-Dist", [])
    assert [one for one in requirements if "emulator" in one] == ['itwin-emulator ; extra == "emulator"']


def test_entry_points(distributions: Distributions, emulator_distributions: Distributions) -> None:
    assert set(entry_points(distributions)) == {"apache_airflow_provider", "airflow.plugins"}
    assert entry_points(emulator_distributions) == {
        "console_scripts": {"itwin-emulator": "itwin_emulator.__main__:main"},
        "pytest11": {"itwin_emulator": "itwin_emulator.pytest_plugin"},
    }


def test_distributions_pass_the_checks_of_twine_and_check_wheel_contents(built: Distributions, tmp_path: Path) -> None:
    call(sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist, cwd=tmp_path)
    checker = Path(sys.executable).with_name("check-wheel-contents")
    call(checker, "--no-config", built.wheel, cwd=tmp_path)


@pytest.mark.parametrize("project", [PROVIDER, EMULATOR], ids=lambda project: project.package)
def test_distributions_contain_no_file_that_git_ignores(project: Project) -> None:
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--", project.package],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return  # not a git checkout
    ignored = [line[3:] for line in listed.stdout.splitlines() if line.startswith("!!")]
    assert all("__pycache__" in name for name in ignored)
