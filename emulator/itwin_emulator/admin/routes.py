"""
The emulator's own interface over HTTP, under ``/emulator``: what the real service does not have.

GET    /emulator                  settings, oddities, faults that wait, connections
GET    /emulator/watch            what the web page shows: connections, their newest runs, the newest requests
GET    /emulator/journal          the requests so far; ?operation=ID, ?since=EPOCH_SECONDS, ?limit=1000
DELETE /emulator/journal          forget them
POST   /emulator/clients          add a service client: client_id, client_secret, roles {itwin: role}, scopes, registered
POST   /emulator/clients/role     invite a client to an iTwin: client_id, itwin_id, role (null takes it away)
POST   /emulator/clients/sign-in  store the sign-in for User connections: client_id, signed_in
POST   /emulator/itwins           add an iTwin: itwin_id, display_name
POST   /emulator/imodels          add an iModel: imodel_id, itwin_id, display_name
POST   /emulator/connections      add a connection: kind, connection_id, imodel_id, display_name, files ...
GET    /emulator/runs             runs as the API would show them; ?connection_id=ID for one connection's, ?limit=1000
POST   /emulator/runs             start a run as somebody else would: connection_id
POST   /emulator/runs/finish      end a run now: connection_id, run_id (null: the newest), result
POST   /emulator/plans            how the next runs go: connection_id, result, duration, times, failing, warnings ...
POST   /emulator/faults           script a fault: operation, times, kind, status, headers, body, seconds, lasting ...
DELETE /emulator/faults           heal: drop the faults that wait
POST   /emulator/oddities         switch oddities: {"canceled_spelling": "Cancelled"}
DELETE /emulator/oddities         switch all off
POST   /emulator/tier             limit the rate of requests: tier (null: no limit), code of the 429
POST   /emulator/revoke-tokens    make every token issued so far worthless

The API that is emulated is described at ``/openapi.json`` (OpenAPI 3.0), for code generators and the like.

Bodies are JSON (``Content-Type: application/json``) with the parameters of the ``Emulator`` method of the same meaning, in
snake_case or camelCase. Nothing here needs a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.web_request import BaseRequest

from itwin_emulator.admin import page, validation
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.http.faults import Fault
from itwin_emulator.spec import openapi

if TYPE_CHECKING:
    from itwin_emulator.emulator import Emulator

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
Route = Callable[[dict[str, str], dict[str, Any]], Any]


class Control:
    """Answers requests under ``/emulator``, and for the web page."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", ""): lambda query, data: emulator.overview(),
            ("GET", "watch"): lambda query, data: emulator.watch(),
            ("GET", "journal"): self._journal,
            ("DELETE", "journal"): lambda query, data: emulator.journal.clear(),
            ("POST", "clients"): self._add_client,
            ("POST", "clients/role"): self._call(emulator.give_role),
            ("POST", "clients/sign-in"): self._call(emulator.sign_in),
            ("POST", "itwins"): self._call(emulator.add_itwin, "iTwinId"),
            ("POST", "imodels"): self._call(emulator.add_imodel, "iModelId"),
            ("POST", "connections"): self._call(emulator.add_connection, "connectionId"),
            ("GET", "runs"): self._runs,
            ("POST", "runs"): self._call(emulator.start_run, "runId"),
            ("POST", "runs/finish"): self._call(emulator.finish_run),
            ("POST", "plans"): self._call(emulator.plan_run, where="plan"),
            ("POST", "faults"): lambda query, data: emulator.script(validation.build(Fault, data, "fault")),
            ("DELETE", "faults"): lambda query, data: {"healed": emulator.heal(query.get("operation"))},
            ("POST", "oddities"): self._switch,
            ("DELETE", "oddities"): self._switch_off,
            ("POST", "tier"): self._call(emulator.use_tier),
            ("POST", "revoke-tokens"): self._call(emulator.revoke_tokens),
        }

    @property
    def url(self) -> str:
        """Origin of the service."""
        return self._emulator.url

    async def answer(self, request: BaseRequest, segments: tuple[str, ...], body: bytes) -> web.StreamResponse:
        """Answer a request."""
        if not self._is_local(request):
            # A page on the Internet can make a browser send requests here, even under a name of its own (DNS rebinding).
            return _json({"error": "The emulator answers to pages of its own, under a name of this machine."}, 403)
        if segments == ("openapi.json",) and request.method in ("GET", "HEAD"):
            return web.Response(
                body=openapi.encoded_description(self.url), headers={"Content-Type": "application/json"}
            )
        file = page.find(request.method, segments)
        if file is not None:
            return web.Response(body=file.body, headers=file.headers)
        route = self._routes.get((request.method, "/".join(segments[1:]))) if segments[0] == "emulator" else None
        if route is None:
            return _json({"error": f"Nothing here: {request.method} {request.path}. See itwin-emulator --help."}, 404)
        try:
            data = _data(request, body)
            query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
            answer = route(query, data)
        except LookupError as error:
            return _json({"error": str(error.args[0] if error.args else error)}, 404)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 422)
        return _json({} if answer is None else answer)

    def changed(self) -> None:
        """Hear that a request has changed something."""
        self._emulator.changed()

    def _call(self, method: Callable[..., Any], name: str | None = None, where: str = "body") -> Route:
        """Make a route that calls a method with what the body says, and gives back its result under a name."""

        def route(query: dict[str, str], data: dict[str, Any]) -> Any:
            result = method(**validation.arguments(method, data, where))
            return None if name is None else {name: result}

        return route

    def _is_local(self, request: BaseRequest) -> bool:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        try:
            if origin is not None and urlsplit(origin).netloc != host:
                return False
            return not self._emulator.loopback_only or urlsplit(f"//{host}").hostname in LOCAL_NAMES
        except ValueError:
            return False

    def _journal(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        entries = self._emulator.journal.snapshot()
        if "operation" in query:
            entries = [entry for entry in entries if entry.operation == query["operation"]]
        if "since" in query:
            entries = [entry for entry in entries if entry.at >= float(query["since"])]
        limit = int(query.get("limit", "1000"))
        return {"entries": [entry.as_dict() for entry in entries[-limit:]] if limit > 0 else []}

    def _add_client(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        add = self._emulator.add_client
        client_id, secret = add(**validation.arguments(add, data, "client"))
        # A secret that the caller named is not told back; one that was made up has to be told once.
        return {"clientId": client_id} | ({} if data.get("client_secret") else {"clientSecret": secret})

    def _runs(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        connection_id = query.get("connection_id") or query.get("connectionId")
        limit = int(query.get("limit", "1000"))
        return {"runs": self._emulator.newest_runs(limit, connection_id)}

    def _switch(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        wanted = validation.build(Oddities, data, "oddities")
        for name in data:
            setattr(self._emulator.oddities, name, getattr(wanted, name))
        self._emulator.changed()
        return asdict(self._emulator.oddities)

    def _switch_off(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.oddities.reset()
        self._emulator.changed()
        return asdict(self._emulator.oddities)


def _data(request: BaseRequest, body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        # A form on any web page may post text/plain to loopback; it may not post JSON.
        raise SchemaError("the body must be JSON, with Content-Type application/json")
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise SchemaError("the body is nested too deeply") from error
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
