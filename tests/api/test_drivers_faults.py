"""Both clients through every fault that the emulator knows: what comes of it, in how much time, and never a second run."""

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
from airflow_provider_itwin.api.runs import endpoints, start
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import DRIVERS, Driver, World, call, driver
from tests.api.recorder import Received, Recorder

MEBIBYTE = 1 << 20
STORAGE = ConnectionKind.STORAGE
LOOK = endpoints.get_connection(STORAGE, "c1")

Meaning: TypeAlias = type[ITwinError] | tuple[type[ITwinError], ...] | None

FAULTS: dict[str, tuple[dict[str, Any], Meaning]] = {
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

ALL = [pytest.param(fault, meaning, id=name) for name, (fault, meaning) in FAULTS.items()]


def times(fault: dict[str, Any], usual: int) -> int:
    """Give how often a fault happens; one that takes time happens once."""
    return 1 if fault.get("kind") == "hang" else usual


@pytest.fixture(autouse=True)
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, async_client):
        monkeypatch.setattr(module, "LARGEST_BODY", MEBIBYTE)


@pytest.fixture(params=DRIVERS)
def hasty(request: pytest.FixtureRequest, world: World) -> Any:
    """Each of the two clients in turn, with little time for each request; a connection is there."""
    world.emulator.add_connection(connection_id="c1", files=["a.dgn"])
    with driver(request.param, world, world.account(network=Network(timeout=0.8))) as made:
        call(made, LOOK)
        world.operations()
        yield made


@pytest.mark.parametrize(("fault", "meaning"), ALL)
def test_what_a_fault_means(world: World, hasty: Driver, fault: dict[str, Any], meaning: Meaning) -> None:
    world.emulator.fail("get-storage-connection", times=None, **fault)

    if meaning is None:
        assert call(hasty, LOOK, retry_budget=0.0).id == "c1"
    else:
        with pytest.raises(meaning) as caught:
            call(hasty, LOOK, retry_budget=0.0)
        assert caught.value.transient
    # aiohttp asks once more by itself when a connection that it keeps turns out to be closed; reading does no harm.
    assert world.operations() in (["get-storage-connection"], ["get-storage-connection"] * 2)
    world.emulator.heal()
    assert call(hasty, LOOK).id == "c1"


@pytest.mark.parametrize(("fault", "meaning"), ALL)
def test_a_fault_that_passes_is_ridden_out(
    world: World, hasty: Driver, fault: dict[str, Any], meaning: Meaning
) -> None:
    world.emulator.fail("get-storage-connection", times=times(fault, 3), **fault)

    assert call(hasty, LOOK).id == "c1"
    assert bool(world.pauses) is (meaning is not None)


@pytest.mark.parametrize(("fault", "meaning"), ALL)
def test_a_run_is_never_started_twice(world: World, hasty: Driver, fault: dict[str, Any], meaning: Meaning) -> None:
    world.emulator.fail("run-storage-connection", times=times(fault, 2), **fault)

    started = hasty.run_flow(start.start_run(hasty.account, STORAGE, "c1"))

    runs = world.emulator.runs("c1")
    assert [run["id"] for run in runs] == [started.ref.run_id]
    assert started.ref == RunRef(STORAGE, "c1", started.ref.run_id)
    assert started.created or started.in_doubt


@pytest.mark.parametrize(("fault", "meaning"), ALL)
def test_a_wait_rides_it_out(world: World, hasty: Driver, fault: dict[str, Any], meaning: Meaning) -> None:
    run_id = world.emulator.start_run("c1")
    world.emulator.fail("get-storage-connection-run", times=1, after=3, **fault)
    if times(fault, 2) > 1:
        world.emulator.fail("get-storage-connection-run", times=1, after=8, **fault)

    outcome = hasty.wait(WaitSpec(STORAGE, "c1", run_id, began=world.clock.now()))

    assert outcome.end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", [202, 303])
def test_a_lost_answer_to_the_start_of_a_run_is_found_again(world: World, hasty: Driver, status: int) -> None:
    if status == 303:
        world.emulator.start_run("c1")
    world.emulator.fail("run-storage-connection", kind="reset-after")

    started = hasty.run_flow(start.start_run(hasty.account, STORAGE, "c1"))

    assert started.ref.run_id == world.emulator.runs("c1")[-1]["id"]
    assert not started.created
    assert started.in_doubt
    assert len(world.emulator.runs("c1")) == 1


def test_an_outage_ends_a_wait(world: World, hasty: Driver) -> None:
    run_id = world.emulator.start_run("c1")
    world.emulator.fail("*", times=None, kind="reset-before")

    outcome = hasty.wait(WaitSpec(STORAGE, "c1", run_id, began=world.clock.now(), outage_tolerance=120.0))

    assert outcome.end is WaitEnd.OUTAGE
    assert isinstance(outcome.error, ITwinConnectionError)
    assert outcome.elapsed == pytest.approx(120.0)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_body_that_trickles_takes_no_longer_than_a_request_may(world: World, name: str) -> None:
    world.emulator.add_connection(connection_id="c1")
    usual = world.account()
    account = Account(usual.environment, usual.credentials, Network(timeout=0.5))
    world.emulator.fail("get-storage-connection", kind="slow-body", seconds=6.0)

    with driver(name, world, account) as made:
        began = time.monotonic()
        with pytest.raises(ITwinConnectionError, match=r"took longer than|imeout"):
            call(made, LOOK, retry_budget=0.0)

    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("status", [200, 302, 303, 500])
@pytest.mark.parametrize("chunked", [False, True])
def test_no_answer_is_read_further_than_its_limit(name: str, status: int, chunked: bool) -> None:
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
            call(made, LOOK, retry_budget=0.0)
    assert len(recorder.received) == 2


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("length", [30, 60, 75])
def test_what_is_left_of_a_token_is_not_quoted(name: str, length: int, caplog: pytest.LogCaptureFixture) -> None:
    token = "0paque" * 10
    body = f'{{"expires_in":3600,"token_type":"Bearer","access_token":"{token}"}}\r\n\r\n'.encode()
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {"Content-Length": str(length)}, body)
        environment = world.account().environment.of(recorder.url)
        with driver(name, world, world.account(environment=environment)) as made:
            for _ in range(3):
                with pytest.raises(ITwinError) as caught:
                    call(made, LOOK, retry_budget=0.0)
                assert "0paque" not in f"{caught.value}{caught.value!r}"
                assert "expires_in" not in str(caught.value)
    assert "0paque" not in caplog.text


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(
    "line", [b"0paque token\r\n\r\n", b"HTTP/1.1 0paque\r\n\r\n", b"HTTP/1.1 200 OK\r\n0paque" * 9999]
)
def test_what_is_no_http_is_not_quoted(name: str, line: bytes) -> None:
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
            call(made, LOOK, retry_budget=0.0)
        server.shutdown()
    assert "0paque" not in str(caught.value)


@pytest.mark.parametrize("name", DRIVERS)
def test_what_is_no_http_is_no_answer(name: str) -> None:
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {"Content-Encoding": "gzip"}, b"this is not gzip")
        environment = world.account().environment.of(recorder.url)
        with driver(name, world, world.account(environment=environment)) as made, pytest.raises(ITwinConnectionError):
            call(made, LOOK, retry_budget=0.0)
