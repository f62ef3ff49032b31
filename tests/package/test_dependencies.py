"""The declared dependencies: exactly what the package imports."""

from __future__ import annotations

import ast
import sys
import tomllib

import pytest

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = "airflow_provider_itwin"

# Dependencies of Airflow 2, imported there only, for its connection form.
OF_AIRFLOW_2 = {"flask_appbuilder", "flask_babel", "wtforms"}
# Dependencies of the API server of Airflow 3, for the page of a run.
OF_AIRFLOW_3 = {"fastapi", "starlette"}


def imported() -> set[str]:
    """Return the names of all modules that the package imports, in functions too."""
    found: set[str] = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {name for name in found if name.partition(".")[0] not in {*sys.stdlib_module_names, PACKAGE}}


def needed() -> dict[str, str]:
    """Return the lower bound of each dependency, with those of the extra for OpenLineage."""
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["openlineage"]]
    return dict(requirement.split(">=") for requirement in requirements)


def distribution(module: str) -> str:
    """Return the distribution of a module; only those of Airflow have another name than their module."""
    if module.startswith("airflow.providers."):
        names = module.split(".")
        return f"apache-airflow-providers-{'-'.join(names[2:4] if names[2] == 'common' else names[2:3])}"
    top = module.partition(".")[0]
    if top == "openlineage":
        # The client, which the provider of Airflow needs itself.
        return "apache-airflow-providers-openlineage"
    return "apache-airflow" if top == "airflow" else top


def test_the_dependencies_are_what_the_package_imports() -> None:
    used = {distribution(name) for name in imported() if name.partition(".")[0] not in OF_AIRFLOW_2 | OF_AIRFLOW_3}
    assert used == set(needed())


def test_dependencies_have_lower_bounds_and_no_upper_ones() -> None:
    for requirement in PROJECT["dependencies"]:
        assert not set("<!~=") & set(requirement.replace(">=", "", 1)), requirement


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_the_lowest_version_is_tested(requirement: str) -> None:
    name, bound = requirement.split(">=")
    pins = dict(
        line.split(" ;")[0].split("==") for line in (ROOT / "requirements/lowest.txt").read_text().split("\n") if line
    )
    parts = [int(part) for part in bound.split(".")]
    assert [int(part) for part in pins[name].split(".")][: len(parts)] == parts
