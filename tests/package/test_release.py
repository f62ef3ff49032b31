"""The release check reports each problem."""

from __future__ import annotations

import tomllib

import pytest

import airflow_provider_itwin
import itwin_emulator
from scripts.release import EMULATOR, problems, version

from .conftest import ROOT

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
