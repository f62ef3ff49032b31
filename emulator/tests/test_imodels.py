"""iModels and iTwins: create, copy, find, change, delete, and their users."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import STORAGE, Api, error_of

FULL = {"Prefer": "return=representation"}


@pytest.fixture
def itwin(emulator: Emulator) -> str:
    return emulator.add_itwin("site", "Site")


def create(api: Api, **body: Any) -> Any:
    return api.post("/imodels", {"iTwinId": "site", "name": "Hall"} | body)


def test_an_empty_imodel_is_ready_at_once(itwin: str, api: Api) -> None:
    answer = create(api, description="d")
    model = answer.json()["iModel"]
    assert answer.status_code == 201
    assert (model["state"], model["lastChangesetPushDateTime"], model["iTwinId"]) == ("initialized", None, itwin)
    operation = api.get(f"/imodels/{model['id']}/operations/create").json()["createOperation"]
    assert operation == {"state": "successful", "clonedFrom": None, "forkedFrom": None}


def test_an_imodel_from_a_template_takes_a_while(emulator: Emulator, itwin: str, api: Api, clock: ManualClock) -> None:
    source = emulator.add_imodel("source", itwin)
    model = create(api, template={"iModelId": source}).json()["iModel"]
    assert model["state"] == "notInitialized"
    path = f"/imodels/{model['id']}"
    assert api.get(f"{path}/operations/create").json()["createOperation"]["state"] == "scheduled"
    clock.advance(60)
    assert api.get(path).json()["iModel"]["state"] == "initialized"
    assert api.get(f"{path}/operations/create").json()["createOperation"]["state"] == "successful"


def test_a_template_that_is_missing_has_an_inner_error(itwin: str, api: Api) -> None:
    answer = create(api, template={"iModelId": "nowhere"})
    assert answer.status_code == 422
    assert error_of(answer)["details"][0]["innerError"] == {"code": "iModelNotFound"}


def test_a_baseline_file_is_not_emulated(itwin: str, api: Api) -> None:
    assert create(api, creationMode="fromBaseline").status_code == 501


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "Taken"}, 409, "iModelExists"),
        ({"iTwinId": "nowhere"}, 404, "iTwinNotFound"),
        ({"name": ""}, 422, "InvalidiModelsRequest"),
        ({"extent": {"southWest": {}}}, 422, "InvalidiModelsRequest"),
        ({"containersEnabled": True}, 422, "InvalidiModelsRequest"),
        ({"creationMode": "magic"}, 422, "InvalidiModelsRequest"),
    ],
)
def test_refusals(emulator: Emulator, itwin: str, api: Api, body: Any, status: int, code: str) -> None:
    emulator.add_imodel("taken", itwin, "Taken")
    answer = create(api, **body)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("verb", "body", "count", "source"),
    [
        ("clone", {}, 3, "clonedFrom"),
        ("clone", {"changesetIndex": 2}, 2, "clonedFrom"),
        ("clone", {"changesetId": ""}, 0, "clonedFrom"),
        ("fork", {}, 0, "forkedFrom"),
        ("fork", {"preserveHistory": True}, 3, "forkedFrom"),
    ],
)
def test_copies(emulator: Emulator, itwin: str, api: Api, verb: str, body: Any, count: int, source: str) -> None:
    emulator.add_imodel("source", itwin)
    emulator.push_changesets("source", 3)
    answer = api.post(f"/imodels/source/{verb}", {"iTwinId": itwin, "name": "copy"} | body)
    assert answer.status_code == 202
    copy = answer.headers["Location"]
    assert answer.headers["Create-iModel-Operation"] == f"{copy}/operations/create"
    assert len(api.get(f"{copy}/changesets").json()["changesets"]) == count
    operation = api.get(f"{copy}/operations/create").json()["createOperation"]
    assert operation[source]["iModelId"] == "source"


def test_lists_filter_and_sort(emulator: Emulator, itwin: str, api: Api) -> None:
    for name in ("b", "a", "c"):
        create(api, name=name, description=f"model {name}")

    def names(query: str) -> list[str]:
        found = api.get(f"/imodels?iTwinId=site{query}").json()["iModels"]
        return [one["displayName"] for one in found]

    assert names("") == ["b", "a", "c"]
    assert names("&$orderBy=name desc") == ["c", "b", "a"]
    assert names("&name=a") == ["a"]
    assert names("&$search=MODEL C") == ["c"]
    assert names("&state=notInitialized") == []
    assert names("&$top=1&$skip=1") == ["a"]
    assert len(api.get("/imodels?iTwinId=site", headers=FULL).json()["iModels"][0]) > 5
    for query in ("", "?iTwinId=site&state=x", "?iTwinId=a%20b", "?iTwinId=site&$orderBy=id"):
        assert error_of(api.get(f"/imodels{query}"))["message"] == "Cannot get iModels."


def test_an_imodel_takes_its_connections_along(emulator: Emulator, itwin: str, api: Api) -> None:
    emulator.add_imodel("m", itwin)
    connection = emulator.add_connection(imodel_id="m")
    emulator.start_run(connection)
    assert api.call("DELETE", "/imodels/m").status_code == 204
    assert api.get("/imodels/m").status_code == 404
    assert api.get(f"{STORAGE}/{connection}").status_code == 404
    assert api.get(f"{STORAGE}?imodelId=m").json()["connections"] == []


def test_changes_of_an_imodel(emulator: Emulator, itwin: str, api: Api) -> None:
    emulator.add_imodel("m", itwin, "Old")
    emulator.add_imodel("other", itwin, "Taken")
    changed = api.call("PATCH", "/imodels/m", json={"name": "New", "description": "d"}).json()["iModel"]
    assert (changed["name"], changed["displayName"], changed["description"]) == ("New", "New", "d")
    assert api.call("PATCH", "/imodels/m", json={"name": "Taken"}).status_code == 409
    assert api.call("PATCH", "/imodels/m", json={}).status_code == 422


def test_users_are_the_clients_with_access(emulator: Emulator, itwin: str, api: Api) -> None:
    emulator.add_imodel("m", itwin)
    emulator.add_client("guest", roles={itwin: "reader"})
    emulator.add_client("stranger")
    emulator.push_changesets("m", creator="guest")
    users = api.get("/imodels/m/users?$orderBy=surname desc", headers=FULL).json()["users"]
    assert [one["displayName"] for one in users] == [emulator.client_id, "guest"]
    assert users[1]["statistics"]["pushedChangesetsCount"] == 1
    assert api.get(f"/imodels/m/users/{users[1]['id']}").json()["user"] == users[1]
    assert error_of(api.get("/imodels/m/users/x"))["code"] == "UserNotFound"


def test_a_reader_changes_nothing(emulator: Emulator, itwin: str) -> None:
    emulator.add_imodel("m", itwin)
    reader = Api(emulator.url, *emulator.add_client(roles={itwin: "reader"}))
    for method, path, body in (
        ("POST", "/imodels", {"iTwinId": itwin, "name": "x"}),
        ("PATCH", "/imodels/m", {"name": "x"}),
        ("DELETE", "/imodels/m", None),
        ("PATCH", f"/itwins/{itwin}", {"displayName": "x"}),
        ("DELETE", f"/itwins/{itwin}", None),
    ):
        answer = reader.call(method, path, json=body)
        assert (answer.status_code, error_of(answer)["code"]) == (403, "InsufficientPermissions")
    assert reader.get("/imodels/m/permissions").json() == {"permissions": ["imodels_webview", "imodels_read"]}


def test_a_new_itwin_belongs_to_its_creator(emulator: Emulator) -> None:
    client = Api(emulator.url, *emulator.add_client())
    body = {"class": "Endeavor", "subClass": "Project", "displayName": "Harbor", "number": "H-1"}
    made = client.post("/itwins", body).json()["iTwin"]
    assert made["iTwinAccountId"] == made["parentId"]
    assert [one["id"] for one in client.get("/itwins?subClass=Project").json()["iTwins"]] == [made["id"]]
    assert client.post("/imodels", {"iTwinId": made["id"], "name": "m"}).status_code == 201
    path = f"/itwins/{made['id']}"
    assert client.call("PATCH", path, json={"status": "Inactive"}).json()["iTwin"]["status"] == "Inactive"
    assert client.get("/itwins").json()["iTwins"] == []
    assert len(client.get("/itwins?status=Inactive").json()["iTwins"]) == 1
    assert client.call("DELETE", path).status_code == 204
    assert client.get(path).status_code == 404


def test_lists_of_itwins_are_filtered_by_account_and_parent(api: Api) -> None:
    body = {"class": "Thing", "subClass": "Portfolio", "displayName": "Ports"}
    outer = api.post("/itwins", body).json()["iTwin"]
    inner = api.post("/itwins", body | {"parentId": outer["id"]}).json()["iTwin"]

    def listed(query: str) -> set[str]:
        return {one["id"] for one in api.get(f"/itwins?subClass=Portfolio&{query}").json()["iTwins"]}

    account = outer["iTwinAccountId"]
    assert listed(f"iTwinAccountId={account}") == {outer["id"], inner["id"]}
    assert listed(f"iTwinAccountId={outer['id']}") == set()
    assert listed(f"parentId={account}") == {outer["id"]}
    assert listed(f"parentId={outer['id']}") == {inner["id"]}


@pytest.mark.parametrize(
    "query",
    ["status=x", "includeInactive=x", "subClass=x", "status=Active&includeInactive=true", "$search=a&number=b"],
)
def test_invalid_lists_of_itwins(api: Api, query: str) -> None:
    answer = api.get(f"/itwins?{query}")
    assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidiTwinsRequest")


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"class": None}, "class"),
        ({"class": "Thing"}, "subClass"),
        ({"subClass": "Portfolio"}, "subClass"),
        ({"displayName": " "}, "displayName"),
        ({"latitude": 91}, "latitude"),
        ({"type": 5}, "type"),
        ({"status": "Gone"}, "status"),
    ],
)
def test_invalid_itwins(api: Api, body: Any, target: str) -> None:
    good = {"class": "Endeavor", "subClass": "Project", "displayName": "x"}
    answer = api.post("/itwins", good | body)
    assert answer.status_code == 422
    assert error_of(answer)["details"][0]["target"] == target
