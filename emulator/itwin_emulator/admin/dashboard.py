"""What a person wants to see at a glance: connections, how far their runs have come, and what was asked last."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.request_log import Journal

MOST_CONNECTIONS = 200
MOST_RUNS = 8
MOST_REQUESTS = 30
MOST_FAILURES = 20


def watch(platform: Platform, journal: Journal) -> dict[str, Any]:
    """Give it as JSON data; whoever calls holds the platform's lock."""
    now = platform.clock.now()
    skew = platform.clock.skew
    catalog = platform.connections
    active = platform.active_runs()
    shown = list(islice(catalog.values(), MOST_CONNECTIONS))
    if len(catalog) > len(shown):
        # Those at work come first when there are more than a page should show.
        busy = {run.connection_id: catalog[run.connection_id] for run in active if run.connection_id in catalog}
        idle = (one for one in shown if one.id not in busy)
        shown = list(islice(chain(busy.values(), idle), MOST_CONNECTIONS))
    return {
        "now": timestamp(now + skew),
        "speed": platform.clock.speed,
        "requests": len(journal),
        "active": len(active),
        "hidden": len(catalog) - len(shown),
        "connections": [_connection(platform, one, now, skew) for one in shown],
        "recent": [
            {
                "at": timestamp(entry.at),
                "method": entry.method,
                "operation": entry.operation,
                "connection": entry.connection_id,
                "path": entry.path,
                "status": entry.status,
                "client": entry.client_id,
                "fault": entry.fault,
            }
            for entry in journal.latest(MOST_REQUESTS)
        ],
    }


def _connection(platform: Platform, connection: Connection, now: float, skew: float) -> dict[str, Any]:
    imodel = platform.imodels[connection.imodel_id]
    itwin = platform.itwins[imodel.itwin_id]
    return {
        "id": connection.id,
        "kind": connection.kind,
        "name": connection.display_name or connection.id,
        "imodel": imodel.display_name,
        "itwin": itwin.display_name,
        "authenticationType": connection.authentication_type,
        "files": len(connection.files),
        "runCount": len(connection.runs),
        "runs": [_run(run, now, skew) for run in connection.runs[: -MOST_RUNS - 1 : -1]],
    }


def _run(run: Run, now: float, skew: float) -> dict[str, Any]:
    elapsed = now - run.started
    active = run.is_active(now)
    total = done = failed = 0
    failures: list[dict[str, Any]] = []
    for bundle in run.bundles():
        for work in bundle.works:
            total += 1
            if elapsed < work.ends:
                continue
            done += 1
            if work.result not in ("Success", "Skipped"):
                failed += 1
                if work.failure is not None and len(failures) < MOST_FAILURES:
                    failures.append(
                        {
                            "file": work.file.name,
                            "connector": work.file.connector_type,
                            "result": work.result,
                            "message": work.failure.message,
                            "details": work.failure.details,
                            "canUserFix": work.failure.can_user_fix,
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
