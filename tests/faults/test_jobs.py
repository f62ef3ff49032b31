"""
Every fault in every request of a job.

In every case, no second job is started, a task succeeds only if its job has, and ends within its retry budget with an exception
of this package. ``expected_jobs.txt`` has the outcomes: once / always. With ``REWRITE=1`` in the environment, the tests rewrite
it: then read the difference.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.jobs import ITwinRealityModelingOperator
from tests.airflow.single_task import Outcome, Runner

from .environment import MAX_REAL_SECONDS, MAX_SIMULATED_SECONDS, MOST_REQUESTS, code_of, problems_of, run_in_thread
from .operation_table import CAUSES, read_rows, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .environment import FaultEnvironment
    from .faults import Fault

ITWIN = "survey-itwin"
OPERATIONS = ("create", "get-all", "progress", "get", "messages")
EXPECTED = Path(__file__).with_name("expected_jobs.txt")

_numbers = itertools.count()


@pytest.fixture(scope="module")
def observed() -> Iterator[dict[str, list[str]]]:
    """The observed cells of each fault."""
    rows: dict[str, list[str]] = {}
    yield rows
    rewrite(EXPECTED, OPERATIONS, rows)


@pytest.fixture(scope="module", autouse=True)
def itwin(environment: FaultEnvironment) -> None:
    """The iTwin of the jobs."""
    environment.emulator.add_itwin(ITWIN)
    environment.emulator.plan_job("reality-modeling", duration=300)


def run(environment: FaultEnvironment, failure: Fault, operation: str, *, always: bool) -> tuple[str, list[str]]:
    """Run a job while an operation fails; return the code of the outcome, and what is wrong with it."""
    emulator = environment.emulator
    emulator.clear_faults()
    emulator.request_log.clear()
    environment._connect(failure)
    emulator.fail(f"reality-modeling-jobs-{operation}", None if always else 1, **failure.fault or {})
    before = environment.clock.now()
    jobs_before = len(emulator.jobs())
    task = ITwinRealityModelingOperator(
        task_id="model",
        itwin_id=ITWIN,
        name=f"Bridge {next(_numbers)}",
        type="Calibration",
        specifications={"inputs": {}},
    )
    outcome = run_in_thread(MAX_REAL_SECONDS, lambda: Runner(environment.clock).run(task))
    if not isinstance(outcome, Outcome):
        return "BREAKS", [repr(outcome)]
    problems = problems_of(outcome)
    took = environment.clock.now() - before
    if took > MAX_SIMULATED_SECONDS:
        problems.append(f"It took {took:.0f} s of simulated time")
    if len(emulator.request_log) > MOST_REQUESTS:
        problems.append(f"It sent {len(emulator.request_log)} requests")
    started = emulator.jobs()[jobs_before:]
    if len(started) > 1:
        problems.append(f"It started {len(started)} jobs")
    if outcome.state == "success" and [job["state"] for job in started] != ["Success"]:
        problems.append(f"It succeeded, but its jobs are {started}")
    return code_of(outcome), problems


@pytest.mark.parametrize("failure", CAUSES, ids=lambda failure: failure.name)
def test_the_outcome_of_a_fault(failure: Fault, environment: FaultEnvironment, observed: dict[str, list[str]]) -> None:
    row, problems = [], []
    for operation in OPERATIONS:
        codes = []
        for always in (False, True):
            code, found = run(environment, failure, operation, always=always)
            codes.append(code)
            problems += [f"{operation}, {'always' if always else 'once'}: {problem}" for problem in found]
        row.append("/".join(dict.fromkeys(codes)))
    observed[failure.name] = row
    assert problems == []
    assert row == read_rows(EXPECTED).get(failure.name)


def test_the_table_is_complete() -> None:
    assert list(read_rows(EXPECTED)) == [failure.name for failure in CAUSES]
