"""
mypy and pyright accept what is right in a DAG file, and refuse what is wrong.

A wrong name of a parameter is accepted: Airflow's operators take ``**kwargs``. It is refused when the DAG file is parsed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.publishing

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DAGS = HERE / "dags"
_MYPY_ERROR = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+):.* error: ", re.MULTILINE)

Lines = set[tuple[str, int]]


def output_of(*command: str) -> str:
    """Return the output of a checker that has found errors, as it must in these files."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def mypy() -> Lines:
    # The settings and the cache of "make lint": without a cache a run takes ten times as long.
    options = ("--strict", "--no-pretty", "--no-color-output", "--no-error-summary")
    output = output_of("mypy", *options, *map(str, sorted(DAGS.glob("*.py"))))
    return {(Path(found["file"]).name, int(found["line"])) for found in _MYPY_ERROR.finditer(output)}


def pyright() -> Lines:
    output = output_of("basedpyright", "--project", str(HERE), "--pythonpath", sys.executable, "--outputjson")
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in json.loads(output)["generalDiagnostics"]
        if found["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_a_checker_refuses_exactly_the_wrong_lines(checker: Callable[[], Lines]) -> None:
    wrong = {
        (file.name, number)
        for file in DAGS.glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if "# refused" in line
    }
    assert wrong
    assert checker() == wrong
