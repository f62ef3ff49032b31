"""
Every fault, met by every operation, in every way to wait.

What is to come of each is written down in ``expected.txt``; here it is seen. Whatever happens, a task ends within its patience,
with an exception of ours if with any, after a bounded number of requests, and no second run is started.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from . import table
from .environment import LEGEND
from .faults import TROUBLES, Fault
from .scenarios import PLAYS

if TYPE_CHECKING:
    from .environment import CrashDeployment

EXPECTED = table.read()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """
    Let the garbage collector wait.

    Where an answer is nested so deep that reading it ends at the limit of recursion, finalizers of whatever is collected at that
    moment have no room to run, and pytest takes offence at that.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("failure", TROUBLES, ids=lambda failure: failure.name)
def test_what_comes_of_a_trouble(failure: Fault, stage: CrashDeployment, seen: table.Cells) -> None:
    row = seen.setdefault(failure.name, {})
    problems = []
    for play, operation in table.COLUMNS:
        once, always = (stage.perform(play, operation, failure, always=always) for always in (failure.is_lasting, True))
        row[play, operation] = table.cell(once.code, always.code)
        problems += [
            f"{play}, {operation}: {complaint}" for performance in (once, always) for complaint in performance.problems
        ]

    assert problems == []
    assert row == EXPECTED.get(failure.name)


def test_the_table_is_whole() -> None:
    assert list(EXPECTED) == [failure.name for failure in TROUBLES]
    codes = {code for row in EXPECTED.values() for cell in row.values() for code in cell.split("/")}
    assert codes == set(LEGEND)
    assert {play for play, _ in table.COLUMNS} == set(PLAYS)
