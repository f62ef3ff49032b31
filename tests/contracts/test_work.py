"""
How much work an answer is, in instructions of Python and in bytes of memory: no seconds, so no machine is too slow for it.

An answer among thousands of connections and runs is to be as little work as one among a handful.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.api.json_cache import RunJsonCache
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain.entities import Connection
from itwin_emulator.http.errors import ApiError
from itwin_emulator.http.oauth import MAX_VERIFIED
from itwin_emulator.http.request_log import LoggedRequest, RequestLog
from itwin_emulator.http.responses import Response, encode
from itwin_emulator.spec.router import ROUTER, find_route

from .conftest import EXPORT, MANIFEST, STORAGE

FEW, MANY = 12, 3000
RUNS = 10
ROOM = 1.3
"""By which factor the work may grow; a look at each connection would make it hundreds of times as much."""
BYTES = 20_000
"""What an answer may need besides; a list of all connections needs more."""


def made(count: int) -> Emulator:
    """Make an emulator with so many connections, ten runs each; the first ones are the same whatever the number."""
    emulator = Emulator(clock=ManualClock(speed=60), scenario=None)
    store = emulator.store
    now = store.clock.now()
    for number in range(count):
        kind = ("storage", "manifest", "export")[number % 3]
        connection = store.add_connection(kind, f"c-{number}", f"m-{number}", f"Connection {number}")  # type: ignore[arg-type]
        for age in range(RUNS, 0, -1):
            begun = store.new_run(connection, connection.files, connection.default_plan, now - age * 1000.0)
            store.record_run(connection, begun)
    # A client that was invited to some iTwins, as most real ones were.
    emulator.add_itwin("apart")
    emulator.add_connection("storage", "c-apart", emulator.add_imodel("m-apart", "apart"))
    emulator.add_client("service-guest", "secret", roles={"apart": "owner"})
    return emulator


@pytest.fixture(scope="module")
def small() -> Emulator:
    return made(FEW)


@pytest.fixture(scope="module")
def large() -> Emulator:
    return made(MANY)


def answered(emulator: Emulator, method: str, path: str, prefer: str | None, body: bytes, client: str) -> bytes:
    """Let an operation answer, without a network in between."""
    where, _, query = path.partition("?")
    found = ROUTER.find(method, tuple(where.strip("/").split("/")))
    assert found is not None
    operation, params = found
    assert operation.handler is not None
    request = ApiRequest(
        store=emulator.store,
        json_cache=emulator.json_cache,
        client=emulator.store.clients[client],
        traits=operation.traits,
        path=where,
        params=params,
        query=dict(pair.lower().split("=") for pair in query.split("&") if pair),
        prefer=prefer or "",
        body=body,
        origin="http://127.0.0.1",
    )
    try:
        answer: Response = operation.handler(request)
    except ApiError as error:
        answer = error.to_response()
    return encode(answer.body)


if sys.version_info >= (3, 12):

    def instructions(act: Callable[[], object]) -> int:
        """Count the instructions that something takes."""
        monitoring, tool, count = sys.monitoring, 4, 0

        def see(code: object, offset: int) -> None:
            nonlocal count
            count += 1

        monitoring.use_tool_id(tool, "instructions")
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, see)
        monitoring.set_events(tool, monitoring.events.INSTRUCTION)
        try:
            act()
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)
        return count

else:

    def instructions(act: Callable[[], object]) -> int:
        """Count the instructions that something takes."""
        count = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            count += event == "opcode"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            act()
        finally:
            sys.settrace(before)
        return count


def memory(act: Callable[[], object]) -> int:
    """Return the peak memory of a call in bytes."""
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        act()
        return tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()


WHOLE = "return=representation"
EVERYWHERE, GUEST = "service-emulator", "service-guest"
REQUESTS: list[tuple[str, str, str | None, bytes, str]] = [
    ("GET", f"{STORAGE}/c-3", None, b"", EVERYWHERE),
    ("GET", f"{MANIFEST}/c-4", None, b"", EVERYWHERE),
    ("GET", f"{EXPORT}/c-5", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/nobody", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/c-3/runs/{{run}}", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/c-3/runs/nothing", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/c-3/runs?$top=3", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/c-3/runs?$top=3", WHOLE, b"", EVERYWHERE),
    ("GET", f"{STORAGE}/c-3/sourcefiles", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}?imodelId=m-3", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}?imodelId=m-3", WHOLE, b"", EVERYWHERE),
    ("GET", f"{MANIFEST}?imodelId=m-4", WHOLE, b"", EVERYWHERE),
    ("GET", f"{EXPORT}?imodelId=m-5", None, b"", EVERYWHERE),
    ("GET", "/synchronization/imodels/connections?imodelId=m-3", WHOLE, b"", EVERYWHERE),
    ("GET", f"{STORAGE}?$top=2", WHOLE, b"", EVERYWHERE),
    ("GET", f"{STORAGE}?$top=2&$skip=2", None, b"", EVERYWHERE),
    ("GET", f"{STORAGE}?$top=2", WHOLE, b"", GUEST),
    ("GET", f"{STORAGE}/c-3", None, b"", GUEST),
    ("POST", f"{STORAGE}/c-3/run", None, b"", EVERYWHERE),
    ("POST", f"{STORAGE}/c-3/sourcefiles", None, b'{"storageFileId":"new","connectorType":"MSTN"}', EVERYWHERE),
    ("POST", f"{STORAGE}/c-3/sourcefiles", None, b'{"storageFileId":"new","connectorType":"MSTN"}', EVERYWHERE),
    ("DELETE", f"{STORAGE}/c-6", None, b"", EVERYWHERE),
]


@pytest.mark.parametrize(("method", "path", "prefer", "body", "client"), REQUESTS)
def test_an_answer_among_many(
    small: Emulator, large: Emulator, method: str, path: str, prefer: str | None, body: bytes, client: str
) -> None:
    work = []
    for emulator in (small, large):
        run = emulator.store.connections["c-3"].runs[0].id
        asked = (emulator, method, path.replace("{run}", run), prefer, body, client)
        if method == "GET":
            answered(*asked)
        work.append(instructions(lambda asked=asked: answered(*asked)))  # type: ignore[misc]
        if method == "GET":
            assert memory(lambda asked=asked: answered(*asked)) < BYTES  # type: ignore[misc]
    assert work[0] > 50
    assert work[1] <= work[0] * ROOM


def test_the_counters_count() -> None:
    assert instructions(lambda: sum(number for number in range(1000))) > 3000
    assert memory(lambda: list(range(10_000))) > 4 * BYTES


def test_the_dashboard_with_many_connections(small: Emulator, large: Emulator) -> None:
    """It shows at most 200 connections, so it may cost so much and no more."""
    most = 200 / (FEW + 1) * instructions(small.controls.dashboard)
    assert instructions(large.controls.dashboard) < most * ROOM


@pytest.fixture
def connection() -> Connection:
    emulator = Emulator(clock=ManualClock(speed=60))
    return emulator.store.connections[emulator.add_connection(files=5)]


def test_a_run_is_serialized_once(connection: Connection) -> None:
    emulator = Emulator(clock=ManualClock(speed=60))
    name = emulator.add_connection(files=200)
    run = emulator.store.connections[name].runs
    emulator.start_run(name)
    path = f"{STORAGE}/{name}/runs/{run[0].id}"

    def ask() -> object:
        return answered(emulator, "GET", path, None, b"", EVERYWHERE)

    first = instructions(ask)
    assert instructions(ask) < first / 5


def test_caches_are_bounded(connection: Connection) -> None:
    json_cache = RunJsonCache(max_bytes=20_000)
    emulator = Emulator(clock=ManualClock(speed=60))
    serializer = Serializer(emulator.clock.now(), 0.0, "http://127.0.0.1", emulator.quirks)
    for _ in range(100):
        json_cache.encode_run(
            emulator.store.new_run(connection, connection.files, connection.default_plan, serializer.now - 1e6),
            serializer,
        )
        assert json_cache.size <= 20_000
    assert 0 < len(json_cache) < 20
    request_log = RequestLog(limit=10)
    entry = LoggedRequest(0.0, "GET", "/", {}, None, 200, None, {}, "", None, 0, "")
    for _ in range(50):
        request_log.add(entry)
    assert len(request_log) == 10
    for number in range(MAX_VERIFIED + 10):
        token = emulator.make_token(emulator.client_id, lifetime=3600.0 + number)
        emulator.tokens.authenticate(f"Bearer {token}")
    assert len(emulator.tokens._verified_claims) <= MAX_VERIFIED
    assert find_route.cache_info().maxsize is not None
