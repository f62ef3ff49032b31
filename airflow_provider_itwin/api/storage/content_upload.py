"""
Sends the content of one file to a pre-signed URL: in one request, or in blocks if it is large.

Memory is bounded: a small file is streamed, and the blocks of all large files share :data:`BLOCKS_IN_MEMORY`.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinPermissionError,
    ITwinStoppedError,
)
from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.storage.blob_transport import CHUNK, BlobTransport, Body, as_error
from airflow_provider_itwin.api.storage.endpoints import Upload
from airflow_provider_itwin.api.storage.plan import UploadSource
from airflow_provider_itwin.api.storage.progress import PartialProgress, Progress

LARGEST_SINGLE_PUT = 256 * 1024 * 1024
"""Bytes that the service accepts in one request; larger files are sent in blocks."""

SMALLEST_BLOCK = 8 * 1024 * 1024
MOST_BLOCKS = 50_000
BLOCKS_IN_MEMORY = 5
"""Blocks of all uploads of a task that are in memory at the same time, at most: 40 MiB."""

MOST_URLS = 5
"""Upload URLs that are requested in a row without progress, before the upload fails."""

_BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob", "content-type": "application/octet-stream"}


class SourceChangedError(Exception):
    """A file changed while it was uploaded, so its content is not made visible."""


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What the uploads of a task share.

    :param transport: sends requests to pre-signed URLs
    :param account: clock and random numbers of the retries
    :param retry_budget: seconds for which temporary errors are retried; progress resets it
    :param blocks: as many permits as blocks may be in memory
    :param canceled: set when the task ends
    :param progress: counts the bytes
    """

    transport: BlobTransport
    account: Account
    retry_budget: float
    blocks: threading.Semaphore
    canceled: threading.Event
    progress: Progress

    def check_canceled(self) -> None:
        """
        Raise an error if the task ends.

        :raises ITwinStoppedError: then
        """
        if self.canceled.is_set():
            raise ITwinStoppedError("The upload was stopped")


class UploadUrl:
    """
    Where to send the content; thread-safe.

    :param upload: the upload that the service has accepted
    :param renew: asks for another one: the lifetime of an upload URL is not documented
    """

    def __init__(self, upload: Upload, renew: Callable[[], Upload]) -> None:
        self.current = upload
        self._renew = renew
        self._refused = 0
        self._lock = threading.Lock()

    def after_progress(self) -> None:
        """Forget earlier refusals."""
        self._refused = 0

    def replace(self, refused: Upload, error: ITwinError) -> Upload:
        """
        Return another upload in place of a refused one. Of several threads, one asks for it.

        :raises ITwinError: `error` after :data:`MOST_URLS` refusals in a row
        """
        with self._lock:
            if self.current is refused:
                self._refused += 1
                if self._refused > MOST_URLS:
                    raise error.with_hint(f"{MOST_URLS} upload URLs in a row were refused.")
                self.current = self._renew()
            return self.current


class _Content:
    """
    The bytes of a source: counts and hashes them, and stops when the task ends.

    :raises SourceChangedError: while it is read, if the source has another size than before
    """

    def __init__(self, source: UploadSource, shared: Shared, progress: PartialProgress) -> None:
        self._source = source
        self._shared = shared
        self._progress = progress
        self.sha256 = hashlib.sha256()

    def __len__(self) -> int:
        return self._source.size

    def __iter__(self) -> Iterator[bytes]:
        with self._source.open() as stream:
            for part in self.parts(stream, CHUNK):
                yield part
                self._progress.add(len(part))

    def parts(self, stream: BinaryIO, size: int) -> Iterator[bytes]:
        """Yield the content in parts of `size` bytes, the last one smaller."""
        left = self._source.size
        while left:
            self._shared.check_canceled()
            part = read_fully(stream, min(size, left))
            if not part:
                raise SourceChangedError(f"{self._source.path} became shorter while it was read")
            left -= len(part)
            self.sha256.update(part)
            yield part
        if stream.read(1):
            raise SourceChangedError(f"{self._source.path} became longer while it was read")


