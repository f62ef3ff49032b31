from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
import requests

from itwin_emulator import Emulator, Fault, ManualClock
from platform_client import MEDIA_TYPE, STORAGE, Api, error_of

GET = "get-storage-connection"


@pytest.fixture
def path(emulator: Emulator) -> str:
    return f"{STORAGE}/{emulator.add_connection(connection_id='c')}"


def test_a_burst_of_failures(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, times=2, status=503, headers={"Retry-After": "7"})
    answers = [api.get(path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert error_of(answers[0])["code"] == "ServiceUnavailable"
    assert [entry.fault for entry in emulator.request_log if entry.operation == GET] == ["status", "status", None]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "Unauthorized"),
        (403, "InsufficientPermissions"),
        (404, "StorageConnectionRunNotFound"),
        (409, "ConflictWithAnotherIModelRequest"),
        (429, "RateLimitExceeded"),
        (500, "InternalServerError"),
    ],
)
def test_a_status_brings_its_documented_body(api: Api, emulator: Emulator, status: int, code: str) -> None:
    emulator.fail("get-storage-connection-run", status=status)
    answer = api.get(f"{STORAGE}/c/runs/r")
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "sent"), [(b"\x00\xff", b"\x00\xff"), ("text", b"text"), ({"a": 1}, b'{"a":1}'), ([], b"[]")]
)
def test_own_bodies(api: Api, emulator: Emulator, path: str, body: Any, sent: bytes) -> None:
    emulator.fail(GET, status=500, body=body)
    assert api.get(path).content == sent


def test_patterns_connections_and_later(api: Api, emulator: Emulator, path: str) -> None:
    other = f"{STORAGE}/{emulator.add_connection()}"
    emulator.fail("get-*", None, 500, connection_id="c", after=1)
    emulator.fail("run-storage-connection", status=504)
    assert [api.get(one).status_code for one in (path, path, other, path)] == [200, 500, 200, 500]
    assert api.get(f"{path}/runs").status_code == 500
    assert api.start("storage", "c").status_code == 504
    assert emulator.clear_faults() == 1
    assert api.get(path).status_code == 200


def test_healing_one_operation(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, None)
    emulator.fail("token", None)
    assert emulator.clear_faults(GET) == 1
    assert api.ask_token().status_code == 503
    assert emulator.controls.overview()["faults"][0]["operation"] == "token"


def test_an_outage_ends_by_itself(api: Api, emulator: Emulator, clock: ManualClock, path: str) -> None:
    assert api.token
    emulator.outage(30)
    assert [api.get(path).status_code for _ in range(3)] == [503] * 3
    assert api.ask_token().status_code == 503
    clock.advance(29)
    assert api.get(path).status_code == 503
    clock.advance(1)
    assert api.get(path).status_code == 200
    assert emulator.controls.overview()["faults"] == []


def test_trouble_at_the_token_endpoint(api: Api, emulator: Emulator) -> None:
    emulator.fail("token", 1, 400, body={"error": "invalid_client"})
    emulator.fail("discovery", 1, kind="html")
    assert api.ask_token().json() == {"error": "invalid_client"}
    assert requests.get(f"{api.url}/.well-known/openid-configuration", timeout=5).status_code == 502


