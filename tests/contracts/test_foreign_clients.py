"""Clients written for the real service work with the emulator unchanged."""

from __future__ import annotations

import base64
import json
import time

import pytest
import requests

from itwin_emulator import Emulator, ManualClock

from . import contract
from .conftest import EXPORT, MANIFEST, ROOTS, RUN_BODIES, START, STORAGE
from .foreign_clients import (
    MEDIA_TYPE,
    CommandLine,
    ManifestSample,
    SampleApp,
    ServiceAuthorization,
    everything,
    form_token,
)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def authorization(emulator: Emulator) -> ServiceAuthorization:
    return ServiceAuthorization(emulator.url, emulator.client_id, emulator.client_secret)


def test_discovery_says_all_that_openid_requires(emulator: Emulator) -> None:
    found = requests.get(f"{emulator.url}/.well-known/openid-configuration", timeout=10)
    configuration = found.json()
    contract.check(configuration, "identity.json#/$defs/discovery")
    assert configuration["issuer"] == emulator.url
    assert all(configuration[name].startswith(emulator.url) for name in configuration if name.endswith("endpoint"))
    keys = requests.get(configuration["jwks_uri"], timeout=10)
    assert keys.headers["Content-Type"].startswith("application/json")
    contract.check(keys.json(), "identity.json#/$defs/keySet")


def test_discovery_returns_the_requested_host(emulator: Emulator) -> None:
    url = f"http://localhost:{emulator.port}"
    configuration = requests.get(f"{url}/.well-known/openid-configuration", timeout=10).json()
    assert configuration["issuer"] == url
    assert configuration["token_endpoint"] == f"{url}/connect/token"


@pytest.mark.parametrize("slash", ["", "/"])
def test_token_by_discovery_and_basic(slash: str) -> None:
    with Emulator() as emulator:
        client = ServiceAuthorization(emulator.url + slash, emulator.client_id, emulator.client_secret)
        token = client.access_token()
        assert client.access_token() == token
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["iss"] == emulator.url
        assert claims["client_id"] == emulator.client_id
        assert claims["exp"] - time.time() == pytest.approx(3600, abs=5)
        assert [entry.operation for entry in emulator.request_log] == ["discovery", "token"]


@pytest.mark.parametrize("secret", ["plain", "a+b/c=d", "100% & more", "ä:ö", "it's (fine)!*~", "x" * 400])
def test_secrets_of_every_kind(emulator: Emulator, secret: str) -> None:
    emulator.add_client("service-:x", secret, everywhere=True)
    for token in (
        ServiceAuthorization(emulator.url, "service-:x", secret).access_token(),
        form_token(emulator.url, "service-:x", secret),
    ):
        headers = {"Authorization": token}
        assert requests.get(emulator.url + STORAGE, headers=headers, timeout=10).status_code == 200


def test_a_command_line_that_polls(demo: Emulator, clock: ManualClock) -> None:
    client = CommandLine(demo.url, authorization(demo).access_token, lambda: clock.advance(10))
    assert client.run("demo-storage-connection")["result"] == "Success"
    assert client.run("demo-failing-connection")["result"] == "Error"
    statuses = [entry.status for entry in demo.request_log if entry.operation == "run-storage-connection"]
    assert statuses == [202, 202]


def test_a_command_line_that_does_not_notice_a_redirect(demo: Emulator, clock: ManualClock) -> None:
    client = CommandLine(demo.url, authorization(demo).access_token, lambda: clock.advance(10))
    active = demo.start_run("demo-storage-connection")
    assert client.run("demo-storage-connection")["id"] == active
    assert [entry.status for entry in demo.request_log if entry.method == "POST"] == [200, 303]


def test_a_command_line_that_pages_with_encoded_names(emulator: Emulator) -> None:
    wanted = [emulator.add_connection(imodel_id="m") for _ in range(5)]
    client = CommandLine(emulator.url, authorization(emulator).access_token, lambda: None)
    assert [one["id"] for one in client.connections("m")] == wanted
    assert [entry.query["$skip"] for entry in emulator.request_log if "$skip" in entry.query] == ["0", "2", "4"]


@pytest.mark.parametrize("spec", ["newest-first", "oldest-first", "shuffled"])
def test_an_app_that_sorts_by_itself(emulator: Emulator, clock: ManualClock, spec: str) -> None:
    emulator.quirks.run_order = spec  # type: ignore[assignment]
    token = form_token(emulator.url, emulator.client_id, emulator.client_secret)
    app = SampleApp(emulator.url, token)
    imodel = emulator.add_imodel()
    assert app.connection_named(imodel, "Bridge") is None
    files = [{"storageFileId": "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA", "connectorType": "MSTN"}]
    made = app.create(imodel, "Bridge", files)
    assert app.connection_named(imodel, "Bridge") == made
    seen = []
    for _ in range(5):
        assert app.start(made["id"]) == 202
        assert app.newest_run(made["id"])["state"] != "Completed"
        clock.advance(60)
        newest = app.newest_run(made["id"])
        assert newest["state"] == "Completed"
        seen.append(newest["id"])
    assert seen == [run["id"] for run in emulator.runs(made["id"])]


