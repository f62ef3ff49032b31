"""Sending responses over aiohttp: unchanged, or as a fault prescribes."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.http.errors import (
    ApiError,
    conflicting_start,
    insufficient_permissions,
    run_not_found,
    too_many_requests,
    unauthorized,
    unprocessable,
)
from itwin_emulator.http.faults import Fault
from itwin_emulator.http.responses import Response, encode

JSON_TYPE = "application/json; charset=utf-8"
MEBIBYTE = 1024 * 1024
MAX_SECONDS = 600.0
"""Limit of all delays by faults."""
ENDLESS_SIZE = 4096 * MEBIBYTE

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>Microsoft-Azure-Application-Gateway/v2</center></body></html>\n"
)


def to_aiohttp(response: Response) -> web.Response:
    """Convert a response for aiohttp."""
    headers = dict(response.headers)
    if response.body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = JSON_TYPE
    return web.Response(status=response.status, body=encode(response.body), headers=headers)


def scripted_response(
    fault: Fault,
    traits: KindTraits | None,
    rate_limit_code: str = "RateLimitExceeded",
    missing: tuple[str, str] | None = None,
) -> Response:
    """
    Return the response that a fault prescribes instead of the real one.

    :param rate_limit_code: documented error code of a 429 of the operation
    :param missing: code and message of a 404 of the operation; None: that of the kind of connection, if any
    """
    match fault.kind:
        case "html":
            return Response(fault.status or 502, _HTML, {"Content-Type": "text/html"} | fault.headers)
        case "redirect":
            return Response(fault.status or 302, None, {"Location": fault.location or "/"} | fault.headers)
        case "empty" | "huge" | "endless" | "gzip-bomb":
            return Response(fault.status or 200, None, dict(fault.headers))
        case _:
            status = fault.status or 503
            body = _default_body(status, traits, rate_limit_code, missing) if fault.body is None else fault.body
            return Response(status, body, dict(fault.headers))


def _default_body(status: int, traits: KindTraits | None, rate_limit_code: str, missing: tuple[str, str] | None) -> Any:
    documented: dict[int, ApiError] = {
        401: unauthorized(),
        403: insufficient_permissions(),
        409: conflicting_start(),
        422: unprocessable("InvalidRequest"),
        429: too_many_requests(rate_limit_code),
    }
    if missing is not None:
        documented[404] = ApiError(404, *missing)
    elif traits is not None:
        documented[404] = run_not_found(traits)
    if status in documented:
        return documented[status].to_response().body
    if status >= 500:
        names = {500: "InternalServerError", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}
        return {"error": {"code": names.get(status, "ServerError"), "message": "The request could not be processed."}}
    return None


async def send(request: BaseRequest, response: Response, fault: Fault) -> web.StreamResponse:
    """Send a response as a fault prescribes."""
    body = encode(response.body)
    match fault.kind:
        case "reset-before" | "reset-after":
            return reset(request)
        case "hang":
            await asyncio.sleep(min(fault.seconds or MAX_SECONDS, MAX_SECONDS))
            return reset(request)
        case "reset-body":
            _raw(request, response, body[: len(body) // 2], len(body) or 1)
            return reset(request)
        case "truncate":
            return _raw(request, response, body[: len(body) // 2], len(body) or 1)
        case "short-length":
            # The client cannot see that more was sent, so it could use the closed connection for its next request.
            response.headers["Connection"] = "close"
            return _raw(request, response, body, len(body) // 2)
        case "bare":
            # Without a header that says so, only this version tells the client that the connection will be closed.
            bare = Response(response.status, None)
            return _raw(request, bare, body, len(body), content_type=None, version="HTTP/1.0")
        case "invalid-json":
            response.body = body[: max(1, len(body) * 2 // 3)]
        case "wrong-type":
            response.body = [1, "two", None]
        case "wrong-content-type":
            response.headers["Content-Type"] = "text/plain; charset=utf-8"
        case "slow-body":
            return await _send_slowly(request, response, body, min(fault.seconds, MAX_SECONDS))
        case "huge":
            filler = b" " * (fault.size or 64 * MEBIBYTE)
            return to_aiohttp(Response(fault.status or 200, b"{" + filler + b"}", {"Content-Type": JSON_TYPE}))
        case "endless":
            return await _send_endless(request, fault.status or 200)
        case "gzip-bomb":
            bomb = await asyncio.to_thread(_gzip_bomb, fault.size or 256 * MEBIBYTE)
            headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
            return to_aiohttp(Response(fault.status or 200, bomb, headers))
        case _:
            pass
    return to_aiohttp(response)


def reset(request: BaseRequest) -> web.StreamResponse:
    """Reset the connection."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # With a linger time of zero the kernel sends RST immediately, like a crashed peer.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def _raw(
    request: BaseRequest,
    response: Response,
    body: bytes,
    length: int,
    content_type: str | None = JSON_TYPE,
    version: str = "HTTP/1.1",
) -> web.StreamResponse:
    """Send a response with exactly these headers; aiohttp would correct them."""
    headers = (
        ({"Content-Type": content_type} if content_type else {}) | response.headers | {"Content-Length": str(length)}
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    transport = request.transport
    if transport is not None:
        transport.write(f"{version} {response.status} Emulated\r\n{head}\r\n".encode() + body)
        transport.close()
    return web.Response()


async def _send_slowly(request: BaseRequest, response: Response, body: bytes, seconds: float) -> web.StreamResponse:
    headers = {"Content-Type": JSON_TYPE} | response.headers | {"Content-Length": str(len(body))}
    stream = web.StreamResponse(status=response.status, headers=headers)
    await stream.prepare(request)
    parts = 20
    step = max(1, -(-len(body) // parts))
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds / parts)
        await stream.write(body[start : start + step])
    await stream.write_eof()
    return stream


async def _send_endless(request: BaseRequest, status: int) -> web.StreamResponse:
    stream = web.StreamResponse(status=status, headers={"Content-Type": JSON_TYPE})
    await stream.prepare(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MAX_SECONDS
    await stream.write(b'{"run":{"id":"')
    chunk = b"a" * 65536
    for _ in range(ENDLESS_SIZE // len(chunk)):
        if loop.time() > deadline:
            break
        await stream.write(chunk)
    return stream


def _gzip_bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    filler = b" " * MEBIBYTE
    parts = [packer.compress(b"{")]
    parts.extend(packer.compress(filler) for _ in range(size // MEBIBYTE))
    parts.append(packer.compress(b"}"))
    parts.append(packer.flush())
    return b"".join(parts)
