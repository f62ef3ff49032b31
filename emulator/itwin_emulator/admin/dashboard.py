"""The dashboard: its static files, and the data that it displays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from itwin_emulator.admin import stored_files
from itwin_emulator.admin.job_controls import describe
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.store import Store
from itwin_emulator.http.request_log import RequestLog

MAX_CONNECTIONS = 200
MAX_RUNS = 8
MAX_REQUESTS = 30
MAX_FAILURES = 20
MAX_FILES = 100
MAX_JOBS = 50
STATIC = Path(__file__).parent / "static"

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A static file and its response headers."""

    body: bytes
    headers: dict[str, str]


def find_file(method: str, segments: tuple[str, ...]) -> StaticFile | None:
    """Return the static file of a request, or None."""
    if method not in ("GET", "HEAD"):
        return None
    if segments == ("",):
        return _read("index.html")
    if segments == ("favicon.ico",):
        return _read("icon.svg")
    if len(segments) == 3 and segments[:2] == ("emulator", "static") and segments[2] in _TYPES:
        return _read(segments[2])
    return None


@cache
def _read(name: str) -> StaticFile:
    headers = {
        "Content-Type": _TYPES[name],
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return StaticFile((STATIC / name).read_bytes(), headers)


def entities(store: Store) -> dict[str, Any]:
    """Return clients, connections, configurations and the number of jobs; the caller holds the lock of the store."""
    return {
        "clients": [
            {"id": one.id, "registered": one.registered, "everywhere": one.everywhere, "signedIn": one.signed_in}
            for one in store.clients.values()
        ],
        "connections": [
            {
                "id": one.id,
                "kind": one.kind,
                "displayName": one.display_name,
                "iModelId": one.imodel_id,
                "authenticationType": one.authentication_type,
                "files": len(one.files),
                "runs": len(one.runs),
            }
            for one in store.connections.values()
        ],
        "configurations": [
            {"id": one.id, "sourceIModelId": one.source_imodel_id, "targetIModelId": one.target_imodel_id}
            for one in store.jobs.configurations.values()
        ],
        "jobs": len(store.jobs.jobs),
    }


def data(store: Store, request_log: RequestLog) -> dict[str, Any]:
    """Return the data of the dashboard; the caller holds the lock of the store."""
    now = store.clock.now()
    skew = store.clock.skew
    catalog = store.connections
    active = store.active_runs()
    displayed = list(islice(catalog.values(), MAX_CONNECTIONS))
    if len(catalog) > len(displayed):
        # If there are too many connections, those with active runs come first.
        busy = {run.connection_id: catalog[run.connection_id] for run in active if run.connection_id in catalog}
        idle = (one for one in displayed if one.id not in busy)
        displayed = list(islice(chain(busy.values(), idle), MAX_CONNECTIONS))
    return {
        "now": timestamp(now + skew),
        "speed": store.clock.speed,
        "requests": len(request_log),
        "active": len(active),
        "hidden": len(catalog) - len(displayed),
        "connections": [_connection(store, one, now, skew) for one in displayed],
        **_jobs(store, now, skew),
        **_files(store),
        "recent": [
            {
                "at": timestamp(entry.at),
                "method": entry.method,
                "operation": entry.operation,
                "connection": entry.connection_id,
                "job": entry.job_id,
                "path": entry.path,
                "status": entry.status,
                "client": entry.client_id,
                "fault": entry.fault,
            }
            for entry in request_log.latest(MAX_REQUESTS)
        ],
    }


def _jobs(store: Store, now: float, skew: float) -> dict[str, Any]:
    """Return the newest jobs, without their inputs; if there are too many, active ones come first."""
    store.collect_job_results()
    jobs = list(reversed(store.jobs.jobs.values()))
    displayed = sorted(jobs, key=lambda one: not one.is_active(now))[:MAX_JOBS] if len(jobs) > MAX_JOBS else jobs
    return {
        "activeJobs": sum(one.is_active(now) for one in jobs),
        "jobs": [describe(one, now, skew) for one in displayed],
        "hiddenJobs": len(jobs) - len(displayed),
    }


def _files(store: Store) -> dict[str, Any]:
    stored = stored_files.describe(store)
    return {"files": stored[:MAX_FILES], "hiddenFiles": max(0, len(stored) - MAX_FILES)}


def _connection(store: Store, connection: Connection, now: float, skew: float) -> dict[str, Any]:
    imodel = store.imodels[connection.imodel_id]
    itwin = store.itwins[imodel.itwin_id]
    history = store.history(imodel.id)
    return {
        "id": connection.id,
        "kind": connection.kind,
        "name": connection.display_name or connection.id,
        "imodel": imodel.display_name,
        "changesets": len(history.changesets),
        "namedVersions": len(history.named_versions),
        "itwin": itwin.display_name,
        "authenticationType": connection.authentication_type,
        "files": len(connection.files),
        "runCount": len(connection.runs),
        "runs": [_run(run, now, skew) for run in connection.runs[: -MAX_RUNS - 1 : -1]],
    }


def _run(run: Run, now: float, skew: float) -> dict[str, Any]:
    elapsed = now - run.started
    active = run.is_active(now)
    total = done = failed = 0
    failures: list[dict[str, Any]] = []
    for job in run.jobs():
        for task in job.tasks:
            total += 1
            if elapsed < task.ends:
                continue
            done += 1
            if task.result not in ("Success", "Skipped"):
                failed += 1
                if task.failure is not None and len(failures) < MAX_FAILURES:
                    failures.append(
                        {
                            "file": task.file.name,
                            "connector": task.file.connector_type,
                            "result": task.result,
                            "message": task.failure.message,
                            "details": task.failure.details,
                            "canUserFix": task.failure.can_user_fix,
                        }
                    )
    return {
        "id": run.id,
        "state": run.state(now),
        "result": run.result(now),
        "started": timestamp(run.started + skew),
        "seconds": round(min(elapsed, run.duration), 1),
        "share": round(min(1.0, elapsed / run.duration), 4) if active and run.duration else 1.0,
        "files": {"total": total, "done": done, "failed": failed},
        "error": None if active or run.plan.error is None else run.plan.error.description or run.plan.error.error_key,
        "failures": failures,
    }
