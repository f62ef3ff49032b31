"""What the page *iTwin* shows in its tests: a night with problems and the nights before it, and a week of many connections."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from .stored_tasks import StoredRun, StoredTask

HOUR = 3600.0
DAY = 24 * HOUR

NIGHT, MANY = "nightly_sync", "weekly_sync"
HARBOR = "7dbd531d-6967-47b2-8945-a722a437ad7a"
METRO = "c0ffee00-1111-4222-8333-944445555666"

DECK, FRAME, ROOF = "PD-ARC-Deck.rvt", "PD-STR-Frame.ifc", "PD-ARC-Roof.dgn"
HOSTILE = "<img src=x onerror=window.hacked=1>.dgn"
CONNECTIONS_OF_MANY = 200


def xcoms(
    connection: str, imodel: str, result: str | None, began: float, failing: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return what a run operator stores; without a result, its run has not finished."""
    ref = {"kind": "storage", "connection_id": connection, "run_id": f"run-{int(began)}"}
    stored: dict[str, Any] = {"run_ref": ref}
    if result:
        tasks = [
            {"file_id": f"id-of-{name}", "file_name": name, "connector": "REVIT", "result": "Error"} for name in failing
        ]
        stored["run_report"] = {
            "ref": ref,
            "connection_name": connection.replace("-", " ").capitalize(),
            "imodel_id": imodel,
            "result": result,
            "state": "Completed",
            "started": datetime.fromtimestamp(began, UTC).isoformat(),
            "failing_tasks": tasks,
            "more_failing_tasks": 0,
        }
    return stored


def _ended(
    connection: str, imodel: str, ended: float, minutes: float, failing: tuple[str, ...] = (), queued: float = 0.0
) -> StoredTask:
    started = ended - 60 * minutes
    stored = xcoms(connection, imodel, "Error" if failing else "Success", started + 60 * queued, failing)
    return StoredTask(connection, "failed" if failing else "success", started, ended, xcoms=stored)


def nights() -> list[StoredRun]:
    """Return the last night, in which something of every kind went wrong, and eight quieter nights before it."""
    now = time.time()
    last = now - 4 * HOUR
    waiting, queued, retrying = now - 0.5 * HOUR, now - 0.2 * HOUR, now - HOUR
    runs = [
        StoredRun(
            NIGHT,
            "the-last-night",
            [
                _ended("parking-deck", HARBOR, last, 18, (ROOF, DECK, FRAME)),
                _ended("bridge-north", HARBOR, last, 41),
                _ended("bridge-south", HARBOR, last, 24, queued=6),
                StoredTask("tunnel-east", "deferred", waiting, xcoms=xcoms("tunnel-east", METRO, None, waiting)),
                StoredTask("tunnel-west", "deferred", queued),
                StoredTask("depot", "up_for_retry", retrying, retrying + 300, attempt=2),
                StoredTask("archive", "skipped", last, last + 2),
                StoredTask(None, "scheduled", scheduled=now - 600),
            ],
        )
    ]
    for night in range(1, 9):
        ended = last - night * DAY
        failing = {1: (DECK, FRAME), 2: (DECK, HOSTILE)}.get(night, ())
        tasks = [
            _ended("parking-deck", HARBOR, ended, 17, failing),
            _ended("bridge-north", HARBOR, ended, 19 + night % 3),
            _ended("bridge-south", HARBOR, ended, 23),
            _ended("tunnel-east", METRO, ended, 40),
            _ended("tunnel-west", METRO, ended, 35),
        ]
        runs.append(StoredRun(NIGHT, f"night-{night}", tasks))
    return runs


def many(runs: int = 50) -> list[StoredRun]:
    """Return a week with 200 connections in each run; one in fifty tasks failed."""
    now = time.time()
    step = 6.9 * DAY / runs
    return [
        StoredRun(
            MANY,
            f"run-{run:03}",
            [
                StoredTask(
                    f"connection-{one:03}",
                    "failed" if (one + run) % 50 == 0 else "success",
                    now - run * step - 1200 - one,
                    now - run * step - 60 - one,
                )
                for one in range(CONNECTIONS_OF_MANY)
            ],
        )
        for run in range(runs)
    ]