def test_a_sample_that_follows_links_unchanged(emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection("manifest", files=[{"name": "Master.dgn", "file_id": "f5b36238"}])
    sample = ManifestSample(emulator.url, form_token(emulator.url, emulator.client_id, emulator.client_secret))
    assert sample.last_run(connection) is None
    file = {"id": "f5b36238", "name": "Master.dgn", "action": "bridge", "url": "https://blob.net/Master.dgn"}
    run = sample.start(connection, {"sourceFiles": [file | {"connectorType": "MSTN"}]})
    assert run["connectionId"] == connection
    assert sample.last_run(connection) == run
    clock.advance(60)
    last = sample.last_run(connection)
    assert last is not None
    assert (last["id"], last["state"]) == (run["id"], "Completed")


@pytest.mark.parametrize(
    "path", ["{storage}/sourcefiles?$top=7", "{storage}/runs?%24top=3", "{root}?imodelId=m&$top=2"]
)
def test_links_from_page_to_page(emulator: Emulator, clock: ManualClock, path: str) -> None:
    connection = emulator.add_connection(imodel_id="m", files=30)
    for _ in range(6):
        emulator.add_connection(imodel_id="m", files=0)
    for _ in range(10):
        emulator.start_run(connection)
        clock.advance(60)
    token = form_token(emulator.url, emulator.client_id, emulator.client_secret)
    url = emulator.url + path.format(storage=f"{STORAGE}/{connection}", root=STORAGE)
    name = "connections" if "imodelId" in path else path.split("/")[1].split("?")[0].replace("files", "Files")
    found = [one["id"] for one in everything(url, name, token)]
    assert len(found) == len(set(found)) == {"connections": 7, "runs": 10, "sourceFiles": 30}[name]


@pytest.mark.parametrize("kind", ["storage", "manifest", "export"])
def test_following_redirects_ends_in_the_active_run(emulator: Emulator, kind: str) -> None:
    """What ``requests.post`` does by itself: the answer is a good one, and about the run that was active before."""
    other = emulator.add_connection("export" if kind != "export" else "storage", imodel_id="m")
    connection = emulator.add_connection(kind, imodel_id="m")  # type: ignore[arg-type]
    active = emulator.start_run(other)
    token = form_token(emulator.url, emulator.client_id, emulator.client_secret)
    answer = requests.post(
        f"{emulator.url}{ROOTS[kind]}/{connection}/{START[kind]}",
        json=RUN_BODIES[kind],
        headers={"Authorization": token, "Accept": MEDIA_TYPE},
        timeout=10,
    )
    assert [one.status_code for one in answer.history] == [303]
    assert answer.status_code == 200
    assert answer.json()["run"]["id"] == active
    assert answer.json()["run"]["connectionId"] == other
    assert answer.request.method == "GET"


def test_no_content_type_without_a_body(emulator: Emulator) -> None:
    connection = emulator.add_connection(imodel_id="m")
    session = requests.Session()
    session.headers["Authorization"] = form_token(emulator.url, emulator.client_id, emulator.client_secret)
    start = f"{emulator.url}{STORAGE}/{connection}/run"
    bodiless = [session.post(start, allow_redirects=False, timeout=10) for _ in range(2)]
    bodiless.append(session.delete(f"{emulator.url}{STORAGE}/{connection}", timeout=10))
    emulator.fail("*", 1, kind="empty")
    bodiless.append(session.get(start, timeout=10))
    emulator.fail("*", 1, kind="redirect", location="/elsewhere")
    bodiless.append(session.get(start, allow_redirects=False, timeout=10))
    assert [answer.status_code for answer in bodiless] == [202, 303, 204, 200, 302]
    for answer in bodiless:
        assert answer.content == b""
        assert "Content-Type" not in answer.headers
        assert "Transfer-Encoding" not in answer.headers


def test_the_run_id_is_the_ninth_part_of_the_link(emulator: Emulator) -> None:
    for kind, root in (("storage", STORAGE), ("manifest", MANIFEST)):
        connection = emulator.add_connection(kind)  # type: ignore[arg-type]
        run = emulator.start_run(connection)
        token = form_token(emulator.url, emulator.client_id, emulator.client_secret)
        answer = requests.get(f"{emulator.url}{root}/{connection}", headers={"Authorization": token}, timeout=10)
        assert answer.json()["connection"]["_links"]["lastRun"]["href"].split("/")[8] == run


def test_spellings_of_paths(emulator: Emulator) -> None:
    """Real clients write the same path in several ways, and split links by a part of another case."""
    connection = emulator.add_connection()
    token = form_token(emulator.url, emulator.client_id, emulator.client_secret)
    for path in (
        f"/synchronization/imodels/storageConnections/{connection}",
        f"/Synchronization/iModels/StorageConnections/{connection}",
        f"{STORAGE}/{connection}/",
    ):
        answer = requests.get(emulator.url + path, headers={"Authorization": token}, timeout=10)
        assert answer.json()["connection"]["id"] == connection
    export = emulator.add_connection("export")
    assert requests.get(f"{emulator.url}{EXPORT}/{export}", headers={"Authorization": token}, timeout=10).ok
