"""
Every fault in every request of a download.

In every case, the file is whole or absent, the task ends within its retry budget with an exception of this package, and no token
goes to a pre-signed URL. ``expected_downloads.txt`` has the outcomes: once / always. With ``REWRITE=1`` in the environment, the
tests rewrite it: then read the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from tests.airflow.single_task import Outcome, Runner

from .environment import MAX_REAL_SECONDS, MAX_SIMULATED_SECONDS, MOST_REQUESTS, code_of, problems_of, run_in_thread
from .operation_table import CAUSES, read_rows, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .environment import FaultEnvironment
    from .faults import Fault

ITWIN = "delivery-itwin"
FILE = "delivered-file"
SIZE = 3_000_017
OPERATIONS = ("get-file", "download-file", "get-blob")
EXPECTED = Path(__file__).with_name("expected_downloads.txt")


@pytest.fixture(scope="module")
def observed() -> Iterator[dict[str, list[str]]]:
    """The observed cells of each fault."""
    rows: dict[str, list[str]] = {}
    yield rows
    rewrite(EXPECTED, OPERATIONS, rows)


@pytest.fixture(scope="module")
def content(environment: FaultEnvironment) -> bytes:
    """The content of the file."""
    emulator = environment.emulator
    emulator.add_itwin(ITWIN)
    emulator.add_file(ITWIN, "tower.ifc", size=SIZE, file_id=FILE)
    storage = emulator.store.storage
    stored = storage.find_file(FILE)
    assert stored is not None
    assert stored.content is not None
    with storage.folder.open(stored.content) as file:
        return file.read()


def run(
    environment: FaultEnvironment, failure: Fault, operation: str, path: Path, content: bytes, *, always: bool
) -> tuple[str, list[str]]:
    """Download the file while an operation fails; return the code of the outcome, and what is wrong with it."""
    emulator = environment.emulator
    emulator.clear_faults()
    emulator.request_log.clear()
    environment._connect(failure)
    emulator.fail(operation, None if always else 1, **failure.fault or {})
    before = environment.clock.now()
    task = ITwinDownloadFileOperator(task_id="download", file_id=FILE, path=str(path))
    outcome = run_in_thread(MAX_REAL_SECONDS, lambda: Runner(environment.clock).run(task))
    if not isinstance(outcome, Outcome):
        return "BREAKS", [repr(outcome)]
    problems = problems_of(outcome)
    took = environment.clock.now() - before
    if took > MAX_SIMULATED_SECONDS:
        problems.append(f"It took {took:.0f} s of simulated time")
    if len(emulator.request_log) > MOST_REQUESTS:
        problems.append(f"It sent {len(emulator.request_log)} requests")
    if emulator.token_leaks():
        problems.append("A token went to a pre-signed URL")
    if (outcome.state == "success") != path.exists():
        problems.append(f"The file exists: {path.exists()}, after {outcome.state}")
    if path.exists() and path.read_bytes() != content:
        problems.append("The file is torn")
    if "sig=" in str(outcome.error):
        problems.append("The error quotes the pre-signed URL")
    return code_of(outcome), problems


@pytest.mark.parametrize("failure", CAUSES, ids=lambda failure: failure.name)
def test_the_outcome_of_a_fault(
    failure: Fault, environment: FaultEnvironment, content: bytes, observed: dict[str, list[str]], tmp_path: Path
) -> None:
    row, problems = [], []
    for operation in OPERATIONS:
        codes = []
        for always in (False, True):
            path = tmp_path / f"{operation}-{always}" / "tower.ifc"
            code, found = run(environment, failure, operation, path, content, always=always)
            codes.append(code)
            problems += [f"{operation}, {'always' if always else 'once'}: {problem}" for problem in found]
        row.append("/".join(dict.fromkeys(codes)))
    observed[failure.name] = row
    assert problems == []
    assert row == read_rows(EXPECTED).get(failure.name)


def test_the_table_is_complete() -> None:
    assert list(read_rows(EXPECTED)) == [failure.name for failure in CAUSES]
