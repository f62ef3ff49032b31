"""
Two tasks that upload different content of the same size to one file at once: no digest stays beside another content.

Every order of the kind "the first task up to a request, the second one up to a request, the rest of both" is played, also with a
second task whose worker is lost.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.storage import endpoints
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.content_upload import Shared
from airflow_provider_itwin.api.storage.digests import Marker
from airflow_provider_itwin.api.storage.file_upload import FileUpload
from airflow_provider_itwin.api.storage.plan import Action, UploadSource
from airflow_provider_itwin.api.storage.progress import Progress
from airflow_provider_itwin.api.storage.upload import log
from airflow_provider_itwin.hooks.itwin import ITwinHook
from itwin_emulator.domain.storage import StoredFile
from tests.airflow.crash_simulation import WorkerLostError

if TYPE_CHECKING:
    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.api.models.storage import StorageItem
    from itwin_emulator import Emulator

OLD, ONE, TWO = b"old content", b"content one", b"content two"
MOST_REQUESTS = 40
_numbers = itertools.count(1)


@dataclass
class Task:
    """A task that uploads, and pauses before each of its requests."""

    client: ITwinClient
    content: bytes
    stored: StorageItem
    requests: list[str] = field(default_factory=list)
    """What it has requested."""
    error: BaseException | None = None
    is_lost: bool = False

    def __post_init__(self) -> None:
        self.account = self.client.account
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self.is_done = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._paused.acquire()

    def step(self, count: int = MOST_REQUESTS) -> None:
        """Perform the next requests."""
        for _ in range(count):
            if self.is_done:
                return
            self._go.release()
            self._paused.acquire()

    def call(self, call: Any, retry_budget: float = 0.0) -> Any:
        """Perform a call of the API, as a client does."""
        self._pause(call.operation)
        return self.client.call(call, retry_budget)

    def run_flow(self, flow: Any) -> Any:
        """Run a flow, as a client does."""
        self._pause("flow")
        return self.client.run_flow(flow)

    def put(self, *arguments: Any) -> Any:
        """Send content, as a transport does."""
        self._pause("put")
        return self._transport.put(*arguments)

    def _pause(self, what: str) -> None:
        self._paused.release()
        self._go.acquire()
        if self.is_lost:
            raise WorkerLostError
        self.requests.append(what)

    def _run(self) -> None:
        self._transport = BlobTransport(self.account)
        mark = hashlib.sha256(self.content).hexdigest()[:16]
        source = UploadSource(
            "Tower.dgn",
            len(self.content),
            mark,
            lambda: BytesIO(self.content),
            lambda: (len(self.content), mark),
            origin="/designs",
        )
        transport: Any = self
        shared = Shared(
            transport,
            self.account,
            60.0,
            threading.Semaphore(5),
            threading.Event(),
            Progress("Uploaded", 0, log),
        )
        try:
            FileUpload(self, shared, source, self.stored.parent_folder_id or "", lambda: self.stored).run(
                Action.UPDATE, self.stored
            )
        except (ITwinError, WorkerLostError) as error:
            self.error = error
        finally:
            self._transport.close()
            self.is_done = True
            self._paused.release()


@dataclass
class Together:
    """Two tasks, and the file that both upload."""

    emulator: Emulator
    marked: bool

    def __post_init__(self) -> None:
        itwin = self.emulator.add_itwin(f"together-{next(_numbers)}")
        description = "Site plan"
        if self.marked:
            description += f" [airflow sha256={hashlib.sha256(OLD).hexdigest()} source=old at=2100-01-01T00:00:00Z]"
        self.file_id = f"{itwin}-file"
        self.emulator.add_file(itwin, "Tower.dgn", text=OLD.decode(), file_id=self.file_id, description=description)
        client = ITwinHook().get_conn()
        self.one, self.two = (
            Task(client, content, client.call(endpoints.get_file(self.file_id))) for content in (ONE, TWO)
        )

    def problem(self) -> str | None:
        """Return what is wrong in Storage."""
        storage = self.emulator.store.storage
        file = storage.items[self.file_id]
        assert isinstance(file, StoredFile)
        assert file.content is not None
        with storage.folder.open(file.content) as stream:
            content = stream.read()
        marker = Marker.find(file.description)
        if not (file.description or "").startswith("Site plan"):
            return "what a person has written is lost"
        if marker is not None and marker.sha256 != hashlib.sha256(content).hexdigest():
            return f"{content!r} has the digest of another content"
        return None if content in (OLD, ONE, TWO) else "the content is torn"


def requests_of_one(emulator: Emulator, marked: bool) -> list[str]:
    """Return what an undisturbed task requests."""
    together = Together(emulator, marked)
    together.one.step()
    together.two.is_lost = True
    together.two.step()
    assert together.problem() is None
    return together.one.requests


@pytest.mark.parametrize("complete_twice", ["accepted", "rejected"])
@pytest.mark.parametrize("marked", [True, False], ids=["with a digest", "without a digest"])
@pytest.mark.parametrize("lost", [False, True], ids=["both end", "the second one is lost"])
def test_no_digest_stays_beside_another_content(
    emulator: Emulator, marked: bool, lost: bool, complete_twice: Any
) -> None:
    emulator.quirks.complete_twice = complete_twice
    requests = requests_of_one(emulator, marked)
    assert requests[-4:] == ["complete-file-upload", "get-file", "update-file", "get-file"]
    problems = []
    for first, second in itertools.product(range(len(requests) + 1), repeat=2):
        together = Together(emulator, marked)
        one, two = together.one, together.two
        one.step(first)
        two.step(second)
        two.is_lost = lost
        if lost:
            two.step()
        one.step()
        two.step()
        assert one.is_done
        assert two.is_done
        assert [task.error for task in (one, two) if not isinstance(task.error, WorkerLostError | None)] == []
        if problem := together.problem():
            problems.append((first, second, problem))
    assert [problem for problem in problems if not _is_known(*problem[:2], requests, lost=lost)] == []


def _is_known(first: int, second: int, requests: list[str], *, lost: bool) -> bool:
    """
    Return whether nothing prevents a problem: Storage cannot write a description on the condition that nothing has changed.

    :param first: requests that the first task has sent when it pauses
    :param second: the same of the second one
    """
    sent, at_digest = requests.index("put") + 1, len(requests) - 2
    if lost:
        return sent <= first <= at_digest and second >= sent
    # One of them pauses before it writes its digest, while the other one does all that is left.
    return second == at_digest or (first == at_digest and second == len(requests))
