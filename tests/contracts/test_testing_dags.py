"""The page "Test your own DAGs": its files, run by pytest with the plugin of the emulator and the installed Airflow."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

from .shell_script import BLOCK, ROOT, environment, run

PAGE = ROOT / "docs" / "testing-dags.md"
BLOCKS = BLOCK.findall(PAGE.read_text())
NAMED = re.compile(r"# (\S+)\n")
ON_AIRFLOW_2 = re.compile(r".+  # Airflow 2: (.+)")
"""A line with the one that takes its place on Airflow 2."""

LIMIT = 300.0
"""Seconds; it takes about twenty."""


def files() -> dict[str, str]:
    """Return the blocks that begin with the name of a file."""
    return {match[1]: code for _, code in BLOCKS if (match := NAMED.match(code))}


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A project with the files of the page, and an environment without anything of this project's tests."""
    folder = tmp_path / "project"
    for name, code in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code if AIRFLOW_V_3_0_PLUS else ON_AIRFLOW_2.sub(r"\1", code))
    plain = environment(tmp_path)
    for name in [name for name in plain if name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_", "PYTEST_"))]:
        del plain[name]
    return folder, plain


def test_the_page_has_the_files_that_it_names() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python", "toml"}
    assert all(NAMED.match(code) for language, code in BLOCKS if language != "sh")
    assert {"dags/nightly.py", "tests/test_nightly.py", "tests/production.toml"} <= set(files())


def test_all_tests_of_the_page_pass(project: tuple[Path, dict[str, str]]) -> None:
    folder, plain = project
    shell = [code for language, code in BLOCKS if language == "sh"]
    airflow = (
        f'airflow() {{ "{sys.executable}" -m airflow "$@" > migrate.txt 2>&1 || {{ cat migrate.txt; exit 1; }}; }}'
    )
    script = "\n".join(["set -eu", "pip() { :; }", airflow, *shell])
    status, output = run(["bash", "-c", script], folder, plain | {"PATH": plain["PATH"]}, LIMIT)
    assert status == 0, output[-6000:]
    expected = sum(code.count("\ndef test_") for code in files().values()) + 2  # one of them has three parameters
    assert f"{expected} passed" in output


def test_no_setting_of_this_environment_is_needed(project: tuple[Path, dict[str, str]]) -> None:
    _, plain = project
    assert not [name for name in plain if name.startswith("AIRFLOW")]
    assert str(ROOT) in plain["PYTHONPATH"].split(os.pathsep)