def test_reset_before_processing_leaves_no_run(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail("run-storage-connection", kind="reset-before")
    with pytest.raises(requests.ConnectionError):
        api.start("storage", "c")
    assert emulator.runs("c") == []
    assert emulator.request_log[-1].status is None
    assert api.start("storage", "c").status_code == 202


def test_reset_after_processing_leaves_one(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail("run-storage-connection", kind="reset-after")
    with pytest.raises(requests.ConnectionError):
        api.start("storage", "c")
    assert len(emulator.runs("c")) == 1
    assert api.start("storage", "c").status_code == 303


def test_a_gateway_timeout_can_hide_a_start(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail("run-storage-connection", status=504, processed=True)
    assert api.start("storage", "c").status_code == 504
    assert len(emulator.runs("c")) == 1


def test_truncated(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="truncate")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get(path)
    assert api.get(path).status_code == 200


def test_short_length(api: Api, emulator: Emulator, path: str) -> None:
    whole = api.get(path).content
    emulator.fail(GET, kind="short-length")
    cut = api.get(path)
    assert cut.status_code == 200
    assert cut.content == whole[: len(whole) // 2]


def test_delay_comes_on_top_of_another_fault(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="delay", seconds=0.2)
    emulator.fail(GET, status=500)
    begun = time.monotonic()
    assert api.get(path).status_code == 500
    assert time.monotonic() - begun >= 0.2


def test_hang(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="hang")
    with pytest.raises(requests.ReadTimeout):
        api.get(path, timeout=0.2)
    assert api.get(path).status_code == 200


def test_slow_body(api: Api, emulator: Emulator, path: str) -> None:
    whole = api.get(path).content
    emulator.fail(GET, kind="slow-body", seconds=0.3)
    begun = time.monotonic()
    assert api.get(path).content == whole
    assert time.monotonic() - begun >= 0.25


def test_html(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="html")
    answer = api.get(path)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "text/html"
    assert b"<html>" in answer.content


def test_bodies_that_cannot_be_used(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="invalid-json")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        api.get(path).json()
    emulator.fail(GET, kind="wrong-type")
    assert isinstance(api.get(path).json(), list)
    emulator.fail(GET, kind="wrong-content-type")
    assert api.get(path).headers["Content-Type"].startswith("text/plain")
    emulator.fail(GET, kind="empty")
    answer = api.get(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_redirect(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="redirect", location="https://evil.example/token", status=307)
    answer = api.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://evil.example/token")


def test_bare(api: Api, emulator: Emulator, path: str) -> None:
    usual = api.get(path)
    emulator.fail(GET, kind="bare")
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (200, usual.json())
    assert [name.lower() for name in answer.headers] == ["content-length"]
    assert answer.raw.version == 10, "the connection is closed, so a client must not use it again"


def test_huge_and_bombs(api: Api, emulator: Emulator, path: str) -> None:
    emulator.fail(GET, kind="huge", size=3_000_000)
    assert len(api.get(path).content) == 3_000_002
    emulator.fail(GET, kind="gzip-bomb", size=5 * 1024 * 1024)
    answer = api.get(path)
    assert int(answer.headers["Content-Length"]) < 20_000
    assert len(answer.content) == 5 * 1024 * 1024 + 2
    assert json.loads(answer.content) == {}


async def test_endless(emulator: Emulator, api: Api, path: str) -> None:
    token = await asyncio.to_thread(lambda: api.token)
    emulator.fail(GET, kind="endless")
    headers = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE}
    seen = 0
    async with aiohttp.ClientSession() as session, session.get(emulator.url + path, headers=headers) as answer:
        async for part in answer.content.iter_any():
            seen += len(part)
            if seen > 10_000_000:
                break
    assert seen > 10_000_000


def test_stopping_while_requests_hang(clock: ManualClock) -> None:
    with Emulator(clock=clock) as emulator:
        api = Api(emulator.url, emulator.client_id, emulator.client_secret)
        emulator.fail("token", kind="hang")
        with pytest.raises(requests.ReadTimeout):
            api.session.post(f"{api.url}/connect/token", timeout=0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5


def test_mistakes_in_a_fault(emulator: Emulator) -> None:
    for wrong, message in (
        ({"times": 0}, "at least 1"),
        ({"status": 99}, "between 200 and 599"),
        ({"kind": "redirect"}, "location"),
        ({"kind": "explode"}, "not allowed"),
        ({"seconds": -1}, "negative"),
    ):
        with pytest.raises(ValueError, match=message):
            emulator.fail(**wrong)
    with pytest.raises(ValueError, match="times"):
        Fault(times=-1)
