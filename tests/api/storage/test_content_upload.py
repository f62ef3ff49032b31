"""The content of a file arrives whole, whatever the blob storage does in between."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError, ITwinStoppedError
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Account, Environment
from airflow_provider_itwin.api.storage import content_upload
from airflow_provider_itwin.api.storage.blob_transport import BlobResponse, BlobTransport, Body
from airflow_provider_itwin.api.storage.content_upload import (
    BLOCKS_IN_MEMORY,
    Shared,
    SourceChangedError,
    UploadUrl,
    send_content,
)
from airflow_provider_itwin.api.storage.endpoints import Upload
from airflow_provider_itwin.api.storage.plan import UploadSource
from airflow_provider_itwin.api.storage.progress import Progress

Fault = Callable[[str], "BlobResponse | Exception | None"]


class BlobStorage:
    """A blob storage in memory: single writes, and blocks that are put together."""

    def __init__(self, fault: Fault = lambda what: None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.blocks: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []
        self.in_memory = self.most_in_memory = 0
        self._fault = fault
        self._lock = threading.Lock()

    def put(self, url: str, body: Body | bytes, headers: Mapping[str, str] | None = None) -> BlobResponse:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        what = query.get("comp", ["blob"])[0]
        with self._lock:
            self.requests.append(what)
            self.in_memory += what == "block"
            self.most_in_memory = max(self.in_memory, self.most_in_memory)
            fault = self._fault(what)
        try:
            content = body if isinstance(body, bytes) else b"".join(body)
            assert len(content) == len(body)
            if isinstance(fault, Exception):
                raise fault
            if fault is not None:
                return fault
            return self._store(parts.path, what, query, content, headers or {})
        finally:
            with self._lock:
                self.in_memory -= what == "block"

    def _store(
        self, path: str, what: str, query: Mapping[str, list[str]], content: bytes, headers: Mapping[str, str]
    ) -> BlobResponse:
        if what == "blob":
            assert headers["x-ms-blob-type"] == "BlockBlob"
            self.blobs[path] = content
        elif what == "block":
            with self._lock:
                self.blocks.setdefault(path, {})[query["blockid"][0]] = content
        else:
            ids = re.findall("<Latest>(.*?)</Latest>", content.decode())
            known = self.blocks.get(path, {})
            if any(block not in known for block in ids):
                return BlobResponse(400, {}, "InvalidBlockList")
            self.blobs[path] = b"".join(known[block] for block in ids)
        return BlobResponse(201, {})


class Clock:
    """A clock that only sleeping advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeEvent(threading.Event):
    """An event; waiting for it takes simulated time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.is_set_while_waiting = False
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Advance the clock."""
        self._clock.sleep(timeout or 0.0)
        if self.is_set_while_waiting:
            self.set()
        return self.is_set()


class Uploads:
    """The uploads of a task, against a blob storage in memory."""

    def __init__(self, storage: BlobStorage, urls: Callable[[int], str] = lambda number: "/blob") -> None:
        self.storage = storage
        self.clock = Clock()
        self.urls = 0
        self._urls = urls
        account = Account(
            Environment("http://127.0.0.1:1", "http://127.0.0.1:1"),
            ReadyToken("t"),
            clock=self.clock,
            chance=lambda: 0.5,
        )
        self.canceled = FakeEvent(self.clock)
        self.progress = Progress("Uploaded", 0, logging.getLogger("test"), self.clock)
        self.shared = Shared(
            cast("BlobTransport", storage),
            account,
            900.0,
            threading.Semaphore(BLOCKS_IN_MEMORY),
            self.canceled,
            self.progress,
        )

    def new_upload(self) -> Upload:
        self.urls += 1
        return Upload("file", f"https://blob.example{self._urls(self.urls)}?sig={self.urls}")

    def send(self, content: bytes, source: UploadSource | None = None) -> str:
        source = source or source_of(content)
        return send_content(source, UploadUrl(self.new_upload(), self.new_upload), self.shared)


