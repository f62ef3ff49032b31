"""The wheels in environments of their own, without this checkout: Airflow finds all parts of the provider."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import airflow_provider_itwin

from .conftest import UV, call, install, new_environment

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Distributions

DISTRIBUTION = "airflow-provider-itwin"


def airflow(installed: Path, folder: Path, *arguments: str) -> str:
    return call(installed / "airflow", *arguments, cwd=folder, AIRFLOW_HOME=str(folder))


def test_the_dependencies_are_consistent(installed: Path, tmp_path: Path) -> None:
    call(UV, "pip", "check", "--python", installed / "python", cwd=tmp_path)


def test_airflow_lists_the_provider(installed: Path, tmp_path: Path) -> None:
    shown = airflow(installed, tmp_path, "providers", "list", "--output", "json")
    providers: list[dict[str, str]] = json.loads(shown[shown.index("[") :])
    [found] = [one for one in providers if one["package_name"] == DISTRIBUTION]
    assert found["version"] == airflow_provider_itwin.__version__


def test_airflow_describes_the_provider(installed: Path, tmp_path: Path) -> None:
    shown = airflow(installed, tmp_path, "providers", "get", DISTRIBUTION, "--full", "--output", "json")
    described: Any = json.loads(shown[shown.index("[") :])
    assert "airflow_provider_itwin.hooks.itwin.ITwinHook" in json.dumps(described)


def test_airflow_has_the_connection_type(installed: Path, tmp_path: Path) -> None:
    shown = airflow(installed, tmp_path, "providers", "hooks", "--output", "json")
    hooks: list[dict[str, str]] = json.loads(shown[shown.index("[") :])
    [found] = [one for one in hooks if one["connection_type"] == "itwin"]
    assert found["package_name"] == DISTRIBUTION


def test_the_provider_works_without_the_emulator(installed: Path, tmp_path: Path) -> None:
    program = "import importlib.util; print(importlib.util.find_spec('itwin_emulator'))"
    assert call(installed / "python", "-c", program, cwd=tmp_path).strip() == "None"
    assert not (installed / "itwin-emulator").exists()


def test_the_extra_installs_the_emulator(
    distributions: Distributions, emulator_distributions: Distributions, tmp_path: Path
) -> None:
    folder = new_environment(tmp_path)
    extra = f"airflow-provider-itwin[emulator] @ {distributions.wheel.as_uri()}"
    install(folder, "--find-links", emulator_distributions.wheel.parent, extra)
    assert "--scenario" in call(folder / "itwin-emulator", "--help", cwd=tmp_path)


def test_the_emulator_needs_no_airflow(emulator_distributions: Distributions, tmp_path: Path) -> None:
    folder = new_environment(tmp_path)
    install(folder, emulator_distributions.wheel)
    program = "from itwin_emulator import Emulator\nwith Emulator(scenario='demo') as one: print(one.url)"
    assert call(folder / "python", "-c", program, cwd=tmp_path).startswith("http://127.0.0.1:")
    program = "import importlib.util; print([importlib.util.find_spec(one) for one in ('airflow', 'pytest')])"
    assert call(folder / "python", "-c", program, cwd=tmp_path).strip() == "[None, None]"


def test_the_wheel_registers_the_pytest_plugin(emulator_distributions: Distributions, tmp_path: Path) -> None:
    folder = new_environment(tmp_path)
    install(folder, emulator_distributions.wheel, "pytest")
    (tmp_path / "test_it.py").write_text("def test_it(itwin_emulator):\n    assert itwin_emulator.port\n")
    assert "1 passed" in call(folder / "python", "-m", "pytest", "--strict-markers", "test_it.py", cwd=tmp_path)


def test_every_module_can_be_imported_without_a_warning(tmp_path: Path) -> None:
    # In the environment of the tests, which has the extra for OpenLineage.
    program = """
import importlib, pkgutil, warnings
import airflow_provider_itwin
from airflow.providers.openlineage.extractors.base import OperatorLineage  # its own deprecations are not tested
warnings.filterwarnings("error", category=DeprecationWarning)
warnings.filterwarnings("error", category=PendingDeprecationWarning)
warnings.filterwarnings("error", category=FutureWarning)
count = 0
for module in pkgutil.walk_packages(airflow_provider_itwin.__path__, "airflow_provider_itwin."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(count)
"""
    printed = call(sys.executable, "-c", program, cwd=tmp_path, AIRFLOW_HOME=str(tmp_path))
    assert int(printed.split()[-1]) > 80
