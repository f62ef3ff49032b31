"""A worker is lost before or after any request of an upload: content is never torn, and has no digest of another content."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.storage import content_upload
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.digests import Marker, fingerprint
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from itwin_emulator.domain.storage import StoredFile
from tests.airflow.crash_simulation import WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome

MOMENTS = ("before the request", "before the response")
"""When a worker is lost: the service has not received the request, or it has answered."""

NO_FILE, OLD_CONTENT, NO_DIGEST, TOUCHED = (
    "no file",
    "the old content",
    "a content without digest",
    "the same content, touched",
)
"""What Storage has before the first attempt."""

NOTHING, CHANGES_AGAIN, CHANGES_BACK = "nothing", "the source changes again", "the source changes back"
"""What happens between the loss and the next attempt."""

AT_ONCE, IN_BLOCKS = "in one request", "in blocks"
"""How the content is sent."""

CASES = [
    (AT_ONCE, NO_FILE, NOTHING),
    (AT_ONCE, NO_FILE, CHANGES_AGAIN),
    (AT_ONCE, OLD_CONTENT, NOTHING),
    (AT_ONCE, OLD_CONTENT, CHANGES_AGAIN),
    (AT_ONCE, OLD_CONTENT, CHANGES_BACK),
    (AT_ONCE, NO_DIGEST, CHANGES_BACK),
    (AT_ONCE, TOUCHED, NOTHING),
    (AT_ONCE, TOUCHED, CHANGES_AGAIN),
    (IN_BLOCKS, NO_FILE, NOTHING),
    (IN_BLOCKS, OLD_CONTENT, CHANGES_AGAIN),
    (IN_BLOCKS, OLD_CONTENT, CHANGES_BACK),
]

OLD, NEW, NEWER = "0123456789AB", "another text", "a third text"
"""Contents of the same size: only time and digest tell them apart."""

NAME = "Tower.dgn"
OLD_TIME, NEW_TIME, NEWER_TIME = 1_000_000_000, 2_000_000_000, 3_000_000_000
MOST_REQUESTS = 30
_numbers = itertools.count(1)


class LossyWorker:
    """
    Sends the requests of a worker, and loses the worker at one of them: none of its threads sends another one.

    :param patch: undone at the end of the test
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from airflow_provider_itwin.api import client

        self.lost_at: tuple[int, str] | None = None
        self.contents_sent = 0
        self._number = 0
        self._is_lost = False
        self._lock = threading.Lock()
        factory: Any = client.ITwinClient
        real_send, real_put = factory.func._send, BlobTransport.put

        def send(this: Any, request: Any) -> Any:
            return self._pass(lambda: real_send(this, request))

        def put(this: BlobTransport, *arguments: Any) -> Any:
            self.contents_sent += 1
            return self._pass(lambda: real_put(this, *arguments))

        patch.setattr(factory.func, "_send", send)
        patch.setattr(BlobTransport, "put", put)

    def begin(self, lost_at: tuple[int, str] | None) -> None:
        """Begin an attempt; `lost_at` is the number of a request, from 1, and one of `MOMENTS`."""
        self._number, self.lost_at, self._is_lost, self.contents_sent = 0, lost_at, False, 0

    def _pass(self, send: Callable[[], Any]) -> Any:
        # One request after the other: those of several threads would have no order.
        with self._lock:
            self._number += 1
            assert self._number <= MOST_REQUESTS
            self._lose(MOMENTS[0])
            response = send()
            self._lose(MOMENTS[1])
            return response

    def _lose(self, moment: str) -> None:
        self._is_lost |= self.lost_at == (self._number, moment)
        if self._is_lost:
            raise WorkerLostError


