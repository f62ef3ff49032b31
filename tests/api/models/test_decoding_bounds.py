"""What decoding costs is bounded before it is paid: for every kind of answer, in both clients, well-formed or not."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.errors import ITwinError, ITwinProtocolError
from airflow_provider_itwin.api.http.auth import (
    ClientCredentials,
    ReadyToken,
    read_token,
)
from airflow_provider_itwin.api.http.config import Environment, Network
from airflow_provider_itwin.api.http.error_mapping import map_error
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models import decoding
from airflow_provider_itwin.api.models.decoding import (
    LARGEST_AT_ONCE,
    LARGEST_SMALL_BODY,
    MOST_SMALL_VALUES,
    MOST_VALUES,
    OversizedError,
    check_size,
    read_json,
    valid_escapes,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import LARGEST_REPORT, RunReport
from airflow_provider_itwin.api.models.resources import (
    ConnectionEnvelope,
    ConnectionPage,
    RunEnvelope,
    RunPage,
    RunSummaryEnvelope,
    RunSummaryPage,
    SourceFilePage,
    decoded,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from tests.api.drivers import DRIVERS, World, call, driver
from tests.api.recorder import Received, Recorder

MEBIBYTE = 1 << 20
REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")
TWENTY_MILLION = b'{"run":{"id":"r1","state":"Completed","result":"Success","jobs":[%s]}}' % b",".join(
    [b"{}"] * 20_000_000
)


def many(entry: bytes, head: bytes, tail: bytes, count: int = MOST_VALUES) -> bytes:
    return head + b",".join([entry] * count) + tail


HOSTILE: dict[str, Callable[[], bytes]] = {
    "jobs": lambda: many(b"{}", b'{"run":{"state":"Completed","jobs":[', b"]}}"),
    "jobs that are lists": lambda: many(b"[]", b'{"run":{"state":"Completed","jobs":[', b"]}}"),
    "jobs that are numbers": lambda: many(b"1", b'{"run":{"state":"Completed","jobs":[', b"]}}"),
    "tasks": lambda: many(b"{}", b'{"run":{"jobs":[{"tasks":[', b"]}]}}"),
    "jobs with tasks": lambda: many(b'{"tasks":[{}]}', b'{"run":{"jobs":[', b"]}}"),
    "unknown values": lambda: many(b"{}", b'{"run":{"unknown":[', b"]}}"),
    "keys": lambda: many(b'"k":0', b'{"run":{', b"}}"),
    "entries of a page": lambda: many(b"{}", b'{"runs":[', b"]}"),
    "source files": lambda: many(b"{}", b'{"sourceFiles":[', b"]}"),
    "connections": lambda: many(b"{}", b'{"connections":[', b"]}"),
    "connection": lambda: many(b"{}", b'{"connection":{"x":[', b"]}}"),
    "an error": lambda: many(b"{}", b'{"error":{"code":"x","details":[', b"]}}"),
    "a token": lambda: many(b"{}", b'{"access_token":"t0ken","x":[', b"]}"),
    "a list": lambda: many(b"{}", b"[", b"]"),
    "not quite JSON": lambda: many(b"{}", b'{"run":{"jobs":[', b""),
    "not UTF-8": lambda: many(b"{}", b'{"run":{"id":"\xff","jobs":[', b"]}}"),
    "half a pair": lambda: many(b"{}", rb'{"run":{"id":"\ud83d","jobs":[', b"]}}"),
}
SHAPES = (RunEnvelope, RunSummaryEnvelope, ConnectionEnvelope, RunPage, RunSummaryPage, SourceFilePage, ConnectionPage)


def refused_as_too_large(read: Callable[[], object]) -> str:
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((ITwinProtocolError, OversizedError)) as caught:
            read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 5.0
    assert peak < MEBIBYTE, "nothing of it may be decoded"
    return str(caught.value)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_too_many_values_are_refused_before_they_are_decoded(hostile: str) -> None:
    body = HOSTILE[hostile]()

    for shape in SHAPES:
        text = refused_as_too_large(lambda shape=shape: decoded(body, shape))  # type: ignore[misc]
        assert f"{len(body):,} bytes with more than {MOST_VALUES:,} JSON values" in text
    small = refused_as_too_large(lambda: read_json(body))
    assert f"{len(body):,} bytes" in small
    token = refused_as_too_large(lambda: read_token(Response(200, {}, body), 0.0))
    assert "The response of the token endpoint is too large" in token
    assert "t0ken" not in token


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_an_error_that_is_too_large_is_not_decoded(status: int) -> None:
    body = HOSTILE["an error"]()
    tracemalloc.start()
    try:
        error = map_error(Response(status, {}, body), Request("GET", "https://api/x", {}), "get", ReadyToken("t0ken"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert error.status == status
    assert error.code is None
    assert peak < MEBIBYTE


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (b"[" + b",".join([b"0"] * (MOST_SMALL_VALUES - 2)) + b"]", True),
        (b"[" + b",".join([b"0"] * (MOST_SMALL_VALUES + 1)) + b"]", False),
        (b'"' + b"x" * (LARGEST_SMALL_BODY - 2) + b'"', True),
        (b'"' + b"x" * (LARGEST_SMALL_BODY - 1) + b'"', False),
    ],
    ids=["values", "one value more", "bytes", "one byte more"],
)
def test_small_answers_have_small_bounds(body: bytes, fits: bool) -> None:
    if fits:
        assert read_json(body) is not None
    else:
        with pytest.raises(OversizedError):
            read_json(body)


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize(
    "value",
    [0, "a,b", [], {}, [[]], [[], []], {"a": {}}, {"a": 1, "b": [1, 2, {"c": None}]}, [[[[1]]], {"x": [[]]}]],
    ids=str,
)
def test_values_are_never_undercounted(value: Any) -> None:
    body = json.dumps(value).encode() + b" " * 20

    with pytest.raises(OversizedError):
        check_size(body, count(value) - 1)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("answer", ["run", "error", "token"])
def test_a_small_answer_that_holds_millions_of_values_is_refused(name: str, answer: str) -> None:
    bomb = gzip.compress(TWENTY_MILLION, 1)
    assert len(bomb) < 400_000

    def response(got: Received) -> tuple[int, dict[str, str], bytes]:
        if got.method == "POST" and answer != "token":
            return 200, {}, b'{"access_token":"t0ken"}'
        return 500 if answer == "error" else 200, {"Content-Encoding": "gzip"}, bomb

    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = response
        account = world.account(network=Network(60.0), environment=Environment.of(recorder.url))
        with driver(name, world, account) as made:
            began = time.monotonic()
            with pytest.raises(ITwinError) as caught:
                call(made, endpoints.get_run_summary(*_parts(REF)), retry_budget=0.0)
    assert time.monotonic() - began < 20.0, "it took 100 s before"
    if answer == "run":
        assert f"{len(TWENTY_MILLION):,} bytes with more than {MOST_VALUES:,} JSON values" in str(caught.value)
    assert caught.value.transient


def _parts(ref: RunRef) -> tuple[ConnectionKind, str, str]:
    return ref.kind, ref.connection_id, ref.run_id


def run_of(files: int, **task: Any) -> bytes:
    entry = json.dumps(
        {
            "id": "297c7965-2f8a-4d3b-9c1b-000000000000",
            "startDateTime": "2026-03-02T01:07:23.7290000Z",
            "endDateTime": "2026-03-02T01:09:41.1130000Z",
            "retryAttempts": 0,
            "storageFileId": "TYJsPN0xtkWId0yUrXkS5pN5AQzuulxA00000000001",
            "state": "Completed",
            "result": "Error",
            "details": {"synchronizationReport": {"suggestedAction": "", "message": "", "totalWarningsCount": 1}},
            "error": {"errorCode": "X", "message": "It failed, twice", "description": "y", "canUserFix": True},
            **task,
        }
    ).encode()
    head = b'{"run":{"id":"r1","state":"Completed","result":"Error","jobs":[{"connectorType":"MSTN","tasks":['
    return head + b",".join([entry] * files) + b"]}]}}"


def test_a_run_of_a_hundred_thousand_files_has_its_bounded_report() -> None:
    body = run_of(100_000)
    assert len(body) > 60 * MEBIBYTE - (1 << 24)

    report = RunReport.of(REF, decoded(body, RunEnvelope).run)

    assert report.totals.tasks == 100_000
    assert len(json.dumps(report.as_dict())) <= LARGEST_REPORT


@pytest.mark.parametrize(
    "odd",
    [{"state": 5}, {"error": ["x"]}, {"retryAttempts": "many"}, {"details": None, "id": [1]}, {"unknown": {"a": [1]}}],
    ids=str,
)
def test_a_large_run_with_odd_values_in_it_loses_only_these(odd: dict[str, Any]) -> None:
    body = run_of(3000, **odd)
    assert len(body) > 2 * LARGEST_AT_ONCE

    tasks = (decoded(body, RunEnvelope).run.jobs or [])[0].tasks or []

    assert len(tasks) == 3000
    assert {task.result for task in tasks} == {"Error"}


@pytest.mark.parametrize("cut", [b"\xff\xfe", rb"\ud83d", rb"\ude00", rb"\ud83d\n\ud83d", rb"\\\ud83d"])
def test_a_large_run_with_a_text_that_was_cut_loses_only_this(cut: bytes) -> None:
    body = run_of(3000).replace(b"It failed, twice", b"It failed " + cut)

    tasks = (decoded(body, RunEnvelope).run.jobs or [])[0].tasks or []

    assert len(tasks) == 3000
    assert all(task.error and task.error.message and task.error.message.startswith("It failed ") for task in tasks)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (rb"\ud83d\ude00", rb"\ud83d\ude00"),
        (rb"\ud83d", rb"\ufffd"),
        (rb"\ude00\ud83d", rb"\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", rb"\ufffd\ud83d\ude00"),
        (rb"\\ud83d\ude00", rb"\\ud83d\ufffd"),
        (rb"\\\ud83d", rb"\\\ufffd"),
        (rb"\n\uD83D\t\UDE00", rb"\n\ufffd\t\UDE00"),
        (b"plain", b"plain"),
    ],
)
@pytest.mark.parametrize("before", [0, MEBIBYTE - 20, MEBIBYTE - 7, MEBIBYTE - 1, MEBIBYTE, 2 * MEBIBYTE - 16])
def test_halves_of_pairs_are_replaced_wherever_they_stand(text: bytes, valid: bytes, before: int) -> None:
    assert valid_escapes(b" " * before + text) == b" " * before + valid
    assert valid_escapes(b" " * before + text + b" " * MEBIBYTE) == b" " * before + valid + b" " * MEBIBYTE


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (rb"\ud83d" * 2_000_000, True),
        (rb"\\" * 5_000_000 + b"u", False),
        (b"\\" * 10_000_001 + b"ud83d", False),
        (b'"' * 10_000_000, False),
    ],
    ids=["halves", "backslashes", "backslashes before a half", "quotes"],
)
def test_repairing_takes_time_in_proportion_to_the_body(body: bytes, refused: bool) -> None:
    began = time.monotonic()
    if refused:
        with pytest.raises(OversizedError):
            valid_escapes(body)
    else:
        valid_escapes(body)
    assert time.monotonic() - began < 15.0


@pytest.mark.parametrize("operation", [endpoints.get_run, endpoints.get_run_summary])
@pytest.mark.parametrize("files", [3000, 20_000])
async def test_a_large_run_is_decoded_in_a_thread_and_in_pieces(
    files: int, operation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    threads: set[int] = set()
    usual = decoding._resource

    def noted(part: Any, shape: Any) -> Any:
        threads.add(threading.get_ident())
        plan = decoding._plan_of(shape)
        size = memoryview(part).nbytes
        if size <= LARGEST_AT_ONCE:
            steps.append(size)
        elif not plan.holds_lists:
            steps.append(-1)
        return usual(part, shape)

    monkeypatch.setattr(decoding, "_resource", noted)
    body = run_of(files)
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {}, b'{"access_token":"t"}' if got.method == "POST" else body)
        credentials = ClientCredentials("a", "b")
        account = world.account(credentials, Network(60.0), Environment.of(recorder.url))
        async with AsyncITwinClient(account) as client:
            await client.call(operation(*_parts(REF)), retry_budget=0.0)

    assert threads
    assert threading.get_ident() not in threads, "the event loop must not decode it"
    assert len(steps) == files
    assert max(steps) < LARGEST_AT_ONCE


async def test_one_who_is_cancelled_while_an_answer_is_decoded_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = threading.Event(), threading.Event()
    usual = decoding._resource

    def slowly(part: Any, shape: Any) -> Any:
        started.set()
        go_on.wait(10.0)
        return usual(part, shape)

    body = run_of(3000)
    world = World()
    with Recorder().serving() as recorder:
        recorder.answer = lambda got: (200, {}, body)
        account = world.account(ReadyToken("t"), Network(60.0), Environment.of(recorder.url))
        async with AsyncITwinClient(account) as client:
            monkeypatch.setattr(decoding, "_resource", slowly)
            first = asyncio.create_task(client.call(endpoints.get_run(*_parts(REF)), retry_budget=0.0))
            await asyncio.to_thread(started.wait, 10.0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go_on.set()
            monkeypatch.setattr(decoding, "_resource", usual)
            assert (await client.call(endpoints.get_run(*_parts(REF)), retry_budget=0.0)).id == "r1"
