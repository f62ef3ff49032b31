"""Putting answers on the wire: properly, or in the way that a fault prescribes."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.api.json_cache import encode
from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.http.errors import (
    Answer,
    ApiError,
    conflicting_start,
    insufficient_permissions,
    too_many_requests,
    unauthorized,
    unprocessable,
)
from itwin_emulator.http.faults import Fault

JSON_TYPE = "application/json; charset=utf-8"
MEBIBYTE = 1024 * 1024
LONGEST = 600.0
"""No fault keeps a request for longer than this many seconds."""
ENDLESS = 4096 * MEBIBYTE

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>Microsoft-Azure-Application-Gateway/v2</center></body></html>\n"
)


def response(answer: Answer) -> web.Response:
    """Make the proper response for an answer."""
    headers = dict(answer.headers)
    if answer.body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = JSON_TYPE
    return web.Response(status=answer.status, body=encode(answer.body), headers=headers)


def scripted_answer(fault: Fault, traits: KindTraits | None) -> Answer:
    """Give the answer that a fault prescribes instead of the real one."""
    match fault.kind:
        case "html":
            return Answer(fault.status or 502, _HTML, {"Content-Type": "text/html"} | fault.headers)
        case "redirect":
            return Answer(fault.status or 302, None, {"Location": fault.location or "/"} | fault.headers)
        case "empty" | "huge" | "endless" | "gzip-bomb":
            return Answer(fault.status or 200, None, dict(fault.headers))
        case _:
            status = fault.status or 503
            body = _usual_body(status, traits) if fault.body is None else fault.body
            return Answer(status, body, dict(fault.headers))


def _usual_body(status: int, traits: KindTraits | None) -> Any:
    documented: dict[int, ApiError] = {
        401: unauthorized(),
        403: insufficient_permissions(),
        409: conflicting_start(),
        422: unprocessable("InvalidRequest"),
        429: too_many_requests(),
    }
    if traits is not None:
        documented[404] = traits.run_not_found()
    if status in documented:
        return documented[status].answer().body
    if status >= 500:
        names = {500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
        return {"error": {"code": names.get(status, "ServerError"), "message": "The request could not be processed."}}
    return None


async def send(request: BaseRequest, answer: Answer, fault: Fault) -> web.StreamResponse:
    """Send an answer in the way of a fault."""
    body = encode(answer.body)
    match fault.kind:
        case "reset-before" | "reset-after":
            return _reset(request)
        case "hang":
            await asyncio.sleep(min(fault.seconds or LONGEST, LONGEST))
            return _reset(request)
        case "truncate":
            return _raw(request, answer, body[: len(body) // 2], len(body) or 1)
        case "short-length":
            return _raw(request, answer, body, len(body) // 2)
        case "bare":
            return _raw(request, Answer(answer.status, None), body, len(body), content_type=None)
        case "invalid-json":
            answer.body = body[: max(1, len(body) * 2 // 3)]
        case "wrong-type":
            answer.body = [1, "two", None]
        case "wrong-content-type":
            answer.headers["Content-Type"] = "text/plain; charset=utf-8"
        case "slow-body":
            return await _trickle(request, answer, body, min(fault.seconds, LONGEST))
        case "huge":
            filler = b" " * (fault.size or 64 * MEBIBYTE)
            return response(Answer(fault.status or 200, b"{" + filler + b"}", {"Content-Type": JSON_TYPE}))
        case "endless":
            return await _endless(request, fault.status or 200)
        case "gzip-bomb":
            bomb = await asyncio.to_thread(_bomb, fault.size or 256 * MEBIBYTE)
            headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
            return response(Answer(fault.status or 200, bomb, headers))
        case _:
            pass
    return response(answer)


def _reset(request: BaseRequest) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # Without lingering the kernel sends RST at once: what a crashed peer looks like.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def _raw(
    request: BaseRequest, answer: Answer, body: bytes, length: int, content_type: str | None = JSON_TYPE
) -> web.StreamResponse:
    """Write a response with headers of our choice; aiohttp would put them right."""
    headers = (
        ({"Content-Type": content_type} if content_type else {}) | answer.headers | {"Content-Length": str(length)}
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    transport = request.transport
    if transport is not None:
        transport.write(f"HTTP/1.1 {answer.status} Emulated\r\n{head}\r\n".encode() + body)
        transport.close()
    return web.Response()


async def _trickle(request: BaseRequest, answer: Answer, body: bytes, seconds: float) -> web.StreamResponse:
    headers = {"Content-Type": JSON_TYPE} | answer.headers | {"Content-Length": str(len(body))}
    stream = web.StreamResponse(status=answer.status, headers=headers)
    await stream.prepare(request)
    pieces = 20
    step = max(1, -(-len(body) // pieces))
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds / pieces)
        await stream.write(body[start : start + step])
    await stream.write_eof()
    return stream


async def _endless(request: BaseRequest, status: int) -> web.StreamResponse:
    stream = web.StreamResponse(status=status, headers={"Content-Type": JSON_TYPE})
    await stream.prepare(request)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + LONGEST
    await stream.write(b'{"run":{"id":"')
    chunk = b"a" * 65536
    for _ in range(ENDLESS // len(chunk)):
        if loop.time() > give_up:
            break
        await stream.write(chunk)
    return stream


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    filler = b" " * MEBIBYTE
    parts = [packer.compress(b"{")]
    parts.extend(packer.compress(filler) for _ in range(size // MEBIBYTE))
    parts.append(packer.compress(b"}"))
    parts.append(packer.flush())
    return b"".join(parts)
