"""The synchronous client: what it passes to ``requests``, and how it reads the response."""

from __future__ import annotations

import gzip
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock
from urllib3.exceptions import IncompleteRead, ProtocolError

from airflow_provider_itwin.api import client as module
from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError, ITwinProtocolError, ITwinStoppedError
from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Account, Network
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.start import Baseline, StartAttempt, StartOutcome, StartResult
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.certificate import self_signed
from tests.api.responses import DATA, EXPORT, MANIFEST, STORAGE
from tests.api.scripted_service import CREDENTIALS, PRODUCTION, WALL

TOKEN_URL = "https://ims.bentley.com/connect/token"
TOKEN = {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"}
GET_CONNECTION = endpoints.get_connection(ConnectionKind.STORAGE, "c1")
CONNECTION = {"connection": {"id": "c1"}}


class FakeClock:
    """A clock that advances only in `sleep`."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


def make_client(network: Network | None = None, credentials: Any = CREDENTIALS) -> tuple[ITwinClient, FakeClock]:
    time = FakeClock()
    account = Account(
        PRODUCTION,
        credentials,
        network or Network(),
        clock=lambda: time.passed,
        wall=lambda: WALL + time.passed,
        chance=lambda: 0.5,
    )
    return ITwinClient(account, time.sleep), time


@pytest.fixture
def service() -> Any:
    with requests_mock.Mocker() as mocker:
        mocker.post(TOKEN_URL, json=TOKEN)
        mocker.get(f"{STORAGE}/c1", json=CONNECTION)
        yield mocker


@pytest.mark.parametrize("verify", [True, False, "own"])
@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_certificate_authorities_are_passed_to_requests(
    service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: Any, variable: str | None
) -> None:
    machine = str(self_signed(tmp_path / "machine.pem"))
    if verify == "own":
        verify = str(self_signed(tmp_path / "own.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, machine)

    make_client(Network(verify=verify))[0].call(GET_CONNECTION)

    expected = machine if variable and verify is True else verify
    assert [request.verify for request in service.request_history] == [expected] * 2


def test_proxies_of_the_connection_are_passed_to_requests_instead_of_those_of_the_machine(
    service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://machine:1")

    make_client(Network(proxies=(("https", "http://own:1"),)))[0].call(GET_CONNECTION)
    own = dict(service.request_history[-1].proxies)
    make_client()[0].call(GET_CONNECTION)
    machine = dict(service.request_history[-1].proxies)

    assert own["https"] == "http://own:1"
    assert machine["https"] == "http://machine:1"


@pytest.mark.parametrize(("timeout", "connect"), [(60.0, 10.0), (6.0, 1.0), (0.5, 1.0), (600.0, 100.0)])
def test_the_timeout_is_passed_to_requests(service: requests_mock.Mocker, timeout: float, connect: float) -> None:
    make_client(Network(timeout=timeout))[0].call(GET_CONNECTION)

    passed: list[Any] = [request.timeout for request in service.request_history]
    assert passed == [(connect, timeout)] * 2
    assert not service.request_history[-1].allow_redirects
    assert service.request_history[-1].stream


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectTimeout("slow"),
        requests.ReadTimeout("slow"),
        requests.ConnectionError("refused"),
        requests.exceptions.SSLError("certificate"),
        requests.exceptions.ProxyError("proxy"),
        requests.exceptions.ChunkedEncodingError("chunks"),
        requests.exceptions.InvalidURL("url"),
        requests.exceptions.InvalidHeader("header"),
        ProtocolError("protocol"),
        IncompleteRead(5, 7),
        OSError("disk"),
        ConnectionResetError(104, "reset"),
        UnicodeError("letters"),
        ValueError("value"),
    ],
)
def test_any_transport_error_is_a_connection_error(service: requests_mock.Mocker, error: Exception) -> None:
    service.get(f"{STORAGE}/c1", exc=error)
    client, _ = make_client()

    with pytest.raises(ITwinConnectionError, match=rf"got no complete response: {type(error).__name__}: "):
        client.call(GET_CONNECTION, retry_budget=0.0)


def test_a_programming_error_is_not_a_connection_error(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1", exc=ZeroDivisionError)

    with pytest.raises(ZeroDivisionError):
        make_client()[0].call(GET_CONNECTION)


def test_a_retry_is_logged(service: requests_mock.Mocker, caplog: pytest.LogCaptureFixture) -> None:
    service.get(f"{STORAGE}/c1", [{"status_code": 503, "text": "busy"}, {"json": CONNECTION}])
    client, time = make_client()

    assert client.call(GET_CONNECTION).id == "c1"

    assert time.slept == [0.75]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "returned 503" in record.getMessage()
    assert record.getMessage().endswith("Retrying in 0.8 s.")


def test_names_of_headers_are_in_lower_case(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1", status_code=404, headers={"X-Correlation-ID": "corr", "RETRY-AFTER": "7"})

    with pytest.raises(Exception, match="Correlation id: corr") as caught:
        make_client()[0].call(GET_CONNECTION)
    assert getattr(caught.value, "retry_after", None) == 7.0


def test_a_body_is_read_up_to_its_limit(service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BODY", 1 << 20)
    padding = b" " * ((1 << 20) - 26)
    service.get(
        f"{STORAGE}/c1", [{"content": b'{"connection":{"id":"c1"}}' + padding}, {"content": b"{" + b" " * (1 << 20)}]
    )
    client, _ = make_client()

    assert client.call(GET_CONNECTION).id == "c1"
    with pytest.raises(ITwinConnectionError, match="its body is larger than 1 MiB"):
        client.call(GET_CONNECTION, retry_budget=0.0)


def test_a_body_is_decoded(service: requests_mock.Mocker) -> None:
    service.get(
        f"{STORAGE}/c1",
        content=gzip.compress(b'{"connection":{"displayName":"zipped"}}'),
        headers={"Content-Encoding": "gzip"},
    )

    assert make_client()[0].call(GET_CONNECTION).display_name == "zipped"


def test_many_threads_fetch_one_token(service: requests_mock.Mocker) -> None:
    client, _ = make_client()
    threads = [threading.Thread(target=client.call, args=(GET_CONNECTION,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)

    assert [request.url for request in service.request_history].count(TOKEN_URL) == 1
    assert len(service.request_history) == 21


def test_a_ready_token_is_sent_to_the_api_only(service: requests_mock.Mocker) -> None:
    make_client(credentials=ReadyToken("ready"))[0].call(GET_CONNECTION)

    (request,) = service.request_history
    assert (request.hostname, request.headers["authorization"]) == ("api.bentley.com", "Bearer ready")


def test_a_list_is_read_page_by_page_on_demand(service: requests_mock.Mocker) -> None:
    def page(request: Any, context: Any) -> Any:
        skip = int(request.qs["$skip"][0])
        count = max(0, min(100, 100_000 - skip))
        return {
            "sourceFiles": [{"id": f"f{number}"} for number in range(skip, skip + count)],
            "_links": {"next": {"href": "x"}},
        }

    service.get(f"{STORAGE}/c1/sourcefiles", json=page)
    client, _ = make_client()

    files = client.list_source_files("c1")
    assert service.request_history == [], "nothing is requested before it is read"
    assert [file.id for file in islice(files, 3)] == ["f0", "f1", "f2"]
    assert len(service.request_history) == 2
    assert sum(1 for _ in files) == 99_997
    assert len(service.request_history) == 1 + 1001


def test_the_session_is_closed_with_the_client(service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(requests.Session, "close", lambda self: closed.append(True))

    with make_client()[0] as client:
        client.call(GET_CONNECTION)
        assert not closed
    assert closed


RUN = (DATA / "get-storage-connection-run.200.json").read_bytes()
DOCUMENTED_RUN = b"a1ecbdc8c4f6173004f9f881914a57c5511a362b"
DOCUMENTED_CONNECTION = b"MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4"


@pytest.mark.parametrize(
    ("kind", "root"),
    [(ConnectionKind.STORAGE, STORAGE), (ConnectionKind.MANIFEST, MANIFEST), (ConnectionKind.EXPORT, EXPORT)],
)
def test_every_method_sends_its_request(service: requests_mock.Mocker, kind: ConnectionKind, root: str) -> None:
    start = f"{root}/c1/run" if kind is ConnectionKind.STORAGE else f"{root}/c1/runs"
    last_run = {"lastRun": {"href": f"{root}/c1/runs/old"}}
    service.get(f"{root}/c1", json={"connection": {"id": "c1", "_links": last_run}})
    service.get(root, json={"connections": [{"id": "c1"}]})
    service.get(f"{root}/c1/runs", json={"runs": [{"id": "r1"}, {"id": "r2"}]})
    service.get(f"{root}/c1/runs/r1", content=RUN.replace(DOCUMENTED_RUN, b"r1").replace(DOCUMENTED_CONNECTION, b"c1"))
    named = {"location": f"{root}/c1/runs/r1"}
    service.post(start, [{"status_code": 202, "headers": named}, {"status_code": 303, "headers": named}])
    client, _ = make_client(credentials=ReadyToken("ready"))
    ref = RunRef(kind, "c1", "r1")
    attempt = StartAttempt(Baseline(RunRef(kind, "c1", "old"), names_last_run=True))
    in_doubt = replace(attempt, in_doubt=True)
    saved: list[StartAttempt] = []

    assert client.ensure_run("c1", kind, save=saved.append) == StartResult(ref, StartOutcome.CREATED, in_doubt)
    assert saved == [in_doubt]
    assert client.ensure_run("c1", kind, attempt=in_doubt) == StartResult(
        ref, StartOutcome.ACTIVE, attempt, ActiveRun(ref, is_own=True, is_fresh=True, is_finished=True)
    )
    assert client.get_run("c1", "r1", kind).phase == "MasterFile"
    assert client.describe_connection("c1", kind).id == "c1"
    assert [run.id for run in client.list_runs("c1", kind)] == ["r1", "r2"]
    assert [one.id for one in client.list_connections("m1", kind)] == ["c1"]
    spec = WaitSpec(kind, "c1", "r1")
    assert client.wait(spec).end is client.poll_once(spec, 0.0).end is WaitEnd.FINISHED
    assert {request.hostname for request in service.request_history} == {"api.bentley.com"}


def test_an_invalid_run_is_a_protocol_error_after_the_retry_budget(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1/runs/r1", json={"run": 5})
    client, time = make_client()

    with pytest.raises(ITwinProtocolError):
        client.get_run("c1", "r1")
    assert sum(time.slept) == pytest.approx(120.0)


def test_an_event_ends_the_pauses_between_requests(
    service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, time = make_client(credentials=ReadyToken("t"))
    stopped = threading.Event()
    waits: list[tuple[threading.Event, float]] = []

    def pause(event: threading.Event, seconds: float) -> None:
        waits.append((event, seconds))
        event.set()

    monkeypatch.setattr(stopping, "pause", pause)
    service.get(requests_mock.ANY, status_code=503, headers={"Retry-After": "60"})
    with client.stopped_by(stopped), pytest.raises(ITwinStoppedError):
        client.call(GET_CONNECTION)
    assert (service.call_count, [event for event, _ in waits]) == (1, [stopped])
    with pytest.raises(ITwinError):
        client.call(GET_CONNECTION, retry_budget=100.0)
    assert len(waits) == 1, "after that, the client sleeps as before"
    assert time.passed >= 60


def test_a_pause_ends_when_the_task_is_stopped() -> None:
    stopped = threading.Event()
    stopped.set()
    stopping.pause(stopped, 3600.0)
