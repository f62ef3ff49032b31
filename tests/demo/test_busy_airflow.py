"""A busy Airflow, whose SQLite database is locked for a moment, is asked again; one that has exited is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3.util.retry

from scripts import processes, standalone
from scripts.airflow_api import AirflowApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STARTED = datetime(2026, 11, 28, tzinfo=UTC)
BEAT = (STARTED + timedelta(seconds=1)).isoformat()
HEALTHY = {"metadatabase": {"status": "healthy"}} | {
    name: {f"latest_{name}_heartbeat": BEAT} for name in ("scheduler", "triggerer", "dag_processor")
}
LOCKED = HEALTHY | {"metadatabase": {"status": "unhealthy"}}


@pytest.fixture
def answering() -> Iterator[Callable[..., AirflowApi]]:
    """Return a function that starts an Airflow with the given statuses for its next responses; it counts its requests."""
    servers = []

    def answer(*statuses: int) -> AirflowApi:
        left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.respond()

            def do_POST(self) -> None:
                self.respond()

            def respond(self) -> None:
                self.send_response(left.pop(0))
                self.send_header("Content-Length", "24")
                self.end_headers()
                self.wfile.write(b'{"import_errors": [{ }]}')

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return AirflowApi(f"http://127.0.0.1:{server.server_port}")

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time."""
    taken: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(taken), time=lambda: sum(taken), sleep=taken.append)
    monkeypatch.setattr(urllib3.util.retry, "time", clock)
    monkeypatch.setattr(processes, "time", clock)
    return taken


def test_a_read_is_repeated_while_the_database_is_locked(answering: Callable[..., AirflowApi]) -> None:
    assert answering(500, 503, 200).import_errors() == [{}]


def test_a_read_fails_in_the_end(answering: Callable[..., AirflowApi]) -> None:
    with pytest.raises(requests.HTTPError, match="GET /api/v2/importErrors: 500"):
        answering(*[500] * 5).import_errors()


def test_a_run_is_triggered_once(answering: Callable[..., AirflowApi]) -> None:
    with pytest.raises(requests.HTTPError, match="500"):
        answering(500, 200).trigger("night")


def starting(monkeypatch: pytest.MonkeyPatch, reports: list[dict[str, Any]], exit_code: int | None) -> Any:
    monkeypatch.setattr(standalone, "health_of", lambda _: reports.pop(0) if len(reports) > 1 else reports[0])
    process: Any = SimpleNamespace(exit_code=exit_code)
    return standalone._Airflow(process, "http://127.0.0.1", STARTED)


@pytest.mark.parametrize(
    ("reports", "exit_code", "healthy", "longest"),
    [
        ([LOCKED, {}, HEALTHY], None, True, 2.0),
        ([LOCKED], None, False, 61.0),
        ([LOCKED, HEALTHY], 1, False, 0.0),
    ],
    ids=["locked for a moment", "locked", "exited"],
)
def test_one_bad_report_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    reports: list[dict[str, Any]],
    exit_code: int | None,
    healthy: bool,
    longest: float,
) -> None:
    assert starting(monkeypatch, list(reports), exit_code).becomes_healthy(60.0) is healthy
    assert sum(pauses) <= longest
