"""Moving the bytes of blobs between connections and files, in pieces, also as a fault prescribes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.domain.blobs import COPY_SIZE, BlobFolder, Content, Written
from itwin_emulator.http import transport
from itwin_emulator.http.faults import Fault
from itwin_emulator.http.responses import Response

DRAIN_LIMIT = 8 * 1024 * 1024 * 1024
"""Bytes of a rejected upload that are read, so that the client can read the response."""
SAMPLE_SIZE = 1024 * 1024
"""Bytes of a download that faults without a way to stream send."""


class UploadEndedError(Exception):
    """The connection was closed before the whole body arrived."""


class ConnectionCutError(Exception):
    """A fault prescribes to reset the connection in the middle of the request's body."""


@dataclass(slots=True)
class Download:
    """Bytes of a content to send, with the status and the headers of the response."""

    content: Content
    start: int
    length: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def allow_upload(request: BaseRequest) -> None:
    """Send ``100 Continue`` to a client that waits for it before it sends the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def receive(request: BaseRequest, folder: BlobFolder, size: int, fault: Fault | None) -> Written:
    """
    Write the body of a request to a new file.

    :raises UploadEndedError: the body is shorter than announced
    :raises ConnectionCutError: the fault prescribes it
    """
    allow_upload(request)
    writer = folder.writer()
    try:
        async for part in _parts(request, size, fault):
            await asyncio.to_thread(writer.write, part)
    except BaseException:
        writer.discard()
        raise
    return writer.finish()


async def _parts(request: BaseRequest, size: int, fault: Fault | None) -> AsyncIterator[bytes]:
    """Return the body in parts that are worth a switch to another thread."""
    buffer = bytearray()
    received = 0
    slow = fault is not None and fault.kind == "slow-body"
    cut_after = size // 2 if fault is not None and fault.kind == "reset-body" else None
    async for data in _pieces(request):
        buffer += data
        received += len(data)
        if slow and fault is not None:
            await asyncio.sleep(min(fault.seconds, transport.MAX_SECONDS) * len(data) / max(1, size))
        if cut_after is not None and received > cut_after:
            raise ConnectionCutError
        if len(buffer) >= COPY_SIZE:
            yield bytes(buffer)
            buffer.clear()
    if received != size:
        raise UploadEndedError
    yield bytes(buffer)


async def _pieces(request: BaseRequest) -> AsyncIterator[bytes]:
    try:
        async for data in request.content.iter_any():
            yield data
    except (OSError, web.RequestPayloadError) as error:
        raise UploadEndedError from error


async def drain(request: BaseRequest) -> int:
    """Read the rest of a body and forget it. Return its size."""
    if not request.body_exists or request.headers.get("Expect"):
        return 0
    size = 0
    async for data in _pieces(request):
        size += len(data)
        if size > DRAIN_LIMIT:
            break
    return size


async def send(request: BaseRequest, download: Download, folder: BlobFolder, fault: Fault | None) -> web.StreamResponse:
    """Send a content."""
    if request.method == "HEAD":
        return await _send_head(request, download)
    if fault is not None and fault.kind not in ("delay", "truncate", "slow-body", "reset-body"):
        sample = await asyncio.to_thread(
            read_part, folder, download.content, download.start, min(download.length, SAMPLE_SIZE)
        )
        return await transport.send(request, Response(download.status, sample, download.headers), fault)
    cut = fault is not None and fault.kind in ("truncate", "reset-body")
    remaining = download.length // 2 if cut else download.length
    pause = 0.0
    if fault is not None and fault.kind == "slow-body":
        pause = min(fault.seconds, transport.MAX_SECONDS) / max(1, -(-remaining // COPY_SIZE))
    stream = web.StreamResponse(
        status=download.status, headers=download.headers | {"Content-Length": str(download.length)}
    )
    file = folder.open(download.content)
    try:
        await stream.prepare(request)
        file.seek(download.start)
        while remaining > 0:
            data = await asyncio.to_thread(file.read, min(COPY_SIZE, remaining))
            if pause:
                await asyncio.sleep(pause)
            await stream.write(data)
            remaining -= len(data)
    finally:
        file.close()
    if cut:
        if fault is not None and fault.kind == "reset-body":
            return transport.reset(request)
        if request.transport is not None:
            request.transport.close()
        return stream
    await stream.write_eof()
    return stream


async def _send_head(request: BaseRequest, download: Download) -> web.StreamResponse:
    headers = download.headers | {"Content-Length": str(download.length)}
    stream = web.StreamResponse(status=download.status, headers=headers)
    await stream.prepare(request)
    await stream.write_eof()
    return stream


def read_part(folder: BlobFolder, content: Content, start: int, length: int) -> bytes:
    """Return a small part of a content."""
    with folder.open(content) as file:
        file.seek(start)
        return file.read(length)
