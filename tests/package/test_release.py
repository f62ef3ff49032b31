"""The release check reports each problem, and a release has notes, checksums and bills of materials."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

import airflow_provider_itwin
import itwin_emulator
from scripts.release import EMULATOR, problems, version
from scripts.release_files import NoWheelError, bill_of_materials, checksums, notes, wheel_of

from .conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Distributions

GOOD = {
    "version": "1.2.3",
    "emulator_version": "1.2.3",
    "tags": ["v1.2.3"],
    "changelog": "# Changelog\n\n## 1.2.3 (2026-12-01)\n\n- x\n",
    "changes": "",
}


def test_the_version_is_that_of_the_package() -> None:
    assert version() == airflow_provider_itwin.__version__
    assert version(EMULATOR) == itwin_emulator.__version__
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"], (
        "the version is in one place only"
    )
    assert f"## {version()} (" in (ROOT / "CHANGELOG.md").read_text()


def test_a_valid_release_has_no_problems() -> None:
    assert problems(**GOOD) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"emulator_version": "1.2.2"}, "version of the emulator is 1.2.2"),
        ({"tags": []}, "tags none"),
        ({"tags": ["v1.2.2"]}, "v1.2.3 is missing"),
        ({"changelog": "## 1.2.2 (2026-12-01)\n"}, "no section"),
        ({"changelog": "## 1.2.3 (not released yet)\n"}, "Replace it with the date"),
        ({"changes": " M README.md"}, "uncommitted"),
    ],
)
def test_an_invalid_release_is_reported(wrong: dict[str, object], text: str) -> None:
    [problem] = problems(**GOOD | wrong)  # type: ignore[arg-type]
    assert text in problem


def test_the_notes_are_the_section_of_the_version() -> None:
    changelog = "# Changelog\n\n## 1.3.0 (2026-12-02)\n\n- new\n\n## 1.2.3 (2026-12-01)\n\n- old\n- older\n"
    assert notes(changelog, "1.3.0") == "- new\n"
    assert notes(changelog, "1.2.3") == "- old\n- older\n"
    assert notes(changelog, "1.2") == ""
    assert notes((ROOT / "CHANGELOG.md").read_text(), version()).startswith("- ")


def test_sha256sum_accepts_the_checksums(tmp_path: Path) -> None:
    files = [tmp_path / "b.whl", tmp_path / "a.tar.gz"]
    for file in files:
        file.write_text(file.name)
    text = checksums(files)
    assert text.splitlines()[0] == f"{hashlib.sha256(b'a.tar.gz').hexdigest()}  a.tar.gz"
    command = ["sha256sum", "--check", "--strict"]
    done = subprocess.run(command, input=text, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a.tar.gz: OK\nb.whl: OK\n"


def test_exactly_one_wheel_is_expected(distributions: Distributions, tmp_path: Path) -> None:
    assert wheel_of("airflow-provider-itwin", distributions.wheel.parent) == distributions.wheel
    with pytest.raises(NoWheelError, match="0 wheels of itwin-emulator"):
        wheel_of("itwin-emulator", tmp_path)


def test_the_bill_of_materials_lists_the_dependencies(emulator_distributions: Distributions) -> None:
    project = ROOT / "emulator" / "pyproject.toml"
    text = bill_of_materials(emulator_distributions.wheel, project)
    assert text == bill_of_materials(emulator_distributions.wheel, project), "not reproducible"
    bom = json.loads(text)
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "itwin-emulator")
    assert bom["metadata"]["component"]["purl"] == f"pkg:pypi/itwin-emulator@{itwin_emulator.__version__}"
    pins = (ROOT / "requirements" / "airflow-3.3.txt").read_text().split("\n")
    assert {"aiohttp", "yarl"} <= {component["name"] for component in bom["components"]}
    for component in bom["components"]:
        pin = f"{component['name'].replace('_', '-')}=={component['version']}"
        assert any(line.split(" ;")[0] == pin for line in pins), pin
        assert component["licenses"], component["name"]
