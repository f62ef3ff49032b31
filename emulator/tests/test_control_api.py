from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.admin import routes
from platform_client import STORAGE, Api


def test_everything_can_be_steered_over_http(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    made = api.control("POST", "/connections", {"kind": "storage", "connectionId": "c", "files": ["a.dgn", "b.rvt"]})
    assert made.json() == {"connectionId": "c"}
    plan = {"connection_id": "c", "result": "Error", "duration": 60, "failing": [{"file": "a.dgn", "canUserFix": True}]}
    assert api.control("POST", "/plans", plan).status_code == 200
    run_id = api.control("POST", "/runs", {"connection_id": "c"}).json()["runId"]
    clock.advance(1)
    assert api.control("GET", "/runs?connection_id=c").json()["runs"] == emulator.runs("c")
    assert api.control("GET", "/runs").json()["runs"][0]["id"] == run_id
    assert emulator.runs("c")[0]["result"] == "Error"
    second = api.control("POST", "/runs", {"connectionId": "c"}).json()["runId"]
    finish = {"connection_id": "c", "run_id": second, "result": "Skipped"}
    assert api.control("POST", "/runs/finish", finish).status_code == 200
    assert emulator.runs("c")[1]["result"] == "Skipped"


def test_the_list_of_runs_has_a_limit(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    for name in ("a", "b"):
        emulator.add_connection(connection_id=name)
    for _ in range(3):
        for name in ("a", "b"):
            emulator.start_run(name)
        clock.advance(600)
    whole = [*emulator.runs("a"), *emulator.runs("b")]
    assert api.control("GET", "/runs").json()["runs"] == whole
    assert api.control("GET", "/runs?limit=4").json()["runs"] == [*emulator.runs("a"), emulator.runs("b")[-1]]
    assert api.control("GET", "/runs?connection_id=b&limit=2").json()["runs"] == emulator.runs("b")[1:]
    assert api.control("GET", "/runs?limit=0").json()["runs"] == []


def test_faults_and_quirks(api: Api, emulator: Emulator) -> None:
    emulator.add_connection(connection_id="c")
    fault = {"operation": "get-storage-connection", "times": None, "status": 500, "headers": {"X-A": "1"}}
    assert api.control("POST", "/faults", fault).status_code == 200
    assert api.get(f"{STORAGE}/c").headers["X-A"] == "1"
    assert api.control("GET", "").json()["faults"][0]["status"] == 500
    assert api.control("DELETE", "/faults").json() == {"cleared": 1}
    assert api.get(f"{STORAGE}/c").status_code == 200
    switched = api.control("POST", "/quirks", {"missing_fields": ["displayName"], "noEnd": "null"}).json()
    assert switched["missing_fields"] == ["displayName"]
    assert switched["no_end"] == "null"
    assert emulator.quirks.missing_fields == ("displayName",)
    api.control("DELETE", "/quirks")
    assert emulator.quirks.no_end == "absent"


def test_clients_and_places(api: Api, emulator: Emulator) -> None:
    itwin = api.control("POST", "/itwins", {"display_name": "Bridge"}).json()["iTwinId"]
    imodel = api.control("POST", "/imodels", {"itwin_id": itwin}).json()["iModelId"]
    api.control("POST", "/connections", {"kind": "export", "connection_id": "e", "imodel_id": imodel})
    client = api.control("POST", "/clients", {"roles": {itwin: "reader"}}).json()
    other = Api(emulator.url, client["clientId"], client["clientSecret"])
    assert other.get("/export/connections/e").status_code == 200
    assert other.start("export", "e").status_code == 403
    role = {"client_id": client["clientId"], "itwin_id": itwin, "role": "owner"}
    assert api.control("POST", "/clients/role", role).status_code == 200
    assert other.start("export", "e").status_code == 202
    assert api.control("POST", "/clients/sign-in", {"client_id": client["clientId"]}).status_code == 200
    assert emulator.store.clients[client["clientId"]].signed_in
    named = api.control("POST", "/clients", {"client_id": "service-b", "client_secret": "own"}).json()
    assert named == {"clientId": "service-b"}


def test_tiers_and_tokens(api: Api, emulator: Emulator) -> None:
    assert api.get(STORAGE).status_code == 200
    api.control("POST", "/revoke-tokens")
    assert api.get(STORAGE).status_code == 401
    api.control("POST", "/tier", {"tier": "community"})
    assert emulator.controls.overview()["tier"] == "community"


def test_request_log(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    for _ in range(3):
        api.get(STORAGE)
        clock.advance(10)
    entries = api.control("GET", "/requests").json()["entries"]
    assert [entry["operation"] for entry in entries] == ["token"] + ["get-storage-connections"] * 3
    assert len(api.control("GET", "/requests?operation=token").json()["entries"]) == 1
    assert len(api.control("GET", "/requests?limit=2").json()["entries"]) == 2
    since = emulator.request_log[2].at
    assert len(api.control("GET", f"/requests?since={since}").json()["entries"]) == 2
    api.control("DELETE", "/requests")
    assert api.control("GET", "/requests").json() == {"entries": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/plans", {"connection_id": "nope"}, 404, "no connection 'nope'"),
        ("/runs", {"connection_id": "nope"}, 404, "no connection 'nope'"),
        ("/runs", {}, 422, "connection_id"),
        ("/plans", {"connection_id": "c", "resutl": "Error"}, 422, "resutl"),
        ("/plans", {"connection_id": "c", "duration": "long"}, 422, "plan.duration: expected a number"),
        ("/faults", {"operation": 5}, 422, "fault.operation: expected a string"),
        ("/faults", {"headers": {"X-A": "1\r\nX-B: 2"}}, 422, "'X-A' cannot be sent as a header"),
        ("/plans", {"connection_id": "c", "times": 0}, 422, "times must be between 1 and 10000"),
        ("/plans", {"connection_id": "c", "failing": [{"fiel": "a"}]}, 422, "unknown key 'fiel'; did you mean 'file'?"),
        ("/clients", {"roles": {"t": 5}}, 422, "client.roles.t: expected a string"),
        ("/connections", {"files": 1e9}, 422, "body.files"),
        ("/runs/finish", {"connectionId": ["c"]}, 422, "body.connection_id: expected a string"),
        ("/quirks", {"no_end": "never"}, 422, "quirks.no_end: 'never' is not allowed"),
        ("/connections", {"kind": "paper"}, 422, "body.kind: 'paper' is not allowed"),
        ("/nothing", {}, 404, "Not found"),
    ],
)
def test_mistakes(api: Api, emulator: Emulator, path: str, body: Any, status: int, message: str) -> None:
    emulator.add_connection(connection_id="c")
    answer = api.control("POST", path, body)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_bodies_must_be_json(api: Api) -> None:
    url = f"{api.url}/emulator/plans"
    assert api.session.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=5).status_code == 422
    assert api.session.post(url, data="{", headers={"Content-Type": "application/json"}, timeout=5).status_code == 422
    assert api.session.post(url, json=[1], timeout=5).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_requests_of_foreign_pages_are_rejected(emulator: Emulator, headers: dict[str, str]) -> None:
    place = urlsplit(emulator.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=5)
    connection.request("POST", "/emulator/revoke-tokens", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()


def test_the_docstring_lists_every_route(emulator: Emulator) -> None:
    documented = {
        (line.split()[0], line.split()[1].removeprefix("/emulator").strip("/"))
        for line in (routes.__doc__ or "").splitlines()
        if line.startswith(("GET ", "POST ", "DELETE "))
    }
    assert documented == set(routes.ControlRoutes(emulator.controls, loopback_only=True)._routes)
