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
from itwin_emulator.api.json_cache import RunPrints, encode
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.runs import Run
from itwin_emulator.http.errors import Answer, ApiError
from itwin_emulator.http.oauth import MOST_KNOWN
from itwin_emulator.http.request import Call
from itwin_emulator.http.request_log import Journal, JournalEntry
from itwin_emulator.http.server import _find_place
from itwin_emulator.spec.operations import ROUTER

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
    platform = emulator.platform
    now = platform.clock.now()
    for number in range(count):
        kind = ("storage", "manifest", "export")[number % 3]
        connection = platform.add_connection(kind, f"c-{number}", f"m-{number}", f"Connection {number}")  # type: ignore[arg-type]
        for age in range(RUNS, 0, -1):
            begun = Run.begin(connection, connection.files, connection.usual_plan, now - age * 1000.0, 60.0)
            platform.record_run(connection, begun)
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
    call = Call(
        platform=emulator.platform,
        client=emulator.platform.clients[client],
        traits=operation.traits,
        path=where,
        params=params,
        query=dict(pair.lower().split("=") for pair in query.split("&") if pair),
        headers={} if prefer is None else {"Prefer": prefer},
        body=body,
        origin="http://127.0.0.1",
    )
    try:
        answer: Answer = operation.handler(call)
    except ApiError as error:
        answer = error.answer()
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
    """Tell how many bytes something takes at most while it goes on."""
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
        run = emulator.platform.connections["c-3"].runs[0].id
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


def test_the_page_for_people_among_many(small: Emulator, large: Emulator) -> None:
    """It shows at most 200 connections, so it may cost so much and no more."""
    most = 200 / (FEW + 1) * instructions(small.watch)
    assert instructions(large.watch) < most * ROOM


@pytest.fixture
def connection() -> Connection:
    emulator = Emulator(clock=ManualClock(speed=60))
    return emulator.platform.connections[emulator.add_connection(files=5)]


def test_a_run_asked_for_again_is_not_printed_again(connection: Connection) -> None:
    emulator = Emulator(clock=ManualClock(speed=60))
    name = emulator.add_connection(files=200)
    run = emulator.platform.connections[name].runs
    emulator.start_run(name)
    path = f"{STORAGE}/{name}/runs/{run[0].id}"

    def ask() -> object:
        return answered(emulator, "GET", path, None, b"", EVERYWHERE)

    first = instructions(ask)
    assert instructions(ask) < first / 5


def test_what_is_remembered_is_bounded(connection: Connection) -> None:
    prints = RunPrints(most_bytes=20_000)
    emulator = Emulator(clock=ManualClock(speed=60))
    show = emulator.platform.show("http://127.0.0.1")
    for _ in range(100):
        prints.of(Run.begin(connection, connection.files, connection.usual_plan, show.now - 1e6, 60.0), show)
        assert prints.size <= 20_000
    assert 0 < len(prints) < 20
    journal = Journal(limit=10)
    entry = JournalEntry(0.0, "GET", "/", {}, None, 200, None, {}, "", None, 0, "")
    for _ in range(50):
        journal.add(entry)
    assert len(journal) == 10
    for number in range(MOST_KNOWN + 10):
        token = emulator.make_token(emulator.client_id, lifetime=3600.0 + number)
        emulator.desk.examine(f"Bearer {token}")
    assert len(emulator.desk._known) <= MOST_KNOWN
    assert _find_place.cache_info().maxsize is not None
