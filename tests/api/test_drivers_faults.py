"""Both clients with every fault of the emulator: the error, the time that it takes, and never a second run."""

from __future__ import annotations

import socketserver
import threading
import time
from typing import Any, TypeAlias

import pytest

from airflow_provider_itwin.api import async_client, client
from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.config import Account, Network
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.start import StartOutcome, ensure_run
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import DRIVERS, Driver, World, call, driver
from tests.api.recorder import Received, Recorder

MEBIBYTE = 1 << 20
STORAGE = ConnectionKind.STORAGE
GET_CONNECTION = endpoints.get_connection(STORAGE, "c1")

Expected: TypeAlias = type[ITwinError] | tuple[type[ITwinError], ...] | None

FAULTS: dict[str, tuple[dict[str, Any], Expected]] = {
    "status 500": ({"status": 500}, ITwinServerError),
    "status 503": ({"status": 503}, ITwinServerError),
    "delay": ({"kind": "delay", "seconds": 0.02}, None),
    "hang": ({"kind": "hang"}, ITwinConnectionError),
    "reset-before": ({"kind": "reset-before"}, ITwinConnectionError),
    "reset-after": ({"kind": "reset-after"}, ITwinConnectionError),
    "truncate": ({"kind": "truncate"}, ITwinConnectionError),
    "short-length": ({"kind": "short-length"}, (ITwinProtocolError, ITwinConnectionError)),
    "slow-body": ({"kind": "slow-body", "seconds": 0.1}, None),
    "html": ({"kind": "html"}, ITwinServerError),
    "html with 200": ({"kind": "html", "status": 200}, ITwinProtocolError),
    "invalid-json": ({"kind": "invalid-json"}, ITwinProtocolError),
    "wrong-type": ({"kind": "wrong-type"}, ITwinProtocolError),
    "wrong-content-type": ({"kind": "wrong-content-type"}, None),
    "empty": ({"kind": "empty"}, ITwinProtocolError),
    "redirect elsewhere": ({"kind": "redirect", "location": "https://evil.example/x"}, ITwinProtocolError),
    "redirect here": ({"kind": "redirect", "location": "/elsewhere"}, ITwinProtocolError),
    "huge": ({"kind": "huge", "size": 3 * MEBIBYTE}, ITwinConnectionError),
    "endless": ({"kind": "endless"}, ITwinConnectionError),
    "gzip-bomb": ({"kind": "gzip-bomb", "size": 16 * MEBIBYTE}, ITwinConnectionError),
}

ALL = [pytest.param(fault, expected, id=name) for name, (fault, expected) in FAULTS.items()]


def times(fault: dict[str, Any], usual: int) -> int:
    """Return how often a fault happens; one that takes time happens once."""
    return 1 if fault.get("kind") == "hang" else usual


@pytest.fixture(autouse=True)
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, async_client):
        monkeypatch.setattr(module, "LARGEST_BODY", MEBIBYTE)


@pytest.fixture(params=DRIVERS)
def quick_client(request: pytest.FixtureRequest, world: World) -> Any:
    """Each of the two clients in turn, with a short timeout; connection c1 exists."""
    world.emulator.add_connection(connection_id="c1", files=["a.dgn"])
    with driver(request.param, world, world.account(network=Network(timeout=0.8))) as made:
        call(made, GET_CONNECTION)
        world.operations()
        yield made


@pytest.mark.parametrize(("fault", "expected"), ALL)
def test_each_fault_raises_its_error(
    world: World, quick_client: Driver, fault: dict[str, Any], expected: Expected
) -> None:
    world.emulator.fail("get-storage-connection", times=None, **fault)

    if expected is None:
        assert call(quick_client, GET_CONNECTION, retry_budget=0.0).id == "c1"
    else:
        with pytest.raises(expected) as caught:
            call(quick_client, GET_CONNECTION, retry_budget=0.0)
        assert caught.value.transient
    # aiohttp retries a GET by itself if a kept connection turns out to be closed.
    assert world.operations() in (["get-storage-connection"], ["get-storage-connection"] * 2)
    world.emulator.clear_faults()
    assert call(quick_client, GET_CONNECTION).id == "c1"


@pytest.mark.parametrize(("fault", "expected"), ALL)
def test_a_temporary_fault_is_retried(
    world: World, quick_client: Driver, fault: dict[str, Any], expected: Expected
) -> None:
    world.emulator.fail("get-storage-connection", times=times(fault, 3), **fault)

    assert call(quick_client, GET_CONNECTION).id == "c1"
    assert bool(world.pauses) is (expected is not None)


@pytest.mark.parametrize(("fault", "expected"), ALL)
def test_a_run_is_never_started_twice(
    world: World, quick_client: Driver, fault: dict[str, Any], expected: Expected
) -> None:
    world.emulator.fail("run-storage-connection", times=times(fault, 2), **fault)

    started = quick_client.run_flow(ensure_run(quick_client.account, STORAGE, "c1"))

    runs = world.emulator.runs("c1")
    assert [run["id"] for run in runs] == [started.ref.run_id]
    assert started.ref == RunRef(STORAGE, "c1", started.ref.run_id)
    assert started.active is None or started.active.is_fresh


