"""The HTTP server: routes requests, checks tokens and rate limits, applies faults, and logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.api.json_cache import RunJsonCache
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import http_date
from itwin_emulator.domain.exceptions import StartInProgressError
from itwin_emulator.domain.store import Store
from itwin_emulator.http import cors, errors, oauth, sas, transport
from itwin_emulator.http.content_negotiation import choose_version
from itwin_emulator.http.errors import ApiError
from itwin_emulator.http.request_log import LoggedRequest, RequestLog, logged_headers, logged_location, logged_query
from itwin_emulator.http.responses import Response
from itwin_emulator.http.scopes import accepted_scopes
from itwin_emulator.spec.operations import Handler, Operation
from itwin_emulator.spec.router import Route, find_route

if TYPE_CHECKING:
    from itwin_emulator.admin.routes import ControlRoutes
    from itwin_emulator.http.blobs import BlobEndpoint
    from itwin_emulator.http.faults import Fault, FaultRegistry
    from itwin_emulator.http.oauth import TokenService
    from itwin_emulator.http.rate_limit import RateLimiter

BODY_LIMIT = 32 * 1024 * 1024
_CONTROL_PATHS = frozenset({"", "emulator", "favicon.ico", "openapi.json"})
_JOB_PARAMETERS = ("jobId", "transformationId", "extractionId")
_NO_QUERY: dict[str, str] = {}
_VALID_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


@dataclass(slots=True)
class Request:
    """A request, parsed."""

    raw: BaseRequest
    route: Route
    query: dict[str, str]
    body: bytes
    origin: str
    correlation_id: str
    client_id: str | None = None
    version: int = 1
    """The version of the API."""


@dataclass(slots=True)
class Server:
    """
    The request handler of the aiohttp server.

    :param control: handles the paths of the emulator itself
    :param blobs: handles uploads and downloads through pre-signed URLs
    :param get_url: returns the origin of the service, used if the Host header is invalid
    :param on_change: called after a request has changed the store
    """

    store: Store
    json_cache: RunJsonCache
    tokens: TokenService
    faults: FaultRegistry
    rate_limiter: RateLimiter
    request_log: RequestLog
    control: ControlRoutes
    blobs: BlobEndpoint
    get_url: Callable[[], str]
    on_change: Callable[[], None]

    async def __call__(self, raw: BaseRequest) -> web.StreamResponse:
        """Handle a request."""
        route = find_route(raw.method, raw.rel_url.raw_path)
        if cors.is_preflight(raw.method, raw.headers) and route.segments[0] not in _CONTROL_PATHS:
            return transport.to_aiohttp(cors.preflight(raw.headers))
        if route.segments[0] == sas.ROOT:
            # Their bodies are too large for the memory.
            return await self.blobs.handle(raw, route.segments)
        try:
            body = await _read(raw) if raw.body_exists else b""
        except ValueError:
            return web.Response(status=413)
        if route.segments[0] in _CONTROL_PATHS:
            return await self.control.handle(raw, route.segments, body)
        return await self._respond(self._parse(raw, route, body))

    def _parse(self, raw: BaseRequest, route: Route, body: bytes) -> Request:
        query = raw.rel_url.raw_query_string
        correlation_id = raw.headers.get("X-Correlation-Id", "")
        host = raw.headers.get("Host", "")
        return Request(
            raw=raw,
            route=route,
            query={name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
            if query
            else _NO_QUERY,
            body=body,
            origin=f"http://{host}" if _VALID_HOST.fullmatch(host) else self.get_url(),
            correlation_id=correlation_id if correlation_id and ids.is_valid(correlation_id) else ids.guid(),
        )

    async def _respond(self, request: Request) -> web.StreamResponse:
        route = request.route
        delays, fault = self.faults.take(route.operation_id or "", route.params, self.store.clock.now())
        for delay in delays:
            await asyncio.sleep(min(delay.seconds, transport.MAX_SECONDS))
        if fault is None or fault.is_processed:
            response = await self._process(request)
            if fault is not None and fault.kind in ("status", "html", "empty", "redirect"):
                response = _scripted(request, fault)
        else:
            response = _scripted(request, fault)
        response.headers.setdefault("Date", http_date(self.store.clock.service_time()))
        response.headers.setdefault("x-correlation-id", request.correlation_id)
        cors.allow(response.headers, request.raw.headers)
        self._log(request, response, fault)
        if fault is None:
            return transport.to_aiohttp(response)
        return await transport.send(request.raw, response, fault)

    async def _process(self, request: Request) -> Response:
        operation = request.route.operation
        if operation is None:
            return _no_operation(request)
        if operation.handler is None:
            return self._process_identity(request, operation)
        try:
            response = await self._call(request, operation, operation.handler)
        except ApiError as error:
            response = error.to_response(old_gateway=self.store.quirks.old_gateway_errors)
        if operation.method != "GET" and response.status < 300:
            self.on_change()
        response.headers.setdefault("x-itwinplatform-media-type", f"bentley.itwin-platform.v{request.version}")
        response.headers.setdefault("x-itwinplatform-region", "East US")
        return response

    def _process_identity(self, request: Request, operation: Operation) -> Response:
        match operation.id:
            case "token":
                request.client_id, response = self.tokens.grant(request.raw.headers, request.body, request.origin)
                return response
            case "discovery":
                return oauth.discovery(request.origin)
            case _:
                return oauth.key_set()

    async def _call(self, request: Request, operation: Operation, handler: Handler) -> Response:
        headers = request.raw.headers
        client = self.tokens.authenticate(
            headers.get("Authorization"), accepted_scopes(operation.api, operation.method)
        )
        request.client_id = client.id
        now, code = self.store.clock.now(), operation.rate_limit_code
        self.rate_limiter.check(client.id, client.tier, operation.api, operation.id, now, code)
        version = choose_version(headers.get("Accept"), operation.versions)
        if version is None:
            raise errors.not_acceptable()
        request.version = version
        params = request.route.params
        api_request = ApiRequest(
            store=self.store,
            json_cache=self.json_cache,
            client=client,
            traits=operation.traits,
            path=operation.template.format(**params),
            params=params,
            query=request.query,
            prefer=", ".join(headers.getall("Prefer", ())),
            body=request.body,
            origin=request.origin,
            version=version,
            headers=headers,
        )
        delay = self.store.quirks.slow_start if operation.starts_run else 0.0
        if not delay:
            with self.store.lock:
                return handler(api_request)
        connection = self.store.connections.get(params.get("connectionId", ""))
        try:
            with nullcontext() if connection is None else self.store.start_in_progress(connection.imodel_id):
                await asyncio.sleep(min(delay, transport.MAX_SECONDS))
                with self.store.lock:
                    return handler(api_request)
        except StartInProgressError as error:
            raise errors.conflicting_start(self.store.quirks.conflict_code) from error

    def _log(self, request: Request, response: Response, fault: Fault | None) -> None:
        headers = request.raw.headers
        route = request.route
        authorization = headers.get("Authorization")
        no_response = fault is not None and fault.kind in ("reset-before", "reset-after", "hang")
        client_id = request.client_id
        if client_id is None and route.operation_id != "token":
            client_id = self.tokens.peek(authorization)
        host = headers.get("Host", "")
        entry = LoggedRequest(
            at=self.store.clock.service_time(),
            method=request.raw.method,
            path=route.path,
            query=logged_query(request.query),
            operation=route.operation_id,
            status=None if no_response else response.status,
            client_id=client_id,
            headers=logged_headers(headers),
            host=host,
            authorized_host=host if authorization else None,
            body_size=len(request.body),
            correlation_id=request.correlation_id,
            connection_id=route.params.get("connectionId"),
            run_id=route.params.get("runId"),
            job_id=next((route.params[name] for name in _JOB_PARAMETERS if name in route.params), None),
            fault=None if fault is None else fault.kind,
            location=logged_location(response.headers.get("Location")),
        )
        self.request_log.add(entry)


def _no_operation(request: Request) -> Response:
    route, method = request.route, request.raw.method
    if route.not_emulated is not None:
        return errors.not_emulated(f"{route.not_emulated} ({method} {route.path})").to_response()
    return errors.unknown_path(method, route.path).to_response()


def _scripted(request: Request, fault: Fault) -> Response:
    operation = request.route.operation
    if operation is None:
        return transport.scripted_response(fault, None)
    return transport.scripted_response(fault, operation.traits, operation.rate_limit_code, operation.missing)


async def _read(raw: BaseRequest) -> bytes:
    parts = []
    size = 0
    async for part in raw.content.iter_any():
        size += len(part)
        if size > BODY_LIMIT:
            raise ValueError("the body is too large")
        parts.append(part)
    return b"".join(parts)
