"""
The control API: the HTTP interface of the emulator itself, under ``/emulator``.

GET    /emulator                  settings, quirks, faults, clients, connections
GET    /emulator/dashboard        data of the web page: connections, their newest runs, the newest requests
GET    /emulator/requests         the request log; ?operation=ID, ?since=EPOCH_SECONDS, ?limit=1000
GET    /emulator/leaks            requests that sent a token to a pre-signed URL: count, entries
DELETE /emulator/requests         clear the request log
POST   /emulator/clients          add a service client: client_id, client_secret, roles {itwin: role}, scopes, registered
POST   /emulator/clients/role     set the role of a client: client_id, itwin_id, role (null: no role)
POST   /emulator/clients/sign-in  store the sign-in for User connections: client_id, signed_in
POST   /emulator/itwins           add an iTwin: itwin_id, display_name
POST   /emulator/imodels          add an iModel: imodel_id, itwin_id, display_name
POST   /emulator/connections      add a connection: kind, connection_id, imodel_id, display_name, files ...
GET    /emulator/storage/files    files in Storage: id, iTwinId, path, size, digest
POST   /emulator/storage/files    add a file to Storage: itwin_id, path, text or size, file_id, description
POST   /emulator/storage/content  change the content of a file: file_id, text or size
POST   /emulator/storage/folders  add folders to Storage: itwin_id, path
GET    /emulator/runs             runs in the format of the API; ?connection_id=ID for one connection, ?limit=1000
POST   /emulator/runs             start a run as another client would: connection_id
POST   /emulator/runs/finish      end a run now: connection_id, run_id (null: the newest), result
POST   /emulator/plans            plan the next runs: connection_id, result, duration, times, failing, warnings ...
GET    /emulator/changesets       changesets of an iModel in the format of the API; ?imodel_id=ID
POST   /emulator/changesets       push changesets as another program would: imodel_id, count, creator, description
GET    /emulator/named-versions   named versions of an iModel in the format of the API; ?imodel_id=ID
POST   /emulator/named-versions   add a named version: imodel_id, name, changeset (id or index; null: the newest)
GET    /emulator/jobs             jobs of all kinds in one shape; ?kind=KIND
POST   /emulator/jobs/plans       plan the next jobs: kind, outcome, duration, times, subject, progress, error, messages, states
POST   /emulator/jobs/finish      end a job now: job_id, outcome (null: the planned one)
POST   /emulator/configurations   add a configuration of transformations: source_imodel_id, target_imodel_id, configuration_id
POST   /emulator/faults           script a fault: operation, times, kind, status, headers, body, seconds, lasting ...
DELETE /emulator/faults           remove faults; ?operation=ID for those of one operation
POST   /emulator/quirks           switch quirks: {"canceled_spelling": "Cancelled"}
DELETE /emulator/quirks           switch all quirks off
POST   /emulator/tier             set the rate limit: tier (null: no limit), code of the 429 (null: the documented one)
POST   /emulator/revoke-tokens    invalidate all tokens issued so far

Bodies are JSON (``Content-Type: application/json``) with the parameters of the method of ``Controls`` with the same purpose, in
snake_case or camelCase. The control API needs no token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.admin import dashboard, validation
from itwin_emulator.admin.controls import Controls
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain.job_kinds import JobKindName
from itwin_emulator.http.faults import Fault
from itwin_emulator.spec import openapi

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
Handler = Callable[[dict[str, str], dict[str, Any]], Any]


class ControlRoutes:
    """
    Handles requests to the control API, the dashboard and the OpenAPI document.

    :param controls: the controls of the emulator
    :param loopback_only: whether the emulator listens on loopback; requests must then use a loopback name in the Host header
    """

    def __init__(self, controls: Controls, *, loopback_only: bool) -> None:
        self._controls = controls
        self._loopback_only = loopback_only
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", ""): lambda query, data: controls.overview(),
            ("GET", "dashboard"): lambda query, data: controls.dashboard(),
            ("GET", "requests"): self._requests,
            ("GET", "leaks"): self._leaks,
            ("DELETE", "requests"): lambda query, data: controls.request_log.clear(),
            ("POST", "clients"): self._add_client,
            ("POST", "clients/role"): _call(controls.set_role),
            ("POST", "clients/sign-in"): _call(controls.sign_in),
            ("POST", "itwins"): _call(controls.add_itwin, "iTwinId"),
            ("POST", "imodels"): _call(controls.add_imodel, "iModelId"),
            ("POST", "connections"): _call(controls.add_connection, "connectionId"),
            ("GET", "storage/files"): lambda query, data: {"files": controls.storage.stored_files()},
            ("POST", "storage/files"): _call(controls.storage.add_file, "fileId"),
            ("POST", "storage/content"): _call(controls.storage.set_file_content),
            ("POST", "storage/folders"): _call(controls.storage.add_folder, "folderId"),
            ("GET", "runs"): self._runs,
            ("POST", "runs"): _call(controls.start_run, "runId"),
            ("POST", "runs/finish"): _call(controls.finish_run),
            ("POST", "plans"): _call(controls.plan_run, where="plan"),
            ("GET", "changesets"): lambda query, data: {"changesets": controls.imodels.changesets(_imodel_id(query))},
            ("POST", "changesets"): _call(controls.imodels.push_changesets, "changesetIds"),
            ("GET", "named-versions"): lambda query, data: {
                "namedVersions": controls.imodels.named_versions(_imodel_id(query))
            },
            ("POST", "named-versions"): _call(controls.imodels.add_named_version, "namedVersionId"),
            ("GET", "jobs"): self._jobs,
            ("POST", "jobs/plans"): _call(controls.jobs.plan_job, where="plan"),
            ("POST", "jobs/finish"): _call(controls.jobs.finish_job),
            ("POST", "configurations"): _call(controls.jobs.add_configuration, "configurationId"),
            ("POST", "faults"): lambda query, data: controls.add_fault(validation.build(Fault, data, "fault")),
            ("DELETE", "faults"): lambda query, data: {"cleared": controls.clear_faults(query.get("operation"))},
            ("POST", "quirks"): lambda query, data: asdict(controls.set_quirks(data)),
            ("DELETE", "quirks"): lambda query, data: asdict(controls.reset_quirks()),
            ("POST", "tier"): _call(controls.set_tier),
            ("POST", "revoke-tokens"): _call(controls.revoke_tokens),
        }

    async def handle(self, request: BaseRequest, segments: tuple[str, ...], body: bytes) -> web.StreamResponse:
        """Handle a request; ``segments`` are those of its path."""
        if not self._is_allowed(request):
            # A web page can make a browser send requests to loopback, even under its own host name (DNS rebinding).
            return _json({"error": "Forbidden: the Origin or Host header is not the address of the emulator."}, 403)
        if segments == ("openapi.json",) and request.method in ("GET", "HEAD"):
            document = openapi.openapi_json(self._controls.get_url())
            return web.Response(body=document, headers={"Content-Type": "application/json"})
        file = dashboard.find_file(request.method, segments)
        if file is not None:
            return web.Response(body=file.body, headers=file.headers)
        handler = self._routes.get((request.method, "/".join(segments[1:]))) if segments[0] == "emulator" else None
        if handler is None:
            return _json({"error": f"Not found: {request.method} {request.path}. See itwin-emulator --help."}, 404)
        try:
            data = _data(request, body)
            query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
            result = handler(query, data)
        except LookupError as error:
            return _json({"error": str(error.args[0] if error.args else error)}, 404)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 422)
        return _json({} if result is None else result)

    def _is_allowed(self, request: BaseRequest) -> bool:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        try:
            if origin is not None and urlsplit(origin).netloc != host:
                return False
            return not self._loopback_only or urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
        except ValueError:
            return False

    def _requests(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        entries = self._controls.request_log.snapshot()
        if "operation" in query:
            entries = [entry for entry in entries if entry.operation == query["operation"]]
        if "since" in query:
            entries = [entry for entry in entries if entry.at >= float(query["since"])]
        limit = int(query.get("limit", "1000"))
        return {"entries": [entry.as_dict() for entry in entries[-limit:]] if limit > 0 else []}

    def _leaks(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        leaks = self._controls.token_leaks()
        return {"count": len(leaks), "entries": [entry.as_dict() for entry in leaks]}

    def _add_client(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        add = self._controls.add_client
        client_id, secret = add(**validation.arguments(add, data, "client"))
        # Only a generated secret is returned.
        return {"clientId": client_id} | ({} if data.get("client_secret") else {"clientSecret": secret})

    def _runs(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        connection_id = query.get("connection_id") or query.get("connectionId")
        limit = int(query.get("limit", "1000"))
        return {"runs": self._controls.newest_runs(limit, connection_id)}

    def _jobs(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        kind = query.get("kind")
        if kind is not None:
            kind = validation.convert(JobKindName, kind, "kind")
        return {"jobs": self._controls.jobs.jobs(kind)}


def _imodel_id(query: Mapping[str, str]) -> str:
    imodel_id = query.get("imodel_id") or query.get("iModelId")
    if imodel_id is None:
        raise SchemaError("the query parameter imodel_id is missing")
    return imodel_id


def _call(method: Callable[..., Any], name: str | None = None, where: str = "body") -> Handler:
    """Return a handler that calls a method with the parameters in the body, and returns its result under a name."""

    def handler(query: dict[str, str], data: dict[str, Any]) -> Any:
        result = method(**validation.arguments(method, data, where))
        return None if name is None else {name: result}

    return handler


def _data(request: BaseRequest, body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        # A form on any web page can post text/plain to loopback, but not JSON.
        raise SchemaError("the body must be JSON, with Content-Type application/json")
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise SchemaError("the body has too many nested levels") from error
    if not isinstance(data, dict):
        raise SchemaError("the body must be a JSON object")
    return _snake(data)


def _snake(data: Mapping[str, Any]) -> dict[str, Any]:
    return {validation.snake(name): value for name, value in data.items()}


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(data, default=str).encode() + b"\n",
        headers={"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"},
    )
