"""The cost of large responses: blocked event loop, memory, and the rejection of a hostile response."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Account, Environment
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import LARGEST_REPORT, RunReport
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.endpoints import get_run_summary
from benchmarks.bodies import itwin_run

FILES = (20_000, 100_000)
VALUES = 20_000_000
_TICK = 0.001
_REF = RunRef(ConnectionKind.STORAGE, "bench", "run")


class LargeAnswer(msgspec.Struct):
    """
    The cost of reading one response for a run and creating its report.

    :param files: files of the run; 0 for the hostile response, which is small on the wire and contains millions of values
    :param size: bytes on the wire
    :param seconds: seconds until the report or the rejection
    :param stop: longest time in seconds for which the event loop was blocked
    :param memory: peak growth of the process in bytes
    :param end: ``reported`` or ``refused``
    """

    files: int
    size: int
    seconds: float
    stop: float
    memory: int
    end: str


def measure() -> list[LargeAnswer]:
    """Measure each response in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = []
    for files in (*FILES, 0):
        headers, body = ({}, itwin_run(finished=True, files=files)) if files else _hostile()
        with _serving(headers, body) as url:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_measure, args=(url, files, len(body), sender))
            process.start()
            sender.close()
            found.append(msgspec.convert(receiver.recv(), LargeAnswer))
            process.join()
    return found


def _measure(url: str, files: int, size: int, sender: Any) -> None:
    sender.send(msgspec.to_builtins(asyncio.run(_read(url, files, size))))


def _hostile() -> tuple[dict[str, str], bytes]:
    jobs = b",".join([b"{}"] * VALUES)
    head = json.dumps({"id": "run", "state": "Completed", "result": "Success"}).encode()[:-1]
    return {"Content-Encoding": "gzip"}, gzip.compress(b'{"run":' + head + b',"jobs":[' + jobs + b"]}}")


async def _read(url: str, files: int, size: int) -> LargeAnswer:
    async with AsyncITwinClient(Account(Environment.of(url), ReadyToken("t"))) as client:
        probe = _Probe()
        watching = asyncio.create_task(probe.watch())
        await asyncio.sleep(0.2)
        probe.stop = 0.0
        before = _peak()
        began = time.monotonic()
        try:
            _, run = await client.call(get_run_summary(_REF.kind, _REF.connection_id, _REF.run_id), retry_budget=0.0)
            assert run is not None  # noqa: S101 (it has ended)
            report = await asyncio.to_thread(RunReport.of, _REF, run)
            end = "reported" if len(json.dumps(report.as_dict())) <= LARGEST_REPORT else "too large"
        except ITwinError as error:
            end = "refused" if "JSON values" in str(error) else str(error)
        seconds = time.monotonic() - began
        watching.cancel()
    return LargeAnswer(files, size, seconds, probe.stop, _peak() - before, end)


def _peak() -> int:
    # Not getrusage: it includes the process that this one was forked from.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


class _Probe:
    """Wakes up every millisecond and records the maximum delay."""

    def __init__(self) -> None:
        self.stop = 0.0

    async def watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_TICK)
            self.stop = max(self.stop, time.monotonic() - began - _TICK)


@contextmanager
def _serving(headers: dict[str, str], body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response_only(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    for one in measure():
        print(one)  # noqa: T201
