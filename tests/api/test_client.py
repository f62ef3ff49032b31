"""The synchronous client's own duties: what it hands to ``requests``, and what it makes of what comes back."""

from __future__ import annotations

import gzip
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock
from urllib3.exceptions import IncompleteRead, ProtocolError

from airflow_provider_itwin.api import client as module
from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinProtocolError
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Account, Network
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.start import Baseline, StartedRun
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.certificate import self_signed
from tests.api.responses import DATA, EXPORT, MANIFEST, STORAGE
from tests.api.scripted_service import CREDENTIALS, PRODUCTION, WALL

TOKEN_URL = "https://ims.bentley.com/connect/token"
TOKEN = {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"}
LOOK = endpoints.get_connection(ConnectionKind.STORAGE, "c1")
CONNECTION = {"connection": {"id": "c1"}}


class Time:
    """A clock that goes only when somebody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


def made(network: Network | None = None, credentials: Any = CREDENTIALS) -> tuple[ITwinClient, Time]:
    time = Time()
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
def test_whom_to_trust_is_handed_over(
    service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: Any, variable: str | None
) -> None:
    machine = str(self_signed(tmp_path / "machine.pem"))
    if verify == "own":
        verify = str(self_signed(tmp_path / "own.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, machine)

    made(Network(verify=verify))[0].call(LOOK)

    expected = machine if variable and verify is True else verify
    assert [request.verify for request in service.request_history] == [expected] * 2


def test_proxies_are_handed_over_and_come_before_those_of_the_machine(
    service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://machine:1")

    made(Network(proxies=(("https", "http://own:1"),)))[0].call(LOOK)
    own = dict(service.request_history[-1].proxies)
    made()[0].call(LOOK)
    machine = dict(service.request_history[-1].proxies)

    assert own["https"] == "http://own:1"
    assert machine["https"] == "http://machine:1"


@pytest.mark.parametrize(("timeout", "connect"), [(60.0, 10.0), (6.0, 1.0), (0.5, 1.0), (600.0, 100.0)])
def test_the_time_limit_is_handed_over(service: requests_mock.Mocker, timeout: float, connect: float) -> None:
    made(Network(timeout=timeout))[0].call(LOOK)

    handed_over: list[Any] = [request.timeout for request in service.request_history]
    assert handed_over == [(connect, timeout)] * 2
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
def test_whatever_goes_wrong_on_the_way_is_no_answer(service: requests_mock.Mocker, error: Exception) -> None:
    service.get(f"{STORAGE}/c1", exc=error)
    client, _ = made()

    with pytest.raises(ITwinConnectionError, match=rf"got no complete answer: {type(error).__name__}: "):
        client.call(LOOK, retry_budget=0.0)


def test_a_mistake_of_ours_is_not_taken_for_trouble_on_the_way(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1", exc=ZeroDivisionError)

    with pytest.raises(ZeroDivisionError):
        made()[0].call(LOOK)


def test_trouble_is_told_in_the_log_and_waited_out(
    service: requests_mock.Mocker, caplog: pytest.LogCaptureFixture
) -> None:
    service.get(f"{STORAGE}/c1", [{"status_code": 503, "text": "busy"}, {"json": CONNECTION}])
    client, time = made()

    assert client.call(LOOK).id == "c1"

    assert time.slept == [0.75]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "was answered with 503" in record.getMessage()
    assert record.getMessage().endswith("Trying again in 0.8 s.")


def test_names_of_headers_are_in_lower_case(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1", status_code=404, headers={"X-Correlation-ID": "corr", "RETRY-AFTER": "7"})

    with pytest.raises(Exception, match="Correlation id: corr") as caught:
        made()[0].call(LOOK)
    assert getattr(caught.value, "retry_after", None) == 7.0


def test_a_body_is_read_up_to_its_limit(service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BODY", 1 << 20)
    padding = b" " * ((1 << 20) - 26)
    service.get(
        f"{STORAGE}/c1", [{"content": b'{"connection":{"id":"c1"}}' + padding}, {"content": b"{" + b" " * (1 << 20)}]
    )
    client, _ = made()

    assert client.call(LOOK).id == "c1"
    with pytest.raises(ITwinConnectionError, match="its body is larger than 1 MiB"):
        client.call(LOOK, retry_budget=0.0)


def test_a_body_is_decoded(service: requests_mock.Mocker) -> None:
    service.get(
        f"{STORAGE}/c1",
        content=gzip.compress(b'{"connection":{"displayName":"zipped"}}'),
        headers={"Content-Encoding": "gzip"},
    )

    assert made()[0].call(LOOK).display_name == "zipped"


def test_many_threads_fetch_one_token(service: requests_mock.Mocker) -> None:
    client, _ = made()
    threads = [threading.Thread(target=client.call, args=(LOOK,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)

    assert [request.url for request in service.request_history].count(TOKEN_URL) == 1
    assert len(service.request_history) == 21


def test_a_ready_token_is_sent_to_the_api_and_to_nobody_else(service: requests_mock.Mocker) -> None:
    made(credentials=ReadyToken("ready"))[0].call(LOOK)

    (request,) = service.request_history
    assert (request.hostname, request.headers["authorization"]) == ("api.bentley.com", "Bearer ready")


def test_a_hundred_thousand_files_are_read_as_they_are_asked_for(service: requests_mock.Mocker) -> None:
    def page(request: Any, context: Any) -> Any:
        skip = int(request.qs["$skip"][0])
        count = max(0, min(100, 100_000 - skip))
        return {
            "sourceFiles": [{"id": f"f{number}"} for number in range(skip, skip + count)],
            "_links": {"next": {"href": "x"}},
        }

    service.get(f"{STORAGE}/c1/sourcefiles", json=page)
    client, _ = made()

    files = client.list_source_files("c1")
    assert service.request_history == [], "nothing is asked for before anybody wants it"
    assert [file.id for file in islice(files, 3)] == ["f0", "f1", "f2"]
    assert len(service.request_history) == 2
    assert sum(1 for _ in files) == 99_997
    assert len(service.request_history) == 1 + 1001


def test_the_session_is_closed_with_the_client(service: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(requests.Session, "close", lambda self: closed.append(True))

    with made()[0] as client:
        client.call(LOOK)
        assert not closed
    assert closed


RUN = (DATA / "get-storage-connection-run.200.json").read_bytes()
DOCUMENTED_RUN = b"a1ecbdc8c4f6173004f9f881914a57c5511a362b"
DOCUMENTED_CONNECTION = b"MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4"


@pytest.mark.parametrize(
    ("kind", "root"),
    [(ConnectionKind.STORAGE, STORAGE), (ConnectionKind.MANIFEST, MANIFEST), (ConnectionKind.EXPORT, EXPORT)],
)
def test_every_method_asks_for_what_it_says(service: requests_mock.Mocker, kind: ConnectionKind, root: str) -> None:
    start = f"{root}/c1/run" if kind is ConnectionKind.STORAGE else f"{root}/c1/runs"
    last_run = {"lastRun": {"href": f"{root}/c1/runs/old"}}
    service.get(f"{root}/c1", json={"connection": {"id": "c1", "_links": last_run}})
    service.get(root, json={"connections": [{"id": "c1"}]})
    service.get(f"{root}/c1/runs", json={"runs": [{"id": "r1"}, {"id": "r2"}]})
    service.get(f"{root}/c1/runs/r1", content=RUN.replace(DOCUMENTED_RUN, b"r1").replace(DOCUMENTED_CONNECTION, b"c1"))
    service.post(start, status_code=202, headers={"location": f"{root}/c1/runs/r1"})
    client, _ = made(credentials=ReadyToken("ready"))
    ref = RunRef(kind, "c1", "r1")
    baseline = Baseline(RunRef(kind, "c1", "old"), names_last_run=True)

    assert client.take_baseline("c1", kind) == baseline
    assert client.start_run("c1", kind, baseline=baseline) == StartedRun(ref, created=True)
    assert client.find_started_since(baseline, "c1", kind) is None
    assert client.examine_active(ref, baseline, "c1", kind) == Active(ref, ours=True, fresh=True, finished=True)
    assert client.get_run("c1", "r1", kind).phase == "MasterFile"
    assert client.describe_connection("c1", kind).id == "c1"
    assert [run.id for run in client.list_runs("c1", kind)] == ["r1", "r2"]
    assert [one.id for one in client.list_connections("m1", kind)] == ["c1"]
    spec = WaitSpec(kind, "c1", "r1")
    assert client.wait(spec).end is client.look(spec, 0.0).end is WaitEnd.FINISHED
    assert {request.hostname for request in service.request_history} == {"api.bentley.com"}


def test_a_run_that_is_no_run(service: requests_mock.Mocker) -> None:
    service.get(f"{STORAGE}/c1/runs/r1", json={"run": 5})
    client, time = made()

    with pytest.raises(ITwinProtocolError):
        client.get_run("c1", "r1")
    assert sum(time.slept) == pytest.approx(120.0)
