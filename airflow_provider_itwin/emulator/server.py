"""The emulator as an HTTP server: from the request to the operation, and what stands between them at a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from aiohttp.web_request import BaseRequest

from airflow_provider_itwin.emulator import answers, identifiers, sending, tokens
from airflow_provider_itwin.emulator.answers import Answer, ApiError
from airflow_provider_itwin.emulator.calls import Call
from airflow_provider_itwin.emulator.clock import http_date
from airflow_provider_itwin.emulator.journal import Journal, JournalEntry, journaled_query
from airflow_provider_itwin.emulator.operations import ROUTER, Operation
from airflow_provider_itwin.emulator.platform import Platform

if TYPE_CHECKING:
    from airflow_provider_itwin.emulator.control import Control
    from airflow_provider_itwin.emulator.faults import Fault, FaultBox
    from airflow_provider_itwin.emulator.limits import RateLimiter
    from airflow_provider_itwin.emulator.tokens import TokenDesk

BODY_LIMIT = 32 * 1024 * 1024
_JOURNALED_HEADERS = ("Accept", "Prefer", "Content-Type", "User-Agent", "X-Correlation-Id")
_IDENTITY_PATHS: dict[tuple[str, tuple[str, ...]], str] = {
    ("POST", ("connect", "token")): "token",
    ("GET", (".well-known", "openid-configuration")): "discovery",
}


@dataclass(slots=True)
class Incoming:
    """A request, taken apart."""

    request: BaseRequest
    segments: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    origin: str
    correlation_id: str
    operation: Operation | None = None
    operation_id: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    client_id: str | None = None


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
        segments = tuple(unquote(part) for part in request.rel_url.raw_path.strip("/").split("/"))
        try:
            body = await _read(request)
        except ValueError:
            return web.Response(status=413)
        if segments[0] in ("", "emulator", "favicon.ico"):
            return await self.control.answer(request, segments, body)
        incoming = _take_apart(request, segments, body)
        self._recognize(incoming)
        return await self._answer(incoming)

    def _recognize(self, incoming: Incoming) -> None:
        method = incoming.request.method
        identity = _IDENTITY_PATHS.get((method, tuple(part.lower() for part in incoming.segments)))
        if identity is not None:
            incoming.operation_id = identity
            return
        found = ROUTER.find(method, incoming.segments)
        if found is not None:
            incoming.operation, incoming.params = found
            incoming.operation_id = incoming.operation.id

    async def _answer(self, incoming: Incoming) -> web.StreamResponse:
        delays, fault = self.faults.take(incoming.operation_id or "", incoming.params, self.platform.clock.now())
        for delay in delays:
            await asyncio.sleep(min(delay.seconds, sending.LONGEST))
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
            return sending.response(answer)
        return await sending.send(incoming.request, answer, fault)

    def _scripted(self, incoming: Incoming, fault: Fault) -> Answer:
        return sending.scripted_answer(fault, incoming.operation.traits if incoming.operation else None)

    async def _process(self, incoming: Incoming) -> Answer:
        if incoming.operation_id == "token":
            incoming.client_id, answer = self.desk.grant(incoming.request.headers, incoming.body, incoming.origin)
            return answer
        if incoming.operation_id == "discovery":
            return tokens.discovery(incoming.origin)
        if incoming.operation is None:
            return answers.no_such_resource()
        try:
            answer = await self._call(incoming, incoming.operation)
        except ApiError as error:
            answer = error.answer(old_gateway=self.platform.oddities.old_gateway_errors)
        if incoming.request.method != "GET" and answer.status < 300:
            self.control.changed()
        answer.headers.setdefault("x-itwinplatform-media-type", "bentley.itwin-platform.v1")
        answer.headers.setdefault("x-itwinplatform-region", "East US")
        return answer

    async def _call(self, incoming: Incoming, operation: Operation) -> Answer:
        headers = incoming.request.headers
        client = self.desk.examine(headers.get("Authorization"))
        incoming.client_id = client.id
        self.limiter.check(client.id, client.tier, operation.api, operation.id, self.platform.clock.now())
        if not operation.any_version and not _acceptable(headers.get("Accept")):
            raise answers.not_acceptable()
        call = Call(
            platform=self.platform,
            client=client,
            traits=operation.traits,
            path=operation.template.format(**incoming.params),
            params=incoming.params,
            query=incoming.query,
            headers=headers,
            body=incoming.body,
            origin=incoming.origin,
        )
        slow = self.platform.oddities.slow_start if operation.starts_run else 0.0
        if not slow:
            with self.platform.lock:
                return operation.handler(call)
        with self._claimed(incoming.params.get("connectionId", "")):
            await asyncio.sleep(min(slow, sending.LONGEST))
            with self.platform.lock:
                return operation.handler(call)

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
        known = incoming.client_id or (self.desk.peek(authorization) if incoming.operation_id != "token" else None)
        entry = JournalEntry(
            at=self.platform.clock.shown(),
            method=request.method,
            path="/" + "/".join(incoming.segments),
            query=journaled_query(incoming.query),
            operation=incoming.operation_id,
            status=None if silent else answer.status,
            client_id=known,
            headers={name.lower(): headers[name] for name in _JOURNALED_HEADERS if name in headers},
            host=headers.get("Host", ""),
            authorized_host=headers.get("Host", "") if authorization else None,
            body_size=len(incoming.body),
            correlation_id=incoming.correlation_id,
            connection_id=incoming.params.get("connectionId"),
            run_id=incoming.params.get("runId"),
            fault=None if fault is None else fault.kind,
            location=answer.headers.get("Location"),
        )
        self.journal.add(entry)


def _take_apart(request: BaseRequest, segments: tuple[str, ...], body: bytes) -> Incoming:
    pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    given = request.headers.get("X-Correlation-Id", "")
    return Incoming(
        request=request,
        segments=segments,
        query={name.lower(): value for name, value in pairs},
        body=body,
        origin=f"http://{request.headers.get('Host') or request.host}",
        correlation_id=given if identifiers.is_sound(given) else identifiers.guid(),
    )


async def _read(request: BaseRequest) -> bytes:
    if not request.body_exists:
        return b""
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
        if media_type in ("*/*", "application/*", "application/json", answers.MEDIA_TYPE):
            return True
    return False
