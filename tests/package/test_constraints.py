"""
The provider installs under the constraints of an Airflow release, and works with what they install.

Managed services and the official images install with the constraints of their Airflow. ``requirements/constraints`` contains the
versions of some of these files.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from itwin_emulator import Emulator

from .conftest import ROOT, UV, call, new_environment, python_for

if TYPE_CHECKING:
    from .conftest import Distributions

FILES = sorted((ROOT / "requirements" / "constraints").glob("airflow-*.txt"))
NAME = re.compile(r"airflow-(?P<airflow>[\d.]+)-python(?P<python>[\d.]+)")
EXAMPLE = "itwin_nightly_sync"

IMPORT_ALL = """
import importlib, json, pkgutil
import airflow_provider_itwin
failed, count = {}, 0
for module in pkgutil.walk_packages(airflow_provider_itwin.__path__, "airflow_provider_itwin."):
    try:
        importlib.import_module(module.name)
        count += 1
    except ImportError as error:
        failed[module.name] = str(error)
print(json.dumps([count, failed]))
"""


@pytest.mark.parametrize("constraints", FILES, ids=lambda path: path.stem)
def test_the_provider_works_under_the_constraints_of_a_release(
    constraints: Path, distributions: Distributions, tmp_path: Path
) -> None:
    match = NAME.fullmatch(constraints.stem)
    assert match is not None
    release = match["airflow"]
    bin_folder = new_environment(tmp_path, python_for(match["python"]))
    python = bin_folder / "python"
    packages = [f"apache-airflow=={release}", f"airflow-provider-itwin[openlineage] @ {distributions.wheel.as_uri()}"]
    call(UV, "pip", "install", "--quiet", "--python", python, "-c", constraints, *packages, cwd=tmp_path)
    call(UV, "pip", "check", "--python", python, cwd=tmp_path)

    home = tmp_path / "airflow"
    (home / "dags").mkdir(parents=True)
    shutil.copy(ROOT / "example_dags" / f"{EXAMPLE}.py", home / "dags")
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    count, failed = json.loads(call(python, "-c", IMPORT_ALL, cwd=tmp_path, limit=300.0, **settings).splitlines()[-1])
    assert count > 80
    # Its error says that it needs a newer Airflow.
    older = tuple(int(part) for part in release.split(".")) < (3, 3)
    assert list(failed) == (["airflow_provider_itwin.retry_policy"] if older else [])

    call(bin_folder / "airflow", "db", "migrate", cwd=tmp_path, limit=300.0, **settings)
    with Emulator(speed=1000.0, scenario="demo") as emulator:
        connection = {"conn_type": "itwin", "host": emulator.url, "login": emulator.client_id}
        settings["AIRFLOW_CONN_ITWIN_DEFAULT"] = json.dumps(connection | {"password": emulator.client_secret})
        # Airflow's command for one run, which works in all versions, resumes the deferred task in this process.
        shown = call(bin_folder / "airflow", "dags", "test", EXAMPLE, cwd=tmp_path, limit=300.0, **settings)
        [run] = emulator.runs("demo-storage-connection")
    assert run["result"] == "Success"
    assert "Success: 12 files" in shown


def test_the_constraints_are_plain_lists_of_versions() -> None:
    assert FILES
    for path in FILES:
        assert NAME.fullmatch(path.stem), path
        lines = path.read_text().splitlines()
        assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
