"""
Every fault in every request of an upload.

In every case, Storage has the old or the new content as a whole, a digest only beside its own content, the file once, and at most
one source file for it. The task ends within its retry budget with an exception of this package, and no token goes to a pre-signed
URL. ``expected_uploads.txt`` has the outcomes: once / always. With ``REWRITE=1`` in the environment, the tests rewrite it: then
read the difference.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api.storage import content_upload
from airflow_provider_itwin.api.storage.digests import Marker
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from itwin_emulator.domain.storage import StoredFile
from tests.airflow.single_task import Outcome, Runner

from .environment import MAX_REAL_SECONDS, MAX_SIMULATED_SECONDS, MOST_REQUESTS, code_of, problems_of, run_in_thread
from .operation_table import CAUSES, read_rows, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .environment import FaultEnvironment
    from .faults import Fault

OLD, NEW = "the old text", "another text"
"""Contents of the same size."""

EXPECTED = Path(__file__).with_name("expected_uploads.txt")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Column:
    """
    A request of an upload.

    :param operation: the operation that fails
    :param is_new: whether the file is new; if not, its content changes
    :param in_blocks: whether the content is sent in blocks
    :param after: requests for the operation that succeed before
    """

    operation: str
    is_new: bool = False
    in_blocks: bool = False
    after: int = 0


COLUMNS = {
    "list": Column("get-folders-and-files-in-folder"),
    "create": Column("create-file", is_new=True),
    "complete new": Column("complete-file-upload", is_new=True),
    "remove digest": Column("update-file"),
    "update": Column("update-file-content"),
    "put": Column("put-blob"),
    "block": Column("put-block", in_blocks=True),
    "block list": Column("put-block-list", in_blocks=True),
    "look before": Column("get-file"),
    "complete": Column("complete-file-upload"),
    "look after": Column("get-file", after=1),
    "record digest": Column("update-file", after=1),
    "check digest": Column("get-file", after=2),
    "source files": Column("get-storage-connection-sourcefiles"),
    "add": Column("add-storage-connection-sourcefile"),
}


@pytest.fixture(scope="module")
def observed() -> Iterator[dict[str, list[str]]]:
    """The observed cells of each fault."""
    rows: dict[str, list[str]] = {}
    yield rows
    rewrite(EXPECTED, [name.replace(" ", "-") for name in COLUMNS], rows)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Upload:
    """An upload of one file into an iTwin of its own, while an operation fails."""

    def __init__(self, environment: FaultEnvironment, column: Column, source: Path) -> None:
        number = next(_numbers)
        self._environment, self._emulator, self._column = environment, environment.emulator, column
        self._itwin, self._connection = f"upload-itwin-{number}", f"upload-{number}"
        self._emulator.add_itwin(self._itwin)
        self._emulator.add_connection(connection_id=self._connection, files=["Other.dgn"])
        self._source = source
        source.mkdir(parents=True)
        (source / "Tower.dgn").write_text(NEW)
        if not column.is_new:
            marker = Marker(digest(OLD), "old", datetime.fromtimestamp(environment.clock.now(), UTC))
            self._emulator.add_file(
                self._itwin, "Tower.dgn", text=OLD, file_id=f"upload-file-{number}", description=str(marker)
            )

    def run(self, failure: Fault, *, always: bool) -> tuple[str, list[str]]:
        """Run the task; return the code of the outcome, and what is wrong with it."""
        self._emulator.clear_faults()
        self._emulator.request_log.clear()
        self._environment._connect(failure)
        times = None if always else 1
        self._emulator.fail(self._column.operation, times, after=self._column.after, **failure.fault or {})
        clock = self._environment.clock
        before = clock.now()
        task = ITwinUploadFilesOperator(
            task_id="upload", source=str(self._source), itwin_id=self._itwin, connection_id=self._connection
        )
        outcome = run_in_thread(MAX_REAL_SECONDS, lambda: Runner(clock).run(task))
        if not isinstance(outcome, Outcome):
            return "BREAKS", [repr(outcome)]
        problems = [
            *problems_of(outcome),
            *self._problems_in_storage(outcome, failure),
            *self._problems_with_requests(failure),
        ]
        if (took := clock.now() - before) > MAX_SIMULATED_SECONDS:
            problems.append(f"It took {took:.0f} s of simulated time")
        if "sig=" in f"{outcome.error} {outcome.xcoms}":
            problems.append("The error quotes the pre-signed URL")
        return code_of(outcome), problems

    def _problems_with_requests(self, failure: Fault) -> list[str]:
        entries = list(self._emulator.request_log)
        problems = []
        # The log has a delay without a fault, and a slow request only at its end.
        is_logged = (failure.fault or {}).get("kind") not in ("delay", "bare", "slow-body")
        if is_logged and not any(entry.fault for entry in entries):
            problems.append("The fault never occurred")
        if len(entries) > MOST_REQUESTS:
            problems.append(f"It sent {len(entries)} requests")
        if self._emulator.token_leaks():
            problems.append("A token went to a pre-signed URL")
        return problems

    def _problems_in_storage(self, outcome: Outcome, failure: Fault) -> list[str]:
        storage = self._emulator.store.storage
        items = [item for item in storage.items.values() if isinstance(item, StoredFile)]
        files = [file for file in items if file.itwin_id == self._itwin and file.content is not None]
        if len(files) != 1:
            return [] if not files and self._column.is_new and outcome.state != "success" else [f"{len(files)} files"]
        [file] = files
        assert file.content is not None
        with storage.folder.open(file.content) as stream:
            text = stream.read().decode()
        marker = Marker.find(file.description)
        mapped = [one.file_id for one in self._emulator.store.connections[self._connection].files].count(file.id)
        problems = []
        if text != NEW and (text != OLD or outcome.state == "success"):
            problems.append(f"The content is {text!r} after {outcome.state}")
        if marker is not None and marker.sha256 != digest(text):
            problems.append(f"{text!r} has the digest of another content")
        # A conflict says that another connection of the iModel has the file.
        is_conflict = self._column.operation.startswith("add-") and failure.name == "409"
        if mapped > 1 or (outcome.state == "success" and mapped != 1 and not is_conflict):
            problems.append(f"The file is {mapped} source files after {outcome.state}")
        return problems


@pytest.mark.parametrize("failure", CAUSES, ids=lambda failure: failure.name)
def test_the_outcome_of_a_fault(
    failure: Fault,
    environment: FaultEnvironment,
    observed: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, problems = [], []
    for name, column in COLUMNS.items():
        codes = []
        with monkeypatch.context() as patch:
            if column.in_blocks:
                patch.setattr(content_upload, "LARGEST_SINGLE_PUT", 10)
                patch.setattr(content_upload, "SMALLEST_BLOCK", 4)
            for always in (False, True):
                upload = Upload(environment, column, tmp_path / f"{name}-{always}")
                code, found = upload.run(failure, always=always)
                codes.append(code)
                problems += [f"{name}, {'always' if always else 'once'}: {problem}" for problem in found]
        row.append("/".join(dict.fromkeys(codes)))
    observed[failure.name] = row
    assert problems == []
    assert row == read_rows(EXPECTED).get(failure.name)


def test_the_table_is_complete() -> None:
    assert list(read_rows(EXPECTED)) == [failure.name for failure in CAUSES]
