"""Answers of the service: those that its documentation shows, word for word, and others made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_itwin.api.http.messages import NoResponse, Response

DATA = Path(__file__).parent / "data"
"""Every JSON example of the documentation, as ``operation.status.json``."""

STORAGE = "https://api.bentley.com/synchronization/imodels/storageconnections"
MANIFEST = "https://api.bentley.com/synchronization/imodels/manifestconnections"
EXPORT = "https://api.bentley.com/export/connections"

SILENCE = NoResponse("connection reset")


def response(status: int, body: Any = None, **headers: str) -> Response:
    """Make an answer; ``retry_after="3"`` becomes the header ``retry-after``."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def documented(operation: str, status: int, **headers: str) -> Response:
    """Give the answer that the documentation of an operation shows for a status."""
    return response(status, (DATA / f"{operation}.{status}.json").read_bytes(), **headers)


def error(status: int, code: str = "SomeCode", message: str = "Some message.", **headers: str) -> Response:
    """Make an answer of the documented shape of errors."""
    return response(status, {"error": {"code": code, "message": message}}, **headers)


def run(state: str = "Executing", result: str = "Undetermined", start: str | None = None, **fields: Any) -> Response:
    """Make the answer to a request for a run; it names itself only with `id` and `connectionId` among the fields."""
    known = {"startDateTime": start, "state": state, "result": result}
    return response(200, {"run": {name: value for name, value in known.items() if value is not None} | fields})


def finished(result: str = "Success", **fields: Any) -> Response:
    """Make the answer to a request for a run that has ended."""
    return run("Completed", result, **fields)


def connection(last_run: str | None = None, *, root: str = STORAGE, id: str = "c1", **headers: str) -> Response:  # noqa: A002
    """Make the answer to a request for a connection; `last_run` is a run's id, or a whole link."""
    links: dict[str, Any] = {"iModel": {"href": "https://api.bentley.com/imodels/m1"}}
    if last_run is not None:
        href = last_run if "/" in last_run else f"{root}/{id}/runs/{last_run}"
        links["lastRun"] = {"href": href}
    return response(200, {"connection": {"id": id, "displayName": "30", "_links": links}}, **headers)


def accepted(location: str | None = f"{STORAGE}/c1/runs/new", status: int = 202) -> Response:
    """Make the answer to the wish to start a run: 202, or 303 for another one that is active."""
    return response(status) if location is None else response(status, location=location)
