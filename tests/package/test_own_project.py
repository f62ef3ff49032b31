"""A project of its own: the commands of the installation page, then the first DAG of the README against a running emulator."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import ROOT, UV, call, environment, new_environment, python_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Distributions

INSTALLATION = ROOT / "docs" / "install.md"
README = ROOT / "README.md"
CONSTRAINTS = ROOT / "requirements" / "constraints"
LIMIT = 180.0
"""Seconds that one command may take."""

MOST_SECONDS = 240.0
"""Seconds that all of them may take; on an idle machine they take less than one minute."""

# The packages of this project come from the checkout, the constraints file from the copy in this repository.
PREAMBLE = """
set -eu
PATH='{bin}':$PATH
pip() {{
    shift
    for wanted in "$@"; do
        case $wanted in
            airflow-provider-itwin) wanted='{wheel}' ;;
            https://*/constraints-*) wanted="{constraints}/airflow-$AIRFLOW_VERSION-python$PYTHON_VERSION.txt" ;;
        esac
        set -- "$@" "$wanted"
        shift
    done
    '{uv}' pip install --quiet --python '{bin}/python' "$@"
}}
"""

# One file, which succeeds.
SCENARIO = """
[[connection]]
id = "{connection_id}"
display_name = "The connection of the README"
files = [{{ name = "A.dgn", connector_type = "MSTN" }}]
"""


def block(page: Path, heading: str, language: str) -> str:
    """Return the first block of code below a heading of a page."""
    found = re.search(rf"^#+ {heading}\n.*?^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"no block {language!r} below {heading!r} in {page}"
    return found[1]


def version_in(code: str, variable: str) -> str:
    found = re.search(rf"\b{variable}=([\d.]+)", code)
    assert found, code
    return found[1]


@contextmanager
def running_emulator(program: Path, scenario: Path) -> Iterator[str]:
    """Run the installed command, and yield its URL, which is the first line that it prints."""
    log = scenario.with_suffix(".log")
    command = [str(program), "--port", "0", "--speed", "1000", "--scenario", str(scenario)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=scenario.parent, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        ends = time.monotonic() + LIMIT
        while "\n" not in log.read_text() and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.1)
        url = log.read_text().partition("\n")[0]
        assert url.startswith("http://127.0.0.1:"), log.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(30)


def connection_in(help_text: str, url: str) -> dict[str, str]:
    """Return the variable that the help of the emulator shows for Airflow, with this URL."""
    found = re.search(r"export (AIRFLOW_CONN_ITWIN_DEFAULT)='(.+)'", help_text)
    assert found, help_text
    return {found[1]: json.dumps(json.loads(found[2]) | {"host": url})}


def stored_reports(home: Path) -> list[Any]:
    """Return the XComs ``run_report`` in Airflow's database."""
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        rows = database.execute("select value from xcom where key = 'run_report'").fetchall()
    reports = [json.loads(value) for (value,) in rows]
    return [json.loads(report) if isinstance(report, str) else report for report in reports]


def test_the_first_dag_of_the_readme_succeeds_in_a_project_of_its_own(
    distributions: Distributions,
    emulator_distributions: Distributions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install, check = block(INSTALLATION, "pip", "sh"), block(INSTALLATION, "Check the installation", "sh")
    times = {"start": time.monotonic()}
    bin_folder = new_environment(tmp_path, python_for(version_in(install, "PYTHON_VERSION")))
    preamble = PREAMBLE.format(bin=bin_folder, wheel=distributions.wheel, constraints=CONSTRAINTS, uv=UV)
    home = tmp_path / "airflow"
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "COLUMNS": "200"}
    shown = call("bash", "-c", preamble + install + check, cwd=tmp_path, limit=LIMIT, **settings)
    assert "airflow-provider-itwin" in shown
    assert re.search(r"^itwin\b", shown, re.MULTILINE), f"the plugin is not in {shown}"
    call(UV, "pip", "install", "--quiet", "--python", bin_folder / "python", emulator_distributions.wheel, cwd=tmp_path)
    times["installed"] = time.monotonic()

    dag = block(README, "A first DAG", "python")
    (home / "dags").mkdir()
    (home / "dags" / "nightly_sync.py").write_text(dag)
    [connection_id] = re.findall(r'connection_id="(.+)"', dag)
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO.format(connection_id=connection_id))
    call(bin_folder / "airflow", "db", "migrate", cwd=tmp_path, limit=LIMIT, **settings)
    times["database created"] = time.monotonic()

    emulator = bin_folder / "itwin-emulator"
    with running_emulator(emulator, scenario) as url:
        settings |= connection_in(call(emulator, "--help", cwd=tmp_path), url)
        shown = call(bin_folder / "airflow", "dags", "test", "nightly_sync", cwd=tmp_path, limit=LIMIT, **settings)
    times["DAG run succeeded"] = time.monotonic()

    assert re.search(r"Marking run .*nightly_sync.* successful", shown), shown[-3000:]
    [report] = stored_reports(home)
    assert report["ref"]["connection_id"] == connection_id
    assert report["summary"].startswith("Success: 1 file")
    began = times.pop("start")
    with capsys.disabled():
        print("\nA project of its own: " + ", ".join(f"{what} after {at - began:.0f} s" for what, at in times.items()))
    assert max(times.values()) - began < MOST_SECONDS
