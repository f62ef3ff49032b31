"""What either client sends, and through which proxies and authorities, whatever the machine is configured for."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinError
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Environment, Network
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints, start
from tests.api.certificate import self_signed
from tests.api.drivers import DRIVERS, Driver, World, call, driver
from tests.api.recorder import Recorder

CONNECTION = endpoints.get_connection(ConnectionKind.STORAGE, "c1")
PATH = "/synchronization/imodels/storageconnections/c1"
SOMEWHERE = Environment("http://itwin.example", "http://ims.itwin.example")
"""Not on this machine, so that proxies and .netrc files apply; reached only through a proxy on loopback."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, "netrc", "requests_ca_bundle", "curl_ca_bundle", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder().serving() as recorder:
        yield recorder


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(params=DRIVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def to(recorder: Recorder) -> Environment:
    return Environment(recorder.url, recorder.url)


def make_client(name: str, environment: Environment, network: Network | None = None) -> AbstractContextManager[Driver]:
    world = World()
    credentials = ClientCredentials("service-a1", "s3cret+of/a1=")
    return driver(name, world, world.account(credentials, network, environment))


def get_connection(client: Driver) -> None:
    call(client, CONNECTION, retry_budget=0.0)


def test_a_get_has_only_the_necessary_headers(name: str, recorder: Recorder) -> None:
    with make_client(name, to(recorder)) as client:
        get_connection(client)

    got = recorder.received[-1]
    assert (got.method, got.target, got.body) == ("GET", PATH, b"")
    headers = dict(got.headers)
    assert headers.pop("accept") == "application/vnd.bentley.itwin-platform.v1+json"
    assert headers.pop("authorization") == "Bearer t0ken"
    assert headers.pop("user-agent").startswith("airflow-provider-itwin/")
    assert headers.pop("host") == f"127.0.0.1:{recorder.port}"
    assert set(headers) <= {"accept-encoding", "connection"}


def test_the_start_of_a_storage_run_has_an_empty_body(name: str, recorder: Recorder) -> None:
    with make_client(name, to(recorder)) as client:
        started = client.run_flow(start.ensure_run(client.account, ConnectionKind.STORAGE, "c1"))

    got = recorder.received[-1]
    assert started.created
    assert (got.method, got.target, got.body) == ("POST", f"{PATH}/run", b"")
    assert "content-type" not in got.headers
    assert got.headers["content-length"] == "0"


def test_the_start_of_a_manifest_run_has_a_json_body(name: str, recorder: Recorder) -> None:
    body = {"sourceFiles": [{"id": "f1", "url": "https://blob.net/Grundriß.dgn?sig=a%2Bb"}]}
    with make_client(name, to(recorder)) as client:
        client.run_flow(start.ensure_run(client.account, ConnectionKind.MANIFEST, "c1", body))

    got = recorder.received[-1]
    assert got.target == "/synchronization/imodels/manifestconnections/c1/runs"
    assert got.headers["content-type"] == "application/json"
    assert got.body.decode() == '{"sourceFiles":[{"id":"f1","url":"https://blob.net/Grundriß.dgn?sig=a%2Bb"}]}'


def test_the_request_for_a_token_carries_no_other_credentials(name: str, recorder: Recorder) -> None:
    with make_client(name, to(recorder)) as client:
        get_connection(client)

    got = recorder.received[0]
    assert got.target == "/connect/token"
    assert "authorization" not in got.headers
    assert got.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"client_secret=s3cret%2Bof%2Fa1%3D" in got.body


def test_ids_are_quoted_once(name: str, recorder: Recorder) -> None:
    recorder.answer = lambda got: (200, {}, b'{"access_token":"t","connection":{},"connections":[]}')
    with make_client(name, to(recorder)) as client:
        call(client, endpoints.get_connection(ConnectionKind.STORAGE, "a+b=ü~"), retry_budget=0.0)
        call(client, endpoints.get_connections(ConnectionKind.STORAGE, "m&1", 10, 20), retry_budget=0.0)

    assert recorder.received[1].target == "/synchronization/imodels/storageconnections/a%2Bb%3D%C3%BC~"
    assert recorder.received[2].target.endswith("?imodelId=m%261&$top=10&$skip=20")


def test_cookies_are_not_kept(name: str, recorder: Recorder) -> None:
    recorder.answer = lambda got: (200, {"Set-Cookie": "a=b; Path=/"}, b'{"access_token":"t","connection":{}}')
    with make_client(name, to(recorder)) as client:
        get_connection(client)
        get_connection(client)

    assert "cookie" not in recorder.received[-1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/elsewhere", "https://elsewhere.example/x", "//elsewhere.example/x"])
def test_redirects_are_not_followed(name: str, recorder: Recorder, status: int, target: str) -> None:
    with make_client(name, to(recorder)) as client:
        get_connection(client)
        recorder.answer = lambda got: (status, {"Location": target}, b"")
        with pytest.raises(ITwinError):
            get_connection(client)

    assert len(recorder.received) == 3


def test_a_netrc_file_does_not_replace_the_token(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine itwin.example login a password b\ndefault login c password d\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", recorder.url)

    with make_client(name, SOMEWHERE) as client:
        get_connection(client)

    assert recorder.targets == ["POST http://ims.itwin.example/connect/token", f"GET http://itwin.example{PATH}"]
    assert "authorization" not in recorder.received[0].headers
    assert recorder.received[1].headers["authorization"] == "Bearer t0ken"


def test_proxies_of_the_machine_are_used_for_other_machines(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", recorder.url)

    with make_client(name, SOMEWHERE) as client:
        get_connection(client)

    assert recorder.targets[-1] == f"GET http://itwin.example{PATH}"


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_proxies_of_the_machine_are_not_used_for_loopback(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, closed_port: int, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{closed_port}")

    with make_client(name, to(recorder)) as client:
        get_connection(client)

    assert recorder.targets[-1] == f"GET {PATH}"


@pytest.mark.parametrize("key", ["http", "all", "http://itwin.example"])
def test_proxies_of_the_connection_come_before_those_of_the_machine(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, closed_port: int, key: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    environment = Environment(SOMEWHERE.api, SOMEWHERE.api)

    with make_client(name, environment, Network(5.0, proxies=((key, recorder.url),))) as client:
        get_connection(client)

    assert recorder.targets[-1] == f"GET http://itwin.example{PATH}"


def test_the_password_of_a_proxy_is_sent_to_the_proxy_only(
    name: str, recorder: Recorder, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with make_client(
        name, SOMEWHERE, Network(5.0, proxies=(("http", f"http://me:hunter2@127.0.0.1:{recorder.port}"),))
    ) as client:
        get_connection(client)
        assert recorder.received[-1].headers["proxy-authorization"] == "Basic bWU6aHVudGVyMg=="
        assert "hunter2" not in repr(client.account)

    with (
        make_client(
            name, SOMEWHERE, Network(5.0, proxies=(("http", f"http://me:hunter2@127.0.0.1:{closed_port}"),))
        ) as client,
        pytest.raises(ITwinConnectionError) as caught,
    ):
        get_connection(client)
    assert "hunter2" not in f"{caught.value}{caught.value!r}{caplog.text}"


def test_a_refused_connection_is_a_connection_error(name: str, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    with (
        make_client(name, Environment(url, url)) as client,
        pytest.raises(ITwinConnectionError, match="got no complete response"),
    ):
        get_connection(client)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def secure(certificate: Path) -> Iterator[Recorder]:
    with Recorder(certificate).serving() as recorder:
        yield recorder


def test_an_unknown_authority_is_not_trusted(name: str, secure: Recorder) -> None:
    with (
        make_client(name, to(secure)) as client,
        pytest.raises(ITwinConnectionError, match=r"(?i)certificate"),
    ):
        get_connection(client)
    assert secure.received == []


@pytest.mark.parametrize("bundle_of_the_machine", [False, True])
def test_a_configured_authority_is_trusted(
    name: str,
    secure: Recorder,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    bundle_of_the_machine: bool,
    tmp_path: Path,
) -> None:
    if bundle_of_the_machine:
        other = self_signed(tmp_path / "other.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with make_client(name, to(secure), Network(5.0, verify=str(certificate))) as client:
        get_connection(client)

    assert len(secure.received) == 2


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("folder", [False, True])
async def test_both_clients_trust_the_authorities_of_the_machine(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: bool
) -> None:
    monkeypatch.setenv(variable, str(certificate.parent if folder else certificate))

    assert bundle_of(SOMEWHERE, Network(verify=True)) == str(certificate.parent if folder else certificate)
    assert bundle_of(SOMEWHERE, Network(verify=False)) is False
    assert bundle_of(SOMEWHERE, Network(verify="/own.pem")) == "/own.pem"
    assert bundle_of(Environment("http://127.0.0.1", "http://127.0.0.1"), Network(verify=True)) is True
    async with AsyncITwinClient(World().account(None, Network(verify=True), SOMEWHERE)):
        pass


def bundle_of(environment: Environment, network: Network) -> bool | str:
    return Transport.of(World().account(None, network, environment)).verify


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_unreadable_bundle_is_a_configuration_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ValueError, match=r"verify is '.*authorities\.pem', which is not a CA bundle"):
        async with AsyncITwinClient(World().account(None, Network(verify=str(path)))):
            pass


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_switched_off(name: str, secure: Recorder) -> None:
    with make_client(name, to(secure), Network(5.0, verify=False)) as client:
        get_connection(client)

    assert len(secure.received) == 2
