"""
Requests per CPU second of the emulator, empty and with 10,000 connections and 100,000 runs.

The emulator runs in a process of its own (``python -m benchmarks.emulated CONNECTIONS RUNS PROCESSOR``), whose CPU time is
measured. This process generates the load, over enough connections to keep the emulator busy.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import msgspec

from benchmarks import machine
from benchmarks.certificate import HOST
from benchmarks.processes import ROOT, MeasurementError, end

RUNS_OF_EACH = 10
_LANES = 16
_IMODEL = "imodel-0"
_CONNECTION = "connection-0"
_STORAGE = "/synchronization/imodels/storageconnections"


class Rate(msgspec.Struct):
    """
    One operation.

    :param asked: requests per second
    :param cpu: CPU seconds of the emulator per request
    """

    operation: str
    connections: int
    asked: float
    cpu: float

    @property
    def of_one_processor(self) -> float:
        """Requests per CPU second."""
        return 1.0 / self.cpu


class _Emulated:
    """An emulator in a process of its own."""

    def __init__(self, connections: int) -> None:
        processor = machine.processors()[1]
        command = [sys.executable, "-m", "benchmarks.emulated", str(connections), str(RUNS_OF_EACH)]
        self._process = subprocess.Popen(  # noqa: S603 (the command is our own)
            [*command, "" if processor is None else str(processor)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            hello = json.loads(self._line())
        except ValueError:
            self.__exit__(None, None, None)
            raise MeasurementError("The emulator did not start") from None
        self.port, self.run = int(hello["port"]), str(hello["run"])
        self.form = urlencode(hello["form"]).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def cpu(self) -> float:
        """CPU seconds so far."""
        assert self._process.stdin is not None  # noqa: S101 (it was started with a pipe)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (it was started with a pipe)
        return self._process.stdout.readline()


class _Lane(asyncio.Protocol):
    """One connection that sends the next request after the response to the last one."""

    def __init__(self, request: bytes, enough: float) -> None:
        self._request = request
        self._enough = enough
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.answers = 0
        self.last = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (asyncio promises it)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Send the next request when the response is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0] or b"0")
        if len(body) < length:
            return
        self.last, self._received = self._received, b""
        if not head.startswith(b"HTTP/1.1 200 "):
            self._finish(MeasurementError(f"The emulator answered {self.last[:300]!r}"))
            return
        self.answers += 1
        if time.monotonic() >= self._enough:
            self._finish(None)
        elif self._transport is not None:
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        """Record that the emulator closed the connection."""
        self._finish(error or MeasurementError("The emulator closed the connection"))

    def _finish(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def measure(connections: int, seconds: float) -> list[Rate]:
    """Measure each operation on an emulator with `connections` connections."""
    with _Emulated(connections) as emulated:
        return asyncio.run(_measure(emulated, connections, seconds))


async def _measure(emulated: _Emulated, connections: int, seconds: float) -> list[Rate]:
    token = await _token(emulated)
    paths = {
        "get a run": f"{_STORAGE}/{_CONNECTION}/runs/{emulated.run}",
        "get a connection": f"{_STORAGE}/{_CONNECTION}",
        "list the runs of a connection": f"{_STORAGE}/{_CONNECTION}/runs",
        "list the connections of an iModel": f"{_STORAGE}?imodelId={_IMODEL}",
    }
    rates = []
    for operation, path in paths.items():
        request = _request("GET", path, f"Authorization: Bearer {token}\r\nAccept: application/json\r\n")
        await _load(emulated.port, request, 0.3, _LANES)
        cpu, began = emulated.cpu(), time.monotonic()
        answers = await _load(emulated.port, request, seconds, _LANES)
        passed = time.monotonic() - began
        rates.append(Rate(operation, connections, answers / passed, (emulated.cpu() - cpu) / answers))
    return rates


async def _token(emulated: _Emulated) -> str:
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    lane = await _lane(emulated.port, _request("POST", "/connect/token", kind, emulated.form), 0.0)
    await lane.done
    token: str = json.loads(lane.last.partition(b"\r\n\r\n")[2])["access_token"]
    return token


async def _load(port: int, request: bytes, seconds: float, lanes: int) -> int:
    enough = time.monotonic() + seconds
    open_lanes = [await _lane(port, request, enough) for _ in range(lanes)]
    async with asyncio.timeout(seconds + 30.0):
        await asyncio.gather(*(lane.done for lane in open_lanes))
    return sum(lane.answers for lane in open_lanes)


async def _lane(port: int, request: bytes, enough: float) -> _Lane:
    _, lane = await asyncio.get_running_loop().create_connection(lambda: _Lane(request, enough), HOST, port)
    return lane


def _request(method: str, path: str, headers: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}{length}\r\n".encode() + body


def main() -> None:
    """Run an emulator until stdin ends; answer each line with its CPU time."""
    from itwin_emulator import Emulator

    connections, runs = int(sys.argv[1]), int(sys.argv[2])
    machine.pin(int(sys.argv[3]) if sys.argv[3] else None)
    with Emulator(speed=1.0) as emulator:
        for number in range(connections):
            name = f"connection-{number}"
            emulator.add_connection("storage", name, f"imodel-{number}", files=4)
            emulator.plan_run(name, duration=0.0)
            for _ in range(runs - 1):
                emulator.start_run(name)
            emulator.plan_run(name, duration=86400.0)
            run = emulator.start_run(name)
            if number == 0:
                polled = run
        form = {
            "grant_type": "client_credentials",
            "client_id": emulator.client_id,
            "client_secret": emulator.client_secret,
            "scope": "itwin-platform",
        }
        _say(json.dumps({"port": emulator.port, "run": polled, "form": form}))
        for _ in sys.stdin:
            _say(repr(time.process_time()))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
