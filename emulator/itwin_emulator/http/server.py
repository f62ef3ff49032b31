"""The emulator as an HTTP server: from the request to the operation, and what stands between them at a real gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import http_date
from itwin_emulator.domain.store import Platform
from itwin_emulator.http import errors, oauth, responses
from itwin_emulator.http.errors import Answer, ApiError
from itwin_emulator.http.request import Call
from itwin_emulator.http.request_log import (
    Journal,
    JournalEntry,
    journaled_headers,
    journaled_location,
    journaled_query,
)
from itwin_emulator.spec.operations import ROUTER, Handler, Operation

if TYPE_CHECKING:
    from itwin_emulator.admin.routes import Control
    from itwin_emulator.http.faults import Fault, FaultBox
    from itwin_emulator.http.oauth import TokenDesk
    from itwin_emulator.http.rate_limit import RateLimiter

BODY_LIMIT = 32 * 1024 * 1024
_OWN_PATHS = frozenset({"", "emulator", "favicon.ico", "openapi.json"})
_NO_QUERY: dict[str, str] = {}
_SOUND_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Place:
    """What a method and a path lead to."""

    path: str
    segments: tuple[str, ...]
    operation: Operation | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation_id(self) -> str | None:
        """Id of the operation, if there is one."""
        return None if self.operation is None else self.operation.id


@lru_cache(maxsize=4096)
def _find_place(method: str, raw_path: str) -> Place:
    # Who polls asks for the same path again and again.
    segments = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
    found = ROUTER.find(method, segments)
    return Place("/" + "/".join(segments), segments, *(found or ()))


@dataclass(slots=True)
class Incoming:
    """A request, taken apart."""

    request: BaseRequest
    place: Place
    query: dict[str, str]
    body: bytes
    origin: str
    correlation_id: str
    client_id: str | None = None

    @property
    def operation(self) -> Operation | None:
        """What is asked for."""
        return self.place.operation


@dataclass(slots=True)
class Gateway:
    """Answers every request."""

    platform: Platform
    desk: TokenDesk
    faults: FaultBox
    limiter: RateLimiter
    journal: Journal
    control: Control

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        place = _find_place(request.method, request.rel_url.raw_path)
        try:
            body = await _read(request) if request.body_exists else b""
        except ValueError:
            return web.Response(status=413)
        if place.segments[0] in _OWN_PATHS:
            return await self.control.answer(request, place.segments, body)
        return await self._answer(self._take_apart(request, place, body))

    def _take_apart(self, request: BaseRequest, place: Place, body: bytes) -> Incoming:
        headers = request.headers
        query = request.rel_url.raw_query_string
        given = headers.get("X-Correlation-Id", "")
        host = headers.get("Host", "")
        return Incoming(
            request=request,
            place=place,
            query={name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
            if query
            else _NO_QUERY,
            body=body,
            origin=f"http://{host}" if _SOUND_HOST.fullmatch(host) else self.control.url,
            correlation_id=given if given and ids.is_sound(given) else ids.guid(),
        )

    async def _answer(self, incoming: Incoming) -> web.StreamResponse:
        place = incoming.place
        delays, fault = self.faults.take(place.operation_id or "", place.params, self.platform.clock.now())
        for delay in delays:
            await asyncio.sleep(min(delay.seconds, responses.LONGEST))
        if fault is None or fault.is_processed:
            answer = await self._process(incoming)
            if fault is not None and fault.kind in ("status", "html", "empty", "redirect"):
                answer = self._scripted(incoming, fault)
        else:
            answer = self._scripted(incoming, fault)
        answer.headers.setdefault("Date", http_date(self.platform.clock.shown()))
        answer.headers.setdefault("x-correlation-id", incoming.correlation_id)
        self._journal(incoming, answer, fault)
        if fault is None:
            return responses.response(answer)
        return await responses.send(incoming.request, answer, fault)

    def _scripted(self, incoming: Incoming, fault: Fault) -> Answer:
        return responses.scripted_answer(fault, incoming.operation.traits if incoming.operation else None)

    async def _process(self, incoming: Incoming) -> Answer:
        operation = incoming.operation
        if operation is None:
            return errors.no_such_resource()
        if operation.handler is None:
            return self._identify(incoming, operation)
        try:
            answer = await self._call(incoming, operation, operation.handler)
        except ApiError as error:
            answer = error.answer(old_gateway=self.platform.oddities.old_gateway_errors)
        if operation.method != "GET" and answer.status < 300:
            self.control.changed()
        answer.headers.setdefault("x-itwinplatform-media-type", "bentley.itwin-platform.v1")
        answer.headers.setdefault("x-itwinplatform-region", "East US")
        return answer

    def _identify(self, incoming: Incoming, operation: Operation) -> Answer:
        match operation.id:
            case "token":
                incoming.client_id, answer = self.desk.grant(incoming.request.headers, incoming.body, incoming.origin)
                return answer
            case "discovery":
                return oauth.discovery(incoming.origin)
            case _:
                return oauth.key_set()

    async def _call(self, incoming: Incoming, operation: Operation, handler: Handler) -> Answer:
        headers = incoming.request.headers
        client = self.desk.examine(headers.get("Authorization"))
        incoming.client_id = client.id
        self.limiter.check(client.id, client.tier, operation.api, operation.id, self.platform.clock.now())
        if not operation.any_version and not _acceptable(headers.get("Accept")):
            raise errors.not_acceptable()
        call = Call(
            platform=self.platform,
            client=client,
            traits=operation.traits,
            path=operation.template.format(**incoming.place.params),
            params=incoming.place.params,
            query=incoming.query,
            headers=headers,
            body=incoming.body,
            origin=incoming.origin,
        )
        slow = self.platform.oddities.slow_start if operation.starts_run else 0.0
        if not slow:
            with self.platform.lock:
                return handler(call)
        with self._claimed(incoming.place.params.get("connectionId", "")):
            await asyncio.sleep(min(slow, responses.LONGEST))
            with self.platform.lock:
                return handler(call)

    @contextmanager
    def _claimed(self, connection_id: str) -> Iterator[None]:
        connection = self.platform.connections.get(connection_id)
        if connection is None:
            yield
            return
        self.platform.claim_start(connection.imodel_id)
        try:
            yield
        finally:
            self.platform.release_start(connection.imodel_id)

    def _journal(self, incoming: Incoming, answer: Answer, fault: Fault | None) -> None:
        request = incoming.request
        headers = request.headers
        authorization = headers.get("Authorization")
        silent = fault is not None and fault.kind in ("reset-before", "reset-after", "hang")
        known = incoming.client_id or (
            self.desk.peek(authorization) if incoming.place.operation_id != "token" else None
        )
        host = headers.get("Host", "")
        params = incoming.place.params
        entry = JournalEntry(
            at=self.platform.clock.shown(),
            method=request.method,
            path=incoming.place.path,
            query=journaled_query(incoming.query),
            operation=incoming.place.operation_id,
            status=None if silent else answer.status,
            client_id=known,
            headers=journaled_headers(headers),
            host=host,
            authorized_host=host if authorization else None,
            body_size=len(incoming.body),
            correlation_id=incoming.correlation_id,
            connection_id=params.get("connectionId"),
            run_id=params.get("runId"),
            fault=None if fault is None else fault.kind,
            location=journaled_location(answer.headers.get("Location")),
        )
        self.journal.add(entry)


async def _read(request: BaseRequest) -> bytes:
    parts = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > BODY_LIMIT:
            raise ValueError("the body is too large")
        parts.append(part)
    return b"".join(parts)


def _acceptable(accept: str | None) -> bool:
    """Tell whether version 1 is among what the client takes; saying nothing means version 1."""
    if not accept:
        return True
    for one in accept.lower().split(","):
        media_type = one.partition(";")[0].strip()
        if media_type in ("*/*", "application/*", "application/json", errors.MEDIA_TYPE):
            return True
    return False