def source_of(content: bytes, size: int | None = None) -> UploadSource:
    size = len(content) if size is None else size
    return UploadSource("a.dgn", size, "mark", lambda: io.BytesIO(content), lambda: (size, "mark"))


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make 100 bytes a large file, and 7 bytes a block."""
    monkeypatch.setattr(content_upload, "LARGEST_SINGLE_PUT", 100)
    monkeypatch.setattr(content_upload, "SMALLEST_BLOCK", 7)


def in_turn(*faults: BlobResponse | Exception | None) -> Fault:
    """Return faults for the first requests, in their order."""
    left: Iterator[BlobResponse | Exception | None] = iter(faults)
    return lambda what: next(left, None)


EXPIRED = BlobResponse(403, {}, "AuthenticationFailed")
BUSY = BlobResponse(503, {}, "ServerBusy")
RESET = ITwinConnectionError("reset")


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_a_small_file_is_sent_in_one_request(small_limits: None, size: int) -> None:
    content = bytes(range(size))
    uploads = Uploads(BlobStorage())
    assert uploads.send(content) == hashlib.sha256(content).hexdigest()
    assert (uploads.storage.blobs, uploads.storage.requests) == ({"/blob": content}, ["blob"])
    assert uploads.progress.done == size


@settings(max_examples=60, deadline=None)
@given(content=st.binary(min_size=11, max_size=200), block=st.integers(1, 50), most=st.integers(2, 60))
def test_a_large_file_is_put_together_from_its_blocks(content: bytes, block: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_upload, "LARGEST_SINGLE_PUT", 10)
        patch.setattr(content_upload, "SMALLEST_BLOCK", block)
        patch.setattr(content_upload, "MOST_BLOCKS", most)
        uploads = Uploads(BlobStorage())
        assert uploads.send(content) == hashlib.sha256(content).hexdigest()
    assert uploads.storage.blobs == {"/blob": content}
    assert uploads.storage.requests.count("block") <= most
    assert uploads.storage.requests[-1] == "blocklist"
    assert uploads.storage.most_in_memory < BLOCKS_IN_MEMORY
    assert uploads.progress.done == len(content)


FAULTS: dict[str, tuple[BlobResponse | Exception | None, ...]] = {
    "reset": (RESET,),
    "busy": (BUSY, BUSY, BUSY),
    "expired": (EXPIRED,),
    "expired and reset": (EXPIRED, RESET, EXPIRED),
    "throttled": (BlobResponse(429, {}),),
    "timeout": (BlobResponse(408, {}),),
}


@pytest.mark.parametrize("size", [50, 120])
@pytest.mark.parametrize("name", FAULTS)
def test_temporary_faults_are_ridden_out(small_limits: None, name: str, size: int) -> None:
    content = bytes(range(size))
    uploads = Uploads(BlobStorage(in_turn(*FAULTS[name])))
    assert uploads.send(content) == hashlib.sha256(content).hexdigest()
    assert uploads.storage.blobs == {"/blob": content}
    assert uploads.progress.done == size


@pytest.mark.parametrize("size", [50, 120])
def test_a_new_url_at_another_place_begins_anew(small_limits: None, size: int) -> None:
    content = bytes(range(size))
    uploads = Uploads(BlobStorage(in_turn(None, None, EXPIRED)), lambda number: f"/blob-{number}")
    assert uploads.send(content) == hashlib.sha256(content).hexdigest()
    assert uploads.storage.blobs == {f"/blob-{uploads.urls}": content}
    assert uploads.progress.done == size


def test_lost_blocks_are_sent_again(small_limits: None) -> None:
    lost = iter([BlobResponse(400, {}, "InvalidBlockList")])
    uploads = Uploads(BlobStorage(lambda what: next(lost, None) if what == "blocklist" else None))
    content = bytes(range(120))
    uploads.send(content)
    assert uploads.storage.blobs == {"/blob": content}
    assert uploads.storage.requests.count("blocklist") == 2
    assert uploads.progress.done == 120


@pytest.mark.parametrize("size", [50, 120])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (EXPIRED, "5 upload URLs in a row were refused"),
        (BUSY, "returned 503"),
        (RESET, "reset"),
        (BlobResponse(409, {}, "LeaseIdMissing"), "LeaseIdMissing"),
        (BlobResponse(413, {}, "RequestBodyTooLarge"), "RequestBodyTooLarge"),
        (BlobResponse(302, {"location": "https://elsewhere"}), "returned 302"),
    ],
)
def test_a_lasting_fault_ends_the_upload(
    small_limits: None, fault: BlobResponse | Exception, error: str, size: int
) -> None:
    uploads = Uploads(BlobStorage(lambda what: fault))
    with pytest.raises(ITwinError, match=error) as caught:
        uploads.send(bytes(size))
    assert "sig=" not in str(caught.value)
    assert uploads.storage.blobs == {}
    assert uploads.progress.done == 0
    assert uploads.clock.now <= 901


def test_blocks_that_are_lost_again_and_again_end_the_upload(small_limits: None) -> None:
    lost = BlobResponse(400, {}, "InvalidBlockList")
    uploads = Uploads(BlobStorage(lambda what: lost if what == "blocklist" else None))
    with pytest.raises(ITwinConnectionError, match=r"lost the blocks of a\.dgn 5 times"):
        uploads.send(bytes(120))


@pytest.mark.parametrize(("size", "said", "change"), [(50, 60, "shorter"), (120, 110, "longer"), (130, 140, "shorter")])
def test_a_source_of_another_size_is_not_sent(small_limits: None, size: int, said: int, change: str) -> None:
    uploads = Uploads(BlobStorage())
    with pytest.raises(SourceChangedError, match=f"became {change}"):
        uploads.send(b"", source_of(bytes(size), said))
    assert uploads.progress.done == 0


@pytest.mark.parametrize("size", [50, 120])
def test_the_end_of_the_task_stops_an_upload(small_limits: None, size: int) -> None:
    uploads = Uploads(BlobStorage())
    uploads.shared.canceled.set()
    with pytest.raises(ITwinStoppedError):
        uploads.send(bytes(size))
    assert uploads.storage.blobs == {}


def test_the_secret_of_an_upload_is_in_no_repr() -> None:
    upload: Any = Upload("file", "https://blob.example/x?sig=SECRET")
    assert "SECRET" not in repr(upload)


@pytest.mark.parametrize("size", [50, 120])
def test_a_retry_waits_for_the_retry_after_of_the_blob_storage(small_limits: None, size: int) -> None:
    uploads = Uploads(BlobStorage(in_turn(BlobResponse(503, {"retry-after": "77"}, "ServerBusy"))))
    uploads.send(bytes(size))
    assert uploads.clock.now >= 77


@pytest.mark.parametrize("size", [10, 300], ids=["in one request", "in blocks"])
def test_a_task_that_ends_during_a_pause_sends_nothing_more(small_limits: None, size: int) -> None:
    storage = BlobStorage(lambda what: BlobResponse(503, {}, ""))
    uploads = Uploads(storage)
    uploads.canceled.is_set_while_waiting = True
    with pytest.raises(ITwinStoppedError):
        uploads.send(b"x" * size)
    assert 1 <= len(storage.requests) <= BLOCKS_IN_MEMORY, "each block at once, and none again"
    assert uploads.clock.now < 900