@dataclass
class Upload:
    """One upload into an iTwin of its own."""

    emulator: Emulator
    clock: FakeClock
    folder: Path
    before: str

    def __post_init__(self) -> None:
        number = next(_numbers)
        self.itwin, self.connection = f"itwin-{number}", f"night-{number}"
        self.emulator.add_itwin(self.itwin)
        self.emulator.add_connection(connection_id=self.connection, files=["Other.dgn"])
        self.folder.mkdir(exist_ok=True)
        self.possible = {NEW}
        if self.before == NO_FILE:
            self.write(NEW, NEW_TIME)
            return
        is_touched = self.before == TOUCHED
        self.possible.add(OLD)
        self.write(OLD if is_touched else NEW, NEW_TIME)
        marker = Marker(digest(OLD), fingerprint(len(OLD), OLD_TIME), datetime.fromtimestamp(self.clock.now(), UTC))
        description = "Site plan" if self.before == NO_DIGEST else f"Site plan {marker}"
        self.emulator.add_file(
            self.itwin, f"Design/{NAME}", text=OLD, file_id=f"file-{number}", description=description
        )

    def write(self, text: str, time_ns: int) -> None:
        """Write the source."""
        path = self.folder / NAME
        path.write_text(text)
        os.utime(path, ns=(time_ns, time_ns))
        self.source = text
        self.possible.add(text)

    def happen(self, between: str) -> None:
        """Change the source as `between` says."""
        if between == CHANGES_AGAIN:
            self.write(NEWER, NEWER_TIME)
        elif between == CHANGES_BACK:
            self.write(OLD, OLD_TIME)

    def operator(self, **more: Any) -> ITwinUploadFilesOperator:
        """Return the task."""
        return ITwinUploadFilesOperator(
            task_id="upload",
            source=str(self.folder),
            itwin_id=self.itwin,
            connection_id=self.connection,
            folder_path="Design",
            **more,
        )

    def check(self) -> StoredFile | None:
        """Check what holds at each moment; return the file in Storage."""
        storage = self.emulator.store.storage
        files = [
            item
            for item in storage.items.values()
            if isinstance(item, StoredFile) and item.itwin_id == self.itwin and item.content is not None
        ]
        assert len(files) <= 1, "one file has the name"
        if not files:
            assert self.before == NO_FILE, "the file is gone"
            return None
        text = content_of(self.emulator, files[0])
        assert text in self.possible, f"the content is torn: {text!r}"
        marker = Marker.find(files[0].description)
        assert marker is None or marker.sha256 == digest(text), f"{text!r} has the digest of another content"
        if self.before != NO_FILE:
            assert (files[0].description or "").startswith("Site plan"), "a person has written this"
        return files[0]

    def mapped(self) -> list[str]:
        """Return the source files of the connection, by the ids of their files."""
        return [file.file_id for file in self.emulator.store.connections[self.connection].files]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(emulator: Emulator, file: StoredFile) -> str:
    assert file.content is not None
    with emulator.store.storage.folder.open(file.content) as stream:
        return stream.read().decode()


@pytest.mark.parametrize(("way", "before", "between"), CASES)
def test_losing_the_worker_at_any_request_tears_nothing_and_a_retry_does_the_rest(
    emulator: Emulator,
    clock: FakeClock,
    run_task: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    way: str,
    before: str,
    between: str,
) -> None:
    if way == IN_BLOCKS:
        monkeypatch.setattr(content_upload, "LARGEST_SINGLE_PUT", 10)
        monkeypatch.setattr(content_upload, "SMALLEST_BLOCK", 4)
    worker = LossyWorker(monkeypatch)
    lost = 0
    for number, moment in itertools.product(range(1, MOST_REQUESTS), MOMENTS):
        upload = Upload(emulator, clock, tmp_path / str(number), before)
        if not _play(upload, run_task, worker, (number, moment), between):
            break
        lost += 1

    assert lost >= 2 * 7, "root folder, two lists, what the file needs, source files, new source file"
    assert lost < 2 * (MOST_REQUESTS - 1), "every request is a point"


def _play(
    upload: Upload,
    run_task: Callable[..., Outcome],
    worker: LossyWorker,
    lost_at: tuple[int, str],
    between: str,
) -> bool:
    """Run the task until it ends; return whether its first attempt was lost."""
    plan = f"{lost_at}, {upload.before}, {between}"
    is_lost = False
    worker.begin(lost_at)
    try:
        outcome = run_task(upload.operator())
    except WorkerLostError:
        is_lost = True
        file = upload.check()
        marker = Marker.find(file.description) if file else None
        upload.happen(between)
        worker.begin(None)
        outcome = run_task(upload.operator(), try_number=2)
        if marker is not None and marker.sha256 == digest(upload.source):
            assert worker.contents_sent == 0, f"{plan}: the content and its digest were recorded, and sent again"

    assert outcome.state == "success", f"{plan}: {outcome.text}"
    file = upload.check()
    assert file is not None, plan
    assert content_of(upload.emulator, file) == upload.source, plan
    marker = Marker.find(file.description)
    assert marker is not None, plan
    assert upload.mapped().count(file.id) == 1, plan
    assert upload.emulator.token_leaks() == []
    if not is_lost:
        worker.begin(None)
        [again] = run_task(upload.operator()).value
        assert (again["outcome"], again["sha256"], worker.contents_sent) == ("unchanged", digest(upload.source), 0)
    return is_lost
