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


def test_reads_the_version_of_the_package() -> None:
    assert version() == airflow_provider_itwin.__version__
    assert version(EMULATOR) == itwin_emulator.__version__
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"], "it is in one place only"
    assert f"## {version()} (" in (ROOT / "CHANGELOG.md").read_text()


def test_lets_a_good_one_pass() -> None:
    assert problems(**GOOD) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"emulator_version": "1.2.2"}, "version of the emulator is 1.2.2"),
        ({"tags": []}, "tags none"),
        ({"tags": ["v1.2.2"]}, "v1.2.3 is missing"),
        ({"changelog": "## 1.2.2 (2026-12-01)\n"}, "no section"),
        ({"changelog": "## 1.2.3 (not released yet)\n"}, "Replace it with the date"),
        ({"changes": " M README.md"}, "uncommitted"),
    ],
)
def test_refuses_any_other(wrong: dict[str, object], said: str) -> None:
    [problem] = problems(**GOOD | wrong)  # type: ignore[arg-type]
    assert said in problem
