"""The folders and modules of the api package form a small graph without cycles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import airflow_provider_itwin.api

ROOT = Path(airflow_provider_itwin.api.__file__).parent
PACKAGE = "airflow_provider_itwin.api"

LAYERS = (
    "redaction",
    "errors",
    "models",
    "http",
    "runs",
    "storage",
    "imodels",
    "jobs",
    "wait",
    "client",
    "async_client",
    "client_pool",
)
"""From the lowest to the highest."""

MOST_ARROWS = 40

Arrow = tuple[str, str]


def imported_by(module: Path) -> Iterator[str]:
    """Yield the modules of the package that `module` imports, under TYPE_CHECKING and inside functions too."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                parts = name.removeprefix(f"{PACKAGE}.").split(".")
                while parts and not (
                    ROOT.joinpath(*parts).with_suffix(".py").is_file() or ROOT.joinpath(*parts).is_dir()
                ):
                    parts.pop()
                yield ".".join(parts)


@cache
def module_arrows() -> frozenset[Arrow]:
    """Return which module imports which."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return frozenset((name, imported) for name, path in modules.items() for imported in imported_by(path))


@cache
def room_arrows() -> frozenset[Arrow]:
    """Return which folder or top-level module imports which other one."""
    pairs = {(name.partition(".")[0], imported.partition(".")[0]) for name, imported in module_arrows()}
    return frozenset((name, imported) for name, imported in pairs if name != imported)


def test_every_room_has_a_layer() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(LAYERS)


def test_no_room_imports_a_higher_one() -> None:
    upward = [(name, other) for name, other in room_arrows() if LAYERS.index(other) > LAYERS.index(name)]
    assert upward == []


def test_the_rooms_have_few_arrows() -> None:
    assert 20 < len(room_arrows()) <= MOST_ARROWS


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for name, imported in module_arrows():
        graph.setdefault(name, set()).add(imported)
    TopologicalSorter(graph).prepare()
    assert len(graph) > 20