def read_fully(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: streams of object stores may return less than was asked for."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Attempts:
    """The retries of a request to a pre-signed URL."""

    def __init__(self, url: UploadUrl, shared: Shared) -> None:
        self._url = url
        self._shared = shared
        self._failed = 0
        self._give_up_at = shared.account.clock() + shared.retry_budget
        self.upload = url.current

    def put(self, body: Body | bytes, headers: Mapping[str, str], query: str = "") -> ITwinError | None:
        """Send `body`; return the error if it was not accepted, None if it was."""
        url = f"{self.upload.url}{'&' if '?' in self.upload.url else '?'}{query}" if query else self.upload.url
        try:
            response = self._shared.transport.put(url, body, headers)
        except ITwinConnectionError as error:
            return error
        if response.status == 201 or (response.status == 200 and "etag" in response.headers):
            self._url.after_progress()
            return None
        return as_error(response, "PUT", url)

    def prepare_next(self, error: ITwinError) -> None:
        """
        Pause before the next attempt, or get another upload URL.

        :raises ITwinError: `error`, if another attempt does not help
        """
        self._shared.check_canceled()
        if isinstance(error, ITwinPermissionError):
            self.upload = self._url.replace(self.upload, error)
            return
        left = self._give_up_at - self._shared.account.clock()
        if not error.transient or left <= 0:
            raise error
        self._failed += 1
        seconds = min(left, backoff(self._failed, self._shared.account.chance(), error.retry_after))
        stopping.pause(self._shared.canceled, seconds)
        self._shared.check_canceled()


def send_content(source: UploadSource, url: UploadUrl, shared: Shared) -> str:
    """
    Send the content of `source`; `url` tells afterwards which upload it went to.

    :return: the SHA-256 of what was sent, as hexadecimal digits
    :raises ITwinError: if the blob storage did not accept it
    :raises SourceChangedError: if the source changed while it was read
    """
    progress = shared.progress.part()
    try:
        if source.size <= LARGEST_SINGLE_PUT:
            return _send_at_once(source, url, shared, progress)
        return _BlockUpload(source, url, shared, progress).run()
    except BaseException:
        progress.discard()
        raise


def _send_at_once(source: UploadSource, url: UploadUrl, shared: Shared, progress: PartialProgress) -> str:
    attempts = _Attempts(url, shared)
    while True:
        content = _Content(source, shared, progress)
        error = attempts.put(content, _BLOCK_BLOB)
        if error is None:
            return content.sha256.hexdigest()
        progress.discard()
        attempts.prepare_next(error)


class _BlocksLostError(Exception):
    """The blocks that were sent are not where the next ones go."""


class _BlockUpload:
    """Sends a file in blocks, several at once, and puts them together at the end."""

    def __init__(self, source: UploadSource, url: UploadUrl, shared: Shared, progress: PartialProgress) -> None:
        self._source = source
        self._url = url
        self._shared = shared
        self._progress = progress
        self._failed = threading.Event()
        self._place = _place(url.current)

    def run(self) -> str:
        """Send the file; return its SHA-256."""
        for _ in range(MOST_URLS):
            self._failed.clear()
            self._place = _place(self._url.current)
            content = _Content(self._source, self._shared, self._progress)
            try:
                self._commit(self._send_blocks(content))
            except _BlocksLostError:
                self._progress.discard()
            else:
                return content.sha256.hexdigest()
        raise ITwinConnectionError(
            f"The blob storage lost the blocks of {self._source.path} {MOST_URLS} times before they could be put together"
        )

    def _send_blocks(self, content: _Content) -> list[str]:
        size = max(SMALLEST_BLOCK, -(-self._source.size // MOST_BLOCKS))
        sent: list[Future[None]] = []
        with self._source.open() as stream, ThreadPoolExecutor(BLOCKS_IN_MEMORY - 1, "itwin-block") as pool:
            parts = content.parts(stream, size)
            try:
                while not self._failed.is_set() and (part := self._next(parts)) is not None:
                    sent.append(pool.submit(self._send_block, _block_id(len(sent)), part))
                    del part
            except BaseException:
                self._failed.set()
                raise
        for task in sent:
            task.result()
        return [_block_id(number) for number in range(len(sent))]

    def _next(self, parts: Iterator[bytes]) -> bytes | None:
        self._shared.blocks.acquire()
        part = None
        try:
            part = next(parts, None)
        finally:
            if part is None:
                self._shared.blocks.release()
        return part

    def _send_block(self, block_id: str, part: bytes) -> None:
        try:
            attempts = _Attempts(self._url, self._shared)
            while not self._failed.is_set():
                self._check_place(attempts.upload)
                error = attempts.put(part, {}, f"comp=block&blockid={quote(block_id, safe='')}")
                if error is None:
                    self._progress.add(len(part))
                    return
                attempts.prepare_next(error)
        except BaseException:
            self._failed.set()
            raise
        finally:
            self._shared.blocks.release()

    def _check_place(self, upload: Upload) -> None:
        if _place(upload) != self._place:
            raise _BlocksLostError

    def _commit(self, ids: list[str]) -> None:
        """
        Put the blocks together.

        :raises _BlocksLostError: if the blob storage does not have all of them
        """
        blocks = "".join(f"<Latest>{block_id}</Latest>" for block_id in ids)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        attempts = _Attempts(self._url, self._shared)
        while True:
            self._check_place(attempts.upload)
            error = attempts.put(body, {"content-type": "application/xml"}, "comp=blocklist")
            if error is None:
                return
            if error.code == "InvalidBlockList" or error.status in (400, 404):
                raise _BlocksLostError
            attempts.prepare_next(error)


def _block_id(number: int) -> str:
    return base64.b64encode(f"{number:08d}".encode()).decode()


def _place(upload: Upload) -> tuple[str, str]:
    """Return where an upload goes, without its signature."""
    return upload.file_id, urlsplit(upload.url)._replace(query="").geturl()
