"""Uploads to blobs: in one piece, or in blocks and a list of them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from itwin_emulator.domain.blobs import MAX_BLOCKS, Blob, Block, Content, UnknownBlockError, Written, choose_blocks
from itwin_emulator.domain.store import Store
from itwin_emulator.http import blob_transfer
from itwin_emulator.http.blob_errors import BlobError
from itwin_emulator.http.blob_request import BlobRequest, check_conditions, validators
from itwin_emulator.http.blob_transfer import UploadEndedError
from itwin_emulator.http.responses import Response

LARGEST_BLOCK = 4000 * 1024 * 1024
LARGEST_LIST = 8 * 1024 * 1024
_ENTRY = re.compile(r"<(Committed|Uncommitted|Latest)>\s*([^<]*?)\s*</\1>")


@dataclass(frozen=True, slots=True)
class BlobUploads:
    """
    Handles requests that write blobs.

    :param on_change: called after an upload has changed the store
    """

    store: Store
    on_change: Callable[[], None]

    async def put_blob(self, request: BlobRequest) -> Response:
        """Write a blob in one piece."""
        blob_type = request.header("x-ms-blob-type")
        if blob_type is None:
            raise BlobError("MissingRequiredHeader", HeaderName="x-ms-blob-type")
        if blob_type != "BlockBlob":
            raise BlobError("InvalidHeaderValue", HeaderName="x-ms-blob-type", HeaderValue=blob_type)
        size = request.content_length()
        largest = self.store.quirks.largest_put
        if size > largest:
            raise BlobError("RequestBodyTooLarge", MaxLimit=str(largest))
        check_conditions(request, self._upload(request).content)
        written = await self._receive(request, size)
        content_type = request.header("x-ms-blob-content-type") or request.header("Content-Type")
        content = Content(
            written.name,
            written.size,
            written.digest,
            self.store.clock.now(),
            content_type=content_type or "application/octet-stream",
            md5=written.digest,
        )
        self._commit(request, content, ())
        response = self._created(content)
        response.headers["Content-MD5"] = written.digest
        return response

    async def put_block(self, request: BlobRequest) -> Response:
        """Write a block, which is invisible until a list commits it."""
        block_id = request.query.get("blockid", "")
        decoded = _decode(block_id)
        if not decoded or len(decoded) > 64:
            raise BlobError("InvalidBlockId")
        blob = self._upload(request)
        if any(len(known) != len(block_id) for known in blob.staged) or len(blob.staged) >= 2 * MAX_BLOCKS:
            raise BlobError("InvalidBlobOrBlock")
        size = request.content_length()
        if size > LARGEST_BLOCK:
            raise BlobError("RequestBodyTooLarge", MaxLimit=str(LARGEST_BLOCK))
        if size == 0:
            raise BlobError("InvalidHeaderValue", HeaderName="Content-Length", HeaderValue="0")
        written = await self._receive(request, size)
        with self.store.lock:
            blob = self._discard_unless_open(request, written)
            old = blob.staged.get(block_id)
            blob.staged[block_id] = Block(block_id, size, written.name)
            if old is not None:
                self.store.storage.folder.remove(old.name)
        return Response(201, None, {"Content-MD5": written.digest, "x-ms-request-server-encrypted": "true"})

    async def put_block_list(self, request: BlobRequest) -> Response:
        """Make a list of blocks the content of a blob."""
        blob = self._upload(request)
        check_conditions(request, blob.content)
        if request.content_length() > LARGEST_LIST:
            raise BlobError("RequestBodyTooLarge", MaxLimit=str(LARGEST_LIST))
        blob_transfer.allow_upload(request.raw)
        try:
            body = await request.raw.content.read()
        except (OSError, web.RequestPayloadError) as error:
            raise UploadEndedError from error
        request.body_size = len(body)
        blocks = _parse_block_list(body)
        try:
            with self.store.lock:
                parts = choose_blocks(blob, blocks)
            written = await asyncio.to_thread(self.store.storage.folder.join, blob, parts)
        except (UnknownBlockError, FileNotFoundError) as error:
            raise BlobError("InvalidBlockList") from error
        content = Content(
            written.name,
            written.size,
            written.digest,
            self.store.clock.now(),
            content_type=request.header("x-ms-blob-content-type") or "application/octet-stream",
            md5=request.header("x-ms-blob-content-md5"),
        )
        self._commit(request, content, tuple(Block(part.id, part.size) for part in parts))
        return self._created(content)

    async def _receive(self, request: BlobRequest, size: int) -> Written:
        expected = request.header("Content-MD5")
        if expected is not None and len(_decode(expected)) != 16:
            raise BlobError("InvalidHeaderValue", HeaderName="Content-MD5", HeaderValue=expected)
        folder = self.store.storage.folder
        written = await blob_transfer.receive(request.raw, folder, size, request.fault)
        request.body_size = written.size
        if expected is not None and expected != written.digest:
            folder.remove(written.name)
            raise BlobError("Md5Mismatch", UserSpecifiedMd5=expected, ServerCalculatedMd5=written.digest)
        return written

    def _upload(self, request: BlobRequest) -> Blob:
        """Return the blob of an upload that is not completed yet."""
        blob = self.store.storage.uploads.get(request.blob_id)
        if blob is None or blob.itwin_id != request.itwin_id:
            raise BlobError("BlobNotFound")
        return blob

    def _discard_unless_open(self, request: BlobRequest, written: Written) -> Blob:
        """Return the blob; remove what was written if the upload was completed in the meantime."""
        try:
            return self._upload(request)
        except BlobError:
            self.store.storage.folder.remove(written.name)
            raise

    def _commit(self, request: BlobRequest, content: Content, blocks: tuple[Block, ...]) -> None:
        folder = self.store.storage.folder
        with self.store.lock:
            blob = self._discard_unless_open(request, Written(content.name, content.size, content.digest))
            folder.remove(*(block.name for block in blob.staged.values()))
            if blob.content is not None:
                folder.remove(blob.content.name)
            blob.content, blob.committed = content, blocks
            blob.staged.clear()
        self.on_change()

    def _created(self, content: Content) -> Response:
        return Response(
            201, None, validators(content, self.store.clock.skew) | {"x-ms-request-server-encrypted": "true"}
        )


def _parse_block_list(body: bytes) -> list[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    if "<BlockList" not in text:
        raise BlobError("InvalidXmlDocument")
    entries = [(found[1], found[2]) for found in _ENTRY.finditer(text)]
    if len(entries) > MAX_BLOCKS:
        raise BlobError("InvalidBlockList")
    return entries


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
