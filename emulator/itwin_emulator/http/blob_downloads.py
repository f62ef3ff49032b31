"""Downloads of blobs: their content or a range of it, their properties, and their blocks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from dataclasses import dataclass

from itwin_emulator.domain.blobs import Blob, Content
from itwin_emulator.domain.store import Store
from itwin_emulator.http import blob_transfer
from itwin_emulator.http.blob_errors import XML, BlobError, escape
from itwin_emulator.http.blob_request import BlobRequest, check_conditions, validators
from itwin_emulator.http.blob_transfer import Download
from itwin_emulator.http.responses import Response

LARGEST_RANGE_DIGEST = 4 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


@dataclass(frozen=True, slots=True)
class BlobDownloads:
    """Handles requests that read blobs."""

    store: Store

    async def get_blob(self, request: BlobRequest) -> Download:
        """Return the content of a blob, a range of it, or its properties."""
        content = self._readable(request).content
        if content is None:
            raise BlobError("BlobNotFound")
        check_conditions(request, content)
        headers = validators(content, self.store.clock.skew) | {
            "Content-Type": content.content_type,
            "x-ms-blob-type": "BlockBlob",
        }
        headers |= {"Accept-Ranges": "bytes", "x-ms-server-encrypted": "true", "x-ms-lease-state": "available"}
        if request.raw.method == "HEAD":
            return Download(content, 0, content.size, 200, headers | _digest_header("Content-MD5", content))
        found = _RANGE.fullmatch(request.header("x-ms-range") or request.header("Range") or "")
        if found is None:
            return Download(content, 0, content.size, 200, headers | _digest_header("Content-MD5", content))
        start, last = int(found[1]), min(int(found[2] or content.size - 1), content.size - 1)
        if start >= content.size or last < start:
            raise BlobError("InvalidRange", Size=str(content.size))
        length = last - start + 1
        headers |= {"Content-Range": f"bytes {start}-{last}/{content.size}"}
        headers |= _digest_header("x-ms-blob-content-md5", content)
        if (request.header("x-ms-range-get-content-md5") or "").lower() == "true":
            if length > LARGEST_RANGE_DIGEST:
                raise BlobError("InvalidHeaderValue", HeaderName="x-ms-range-get-content-md5", HeaderValue="true")
            folder = self.store.storage.folder
            data = await asyncio.to_thread(blob_transfer.read_part, folder, content, start, length)
            digest = hashlib.md5(data, usedforsecurity=False).digest()
            headers["Content-MD5"] = base64.b64encode(digest).decode()
        return Download(content, start, length, 206, headers)

    def get_block_list(self, request: BlobRequest) -> Response:
        """Return the blocks of a blob."""
        blob = self._readable(request)
        wanted = request.query.get("blocklisttype", "committed").lower()
        if wanted not in ("committed", "uncommitted", "all"):
            raise BlobError("InvalidQueryParameterValue", QueryParameterName="blocklisttype")
        if blob.content is None and not blob.staged:
            raise BlobError("BlobNotFound")
        parts = []
        for name, blocks in (("Committed", blob.committed), ("Uncommitted", tuple(blob.staged.values()))):
            if wanted in (name.lower(), "all"):
                listed = "".join(
                    f"<Block><Name>{escape(block.id)}</Name><Size>{block.size}</Size></Block>" for block in blocks
                )
                parts.append(f"<{name}Blocks>{listed}</{name}Blocks>")
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{"".join(parts)}</BlockList>'
        headers = {} if blob.content is None else validators(blob.content, self.store.clock.skew)
        size = "0" if blob.content is None else str(blob.content.size)
        return Response(200, body, headers | {"Content-Type": XML, "x-ms-blob-content-length": size})

    def _readable(self, request: BlobRequest) -> Blob:
        """Return the blob of an upload, or of the current content of a file."""
        with self.store.lock:
            storage = self.store.storage
            upload = storage.uploads.get(request.blob_id)
            if upload is not None and upload.itwin_id == request.itwin_id:
                return upload
            file = storage.find_file(request.blob_id)
            if file is None or file.itwin_id != request.itwin_id:
                raise BlobError("BlobNotFound")
            return Blob(file.id, file.itwin_id, file.content)


def _digest_header(name: str, content: Content) -> dict[str, str]:
    return {} if content.md5 is None else {name: content.md5}
