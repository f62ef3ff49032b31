"""
The emulator's own interface over HTTP, under ``/emulator``: what the real service does not have.

====== =========================== ==================================================================================
GET    /emulator                   what there is: settings, oddities, faults that wait, connections
GET    /emulator/journal           the requests so far; ``?operation=...``, ``?since=`` (epoch seconds), ``?limit=``
DELETE /emulator/journal           forget them
POST   /emulator/connections       add a connection: ``kind``, and as for ``Emulator.add_connection``
GET    /emulator/runs              runs as the API would show them; ``?connection_id=...`` for one connection's
POST   /emulator/runs              start a run as somebody else would: ``connection_id``
POST   /emulator/runs/finish       end a run now: ``connection_id``, ``run_id``, ``result``
POST   /emulator/plans             how the next runs go: ``connection_id``, and as for ``Emulator.plan_run``
POST   /emulator/faults            script a fault: as for ``Emulator.fail``
DELETE /emulator/faults            heal: drop the faults that wait (also ``POST /emulator/heal``)
POST   /emulator/oddities          switch oddities: ``{"canceled_spelling": "Cancelled"}``
DELETE /emulator/oddities          switch all off
POST   /emulator/revoke-tokens     make every token issued so far worthless
====== =========================== ==================================================================================

Bodies are JSON (``Content-Type: application/json``), names in snake_case or camelCase. Nothing here needs a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.web_request import BaseRequest

from airflow_provider_itwin.emulator import schema
from airflow_provider_itwin.emulator.faults import Fault
from airflow_provider_itwin.emulator.oddities import Oddities
from airflow_provider_itwin.emulator.schema import SchemaError

if TYPE_CHECKING:
    from airflow_provider_itwin.emulator.core import Emulator

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Control:
    """Answers requests under ``/emulator``."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._routes: dict[tuple[str, str], Callable[[dict[str, str], dict[str, Any]], Any]] = {
            ("GET", ""): self._overview,
            ("GET", "journal"): self._journal,
            ("DELETE", "journal"): self._clear_journal,
            ("POST", "connections"): self._add_connection,
            ("GET", "runs"): self._runs,
            ("POST", "runs"): self._start_run,
            ("POST", "runs/finish"): self._finish_run,
            ("POST", "plans"): self._plan_run,
            ("POST", "faults"): self._fail,
            ("DELETE", "faults"): self._heal,
            ("POST", "heal"): self._heal,
            ("POST", "oddities"): self._switch,
            ("DELETE", "oddities"): self._switch_off,
            ("POST", "revoke-tokens"): self._revoke,
        }

    async def answer(self, request: BaseRequest, segments: tuple[str, ...], body: bytes) -> web.StreamResponse:
        """Answer a request."""
        if not self._is_local(request):
            # A page on the Internet can make a browser send requests here, even under a name of its own (DNS rebinding).
            return _json({"error": "The emulator answers under the name of this machine only."}, 403)
        route = self._routes.get((request.method, "/".join(segments[1:]))) if segments[0] == "emulator" else None
        if route is None:
            return _json({"error": f"Nothing here: {request.method} {request.path}. See GET /emulator."}, 404)
        try:
            data = _data(request, body)
            query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
            return _json(route(query, data))
        except LookupError as error:
            return _json({"error": str(error.args[0] if error.args else error)}, 404)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 422)

    def _is_local(self, request: BaseRequest) -> bool:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        return not self._emulator.loopback_only or urlsplit(f"//{host}").hostname in LOCAL_NAMES

    def _overview(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        return self._emulator.overview()

    def _journal(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        entries = self._emulator.journal.snapshot()
        if "operation" in query:
            entries = [entry for entry in entries if entry.operation == query["operation"]]
        if "since" in query:
            entries = [entry for entry in entries if entry.at >= float(query["since"])]
        limit = int(query.get("limit", "1000"))
        return {"entries": [entry.as_dict() for entry in entries[-limit:]] if limit > 0 else []}

    def _clear_journal(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.journal.clear()
        return {}

    def _add_connection(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        return {"connectionId": self._emulator.add_connection(**_snake(data))}

    def _runs(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        connection_id = query.get("connection_id") or query.get("connectionId")
        if connection_id is not None:
            return {"runs": self._emulator.runs(connection_id)}
        return {"runs": [run for one in self._emulator.connection_ids() for run in self._emulator.runs(one)]}

    def _start_run(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        return {"runId": self._emulator.start_run(**_snake(data))}

    def _finish_run(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.finish_run(**_snake(data))
        return {}

    def _plan_run(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.plan_run(**_snake(data))
        return {}

    def _fail(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.script(schema.build(Fault, data, "fault"))
        return {}

    def _heal(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        return {"healed": self._emulator.heal(data.get("operation"))}

    def _switch(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        schema.build(Oddities, data, "oddities")
        for name, value in _snake(data).items():
            setattr(self._emulator.oddities, name, tuple(value) if isinstance(value, list) else value)
        return asdict(self._emulator.oddities)

    def _switch_off(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.oddities.reset()
        return asdict(self._emulator.oddities)

    def _revoke(self, query: dict[str, str], data: dict[str, Any]) -> Any:
        self._emulator.revoke_tokens()
        return {}


def _data(request: BaseRequest, body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        # A form on any web page may post text/plain to loopback; it may not post JSON.
        raise SchemaError("the body must be JSON, with Content-Type application/json")
    data = json.loads(body)
    if not isinstance(data, dict):
        raise SchemaError("the body must be a JSON object")
    return data


def _snake(data: Mapping[str, Any]) -> dict[str, Any]:
    return {schema.snake(name): value for name, value in data.items()}


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(data, default=str).encode(),
        headers={"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"},
    )
