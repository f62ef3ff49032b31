"""
Every fault in every operation and every way to wait.

``expected.txt`` has the expected outcomes. In every case, a task ends within its retry budget, raises exceptions of this package
only, sends a bounded number of requests, and starts no second run.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

from . import table
from .environment import LEGEND
from .faults import FAULTS, Fault
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from .environment import FaultEnvironment

EXPECTED = table.read()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """
    Disable the garbage collector.

    Decoding a deeply nested response reaches the recursion limit. Finalizers that run at this point fail, which pytest reports.
    """
    gc.disable()
    yield
    gc.enable()


def columns_of(failure: Fault) -> list[tuple[str, str]]:
    """Return the columns to test. With ``TEST_FAULTS=half`` one half runs on Airflow 2, the other half on Airflow 3."""
    if os.environ.get("TEST_FAULTS") != "half":
        return list(table.COLUMNS)
    return list(table.COLUMNS)[(FAULTS.index(failure) + AIRFLOW_V_3_0_PLUS) % 2 :: 2]


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("failure", FAULTS, ids=lambda failure: failure.name)
def test_the_outcome_of_a_fault(failure: Fault, environment: FaultEnvironment, observed: table.Cells) -> None:
    row = observed.setdefault(failure.name, {})
    problems = []
    for scenario, operation in columns_of(failure):
        # A lasting fault does not occur just once.
        always = environment.run(scenario, operation, failure, always=True)
        once = always if failure.is_lasting else environment.run(scenario, operation, failure, always=False)
        row[scenario, operation] = table.cell(once.code, always.code)
        executions = [always] if once is always else [once, always]
        problems += [f"{scenario}, {operation}: {problem}" for one in executions for problem in one.problems]

    assert problems == []
    assert row == {column: EXPECTED.get(failure.name, {}).get(column) for column in row}


def test_the_table_is_complete() -> None:
    assert list(EXPECTED) == [failure.name for failure in FAULTS]
    codes = {code for row in EXPECTED.values() for cell in row.values() for code in cell.split("/")}
    assert codes == set(LEGEND)
    assert {scenario for scenario, _ in table.COLUMNS} == set(SCENARIOS)
