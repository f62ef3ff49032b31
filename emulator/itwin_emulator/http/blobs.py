"""
The blob endpoint: uploads and downloads through pre-signed URLs, as Azure Blob Storage does them.

It needs no token. A request that has one is rejected and marked in the request log, because tokens must not be sent there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import http_date
from itwin_emulator.domain.store import Store
from itwin_emulator.http import blob_transfer, cors, sas, transport
from itwin_emulator.http.blob_downloads import BlobDownloads
from itwin_emulator.http.blob_errors import XML, BlobError
from itwin_emulator.http.blob_request import BlobRequest
from itwin_emulator.http.blob_transfer import ConnectionCutError, Download, UploadEndedError
from itwin_emulator.http.blob_uploads import BlobUploads
from itwin_emulator.http.faults import Fault, FaultRegistry
from itwin_emulator.http.request_log import LoggedRequest, RequestLog, logged_headers, logged_query
from itwin_emulator.http.responses import Response

OPERATIONS: dict[tuple[str, str], str] = {
    ("PUT", ""): "put-blob",
    ("PUT", "block"): "put-block",
    ("PUT", "blocklist"): "put-block-list",
    ("GET", ""): "get-blob",
    ("GET", "blocklist"): "get-block-list",
    ("HEAD", ""): "get-blob-properties",
}
"""Ids of the operations by method and the parameter ``comp``, for faults and the request log."""
_DEFAULT_VERSION = "2024-11-04"
_Reply = Response | Download


@dataclass(slots=True)
class BlobEndpoint:
    """
    Handles requests to blobs.

    :param on_change: called after an upload has changed the store
    """

    store: Store
    faults: FaultRegistry
    request_log: RequestLog
    on_change: Callable[[], None]

    @property
    def _uploads(self) -> BlobUploads:
        return BlobUploads(self.store, self.on_change)

    @property
    def _downloads(self) -> BlobDownloads:
        return BlobDownloads(self.store)

    async def handle(self, raw: BaseRequest, segments: tuple[str, ...]) -> web.StreamResponse:
        """Handle a request; ``segments`` are those of its path."""
        pairs = parse_qsl(raw.rel_url.raw_query_string, keep_blank_values=True)
        query = {name.lower(): value for name, value in pairs}
        itwin_id, blob_id = segments[1:] if len(segments) == 3 else ("", "")
        operation = OPERATIONS.get((raw.method, query.get("comp", "")))
        request = BlobRequest(raw, operation, itwin_id, blob_id, query, ids.guid())
        delays, request.fault = self.faults.take(operation or "", {}, self.store.clock.now())
        for delay in delays:
            await asyncio.sleep(min(delay.seconds, transport.MAX_SECONDS))
        reply = await self._reply(request)
        if reply is None:
            self._log(request, None)
            return transport.reset(raw)
        self._add_headers(request, reply)
        self._log(request, reply.status)
        if isinstance(reply, Download):
            try:
                return await blob_transfer.send(raw, reply, self.store.storage.folder, request.fault)
            except FileNotFoundError:
                # Another content has replaced it since.
                gone = BlobError("BlobNotFound").to_response(request.id, self.store.clock.service_time())
                return transport.to_aiohttp(gone)
        if raw.method == "HEAD":
            reply.body = None
        return transport.to_aiohttp(reply) if request.fault is None else await transport.send(raw, reply, request.fault)

    async def _reply(self, request: BlobRequest) -> _Reply | None:
        """Return the response, or None to reset the connection."""
        fault = request.fault
        try:
            if fault is not None and not fault.is_processed:
                return await self._scripted(request, fault)
            reply = await self._process(request)
            if fault is not None and fault.kind in ("status", "html", "empty", "redirect"):
                reply = await self._scripted(request, fault)
        except BlobError as error:
            reply = error.to_response(request.id, self.store.clock.service_time())
            if error.code == "InvalidRange":
                reply.headers["Content-Range"] = f"bytes */{error.details['Size']}"
        except (ConnectionCutError, UploadEndedError):
            return None
        try:
            request.body_size += await blob_transfer.drain(request.raw)
        except UploadEndedError:
            return None
        return reply

    async def _scripted(self, request: BlobRequest, fault: Fault) -> Response:
        if fault.kind not in ("reset-before", "hang"):
            request.body_size += await blob_transfer.drain(request.raw)
        if fault.kind == "status" and fault.body is None:
            status = fault.status or 503
            code = {403: "AuthenticationFailed", 404: "BlobNotFound", 500: "InternalError", 503: "ServerBusy"}
            body = f"<Error><Code>{code.get(status, 'OperationTimedOut')}</Code><Message>Scripted.</Message></Error>"
            return Response(status, body, {"Content-Type": XML} | fault.headers)
        return transport.scripted_response(fault, None)

    async def _process(self, request: BlobRequest) -> _Reply:
        self._authorize(request)
        match request.operation:
            case "put-blob":
                return await self._uploads.put_blob(request)
            case "put-block":
                return await self._uploads.put_block(request)
            case "put-block-list":
                return await self._uploads.put_block_list(request)
            case "get-block-list":
                return self._downloads.get_block_list(request)
            case _:
                return await self._downloads.get_blob(request)

    def _authorize(self, request: BlobRequest) -> None:
        if request.header("Authorization") is not None:
            raise BlobError(
                "AuthenticationFailed", AuthenticationErrorDetail="A pre-signed URL must be used without a token."
            )
        if request.operation is None:
            raise BlobError("UnsupportedHttpVerb" if "comp" not in request.query else "InvalidQueryParameterValue")
        if not request.blob_id:
            raise BlobError("ResourceNotFound")
        needed: sas.Permission = "w" if request.operation.startswith("put") else "r"
        now = self.store.clock.service_time()
        key = self.store.storage.key
        match sas.find_problem(key, request.itwin_id, request.blob_id, request.query, needed, now):
            case "signature":
                raise BlobError("AuthenticationFailed", AuthenticationErrorDetail="Signature did not match.")
            case "expired":
                detail = f"Signature not valid in the specified time frame: Expiry [{request.query['se']}]"
                raise BlobError("AuthenticationFailed", AuthenticationErrorDetail=detail)
            case "permission":
                raise BlobError("AuthorizationPermissionMismatch")

    # Headers and the log

    def _add_headers(self, request: BlobRequest, reply: _Reply) -> None:
        reply.headers.setdefault("Date", http_date(self.store.clock.service_time()))
        reply.headers.setdefault("Server", "Windows-Azure-Blob/1.0 (emulated)")
        reply.headers["x-ms-request-id"] = request.id
        cors.allow(reply.headers, request.raw.headers)
        reply.headers["x-ms-version"] = request.header("x-ms-version") or _DEFAULT_VERSION
        client_request_id = request.header("x-ms-client-request-id")
        if client_request_id is not None and ids.is_valid(client_request_id):
            reply.headers["x-ms-client-request-id"] = client_request_id

    def _log(self, request: BlobRequest, status: int | None) -> None:
        raw, fault = request.raw, request.fault
        no_response = fault is not None and fault.kind in ("reset-before", "reset-after", "hang")
        token = raw.headers.get("Authorization")
        host = raw.headers.get("Host", "")
        entry = LoggedRequest(
            at=self.store.clock.service_time(),
            method=raw.method,
            path=f"/{sas.ROOT}/{request.itwin_id}/{request.blob_id}",
            query=logged_query(request.query),
            operation=request.operation,
            status=None if no_response else status,
            client_id=None,
            headers=logged_headers(raw.headers),
            host=host,
            authorized_host=host if token else None,
            body_size=request.body_size,
            correlation_id=request.id,
            fault=None if fault is None else fault.kind,
            token_leaked=bool(token),
        )
        self.request_log.add(entry)