@pytest.mark.parametrize(("fault", "expected"), ALL)
def test_a_fault_does_not_end_a_wait(
    world: World, quick_client: Driver, fault: dict[str, Any], expected: Expected
) -> None:
    run_id = world.emulator.start_run("c1")
    world.emulator.fail("get-storage-connection-run", times=1, after=3, **fault)
    if times(fault, 2) > 1:
        world.emulator.fail("get-storage-connection-run", times=1, after=8, **fault)

    result = quick_client.wait(WaitSpec(STORAGE, "c1", run_id, began=world.clock.now()))

    assert result.end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", [202, 303])
def test_after_a_lost_response_the_run_is_found_or_the_older_one_is_active(
    world: World, quick_client: Driver, status: int
) -> None:
    if status == 303:
        world.emulator.start_run("c1")
    world.emulator.fail("run-storage-connection", kind="reset-after")

    started = quick_client.run_flow(ensure_run(quick_client.account, STORAGE, "c1"))

    assert started.ref.run_id == world.emulator.runs("c1")[-1]["id"]
    assert started.outcome is (StartOutcome.FOUND if status == 202 else StartOutcome.ACTIVE)
    assert started.active is None or not started.active.is_fresh
    assert len(world.emulator.runs("c1")) == 1


def test_an_outage_ends_a_wait(world: World, quick_client: Driver) -> None:
    run_id = world.emulator.start_run("c1")
    world.emulator.fail("*", times=None, kind="reset-before")

    result = quick_client.wait(WaitSpec(STORAGE, "c1", run_id, began=world.clock.now(), outage_tolerance=120.0))

    assert result.end is WaitEnd.OUTAGE
    assert isinstance(result.error, ITwinConnectionError)
    assert result.elapsed == pytest.approx(120.0)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_slow_body_is_aborted_at_the_timeout(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    usual = world.account()
    account = Account(usual.environment, usual.credentials, Network(timeout=0.5))
    world.emulator.fail("get-storage-connection", kind="slow-body", seconds=6.0)

    with driver(name, world, account) as made:
        began = time.monotonic()
        with pytest.raises(ITwinConnectionError, match=r"took longer than|imeout"):
            call(made, GET_CONNECTION, retry_budget=0.0)

    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("status", [200, 302, 303, 500])
@pytest.mark.parametrize("chunked", [False, True])
def test_no_response_is_read_beyond_its_limit(name: str, status: int, chunked: bool) -> None:
    filler = b"x" * (2 * MEBIBYTE)

    def answer(got: Received) -> tuple[int, dict[str, str], bytes]:
        if got.method == "POST":
            return 200, {}, b'{"access_token":"t"}'
        headers = {"Location": f"{recorder.url}/elsewhere"} if 300 <= status < 400 else {}
        if not chunked:
            return status, headers, filler
        body = b"".join(b"10000\r\n" + filler[:65536] + b"\r\n" for _ in range(32)) + b"0\r\n\r\n"
        return status, headers | {"Transfer-Encoding": "chunked", "Content-Length": ""}, body

    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = answer
        environment = world.account().environment.of(recorder.url)
        with (
            driver(name, world, world.account(environment=environment)) as made,
            pytest.raises(ITwinConnectionError, match="larger than 1 MiB"),
        ):
            call(made, GET_CONNECTION, retry_budget=0.0)
    assert len(recorder.received) == 2


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("length", [30, 60, 75])
def test_a_partial_token_is_not_quoted(name: str, length: int, caplog: pytest.LogCaptureFixture) -> None:
    token = "0paque" * 10
    body = f'{{"expires_in":3600,"token_type":"Bearer","access_token":"{token}"}}\r\n\r\n'.encode()
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {"Content-Length": str(length)}, body)
        environment = world.account().environment.of(recorder.url)
        with driver(name, world, world.account(environment=environment)) as made:
            for _ in range(3):
                with pytest.raises(ITwinError) as caught:
                    call(made, GET_CONNECTION, retry_budget=0.0)
                assert "0paque" not in f"{caught.value}{caught.value!r}"
                assert "expires_in" not in str(caught.value)
    assert "0paque" not in caplog.text


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(
    "line", [b"0paque token\r\n\r\n", b"HTTP/1.1 0paque\r\n\r\n", b"HTTP/1.1 200 OK\r\n0paque" * 9999]
)
def test_an_invalid_http_response_is_not_quoted(name: str, line: bytes) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.connection.recv(65536)
            self.wfile.write(line)

    world = World()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        environment = world.account().environment.of(f"http://127.0.0.1:{server.server_address[1]}")
        with (
            driver(name, world, world.account(environment=environment)) as made,
            pytest.raises(ITwinConnectionError) as caught,
        ):
            call(made, GET_CONNECTION, retry_budget=0.0)
        server.shutdown()
    assert "0paque" not in str(caught.value)


@pytest.mark.parametrize("name", DRIVERS)
def test_an_invalid_content_encoding_is_a_connection_error(name: str) -> None:
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {"Content-Encoding": "gzip"}, b"this is not gzip")
        environment = world.account().environment.of(recorder.url)
        with driver(name, world, world.account(environment=environment)) as made, pytest.raises(ITwinConnectionError):
            call(made, GET_CONNECTION, retry_budget=0.0)
