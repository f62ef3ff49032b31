"""Repositories of iTwins: those that every iTwin has, and those that clients register."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itwin_emulator import Emulator
from platform_client import Api, error_of

GIS = {"class": "GeographicInformationSystem", "subClass": "WebMapService", "uri": "https://example.com/maps"}
PATH = "/itwins/itwin/repositories"


@pytest.fixture(autouse=True)
def _itwin(emulator: Emulator) -> None:
    emulator.add_imodel("model", "itwin")


def classes(api: Api, query: str = "") -> list[str]:
    return [one["class"] for one in api.get(PATH + query).json()["repositories"]]


def register(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post(PATH, GIS | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["repository"]
    return made


def test_every_itwin_has_imodels_and_storage(api: Api) -> None:
    found = api.get(PATH).json()["repositories"]
    assert [one["class"] for one in found] == ["iModels", "Storage"]
    assert [one["id"] for one in api.get(found[0]["uri"]).json()["iModels"]] == ["model"]
    assert api.get(f"{PATH}/iModels").json()["repository"] == found[0]


def test_a_repository_is_registered_changed_and_removed(api: Api) -> None:
    made = register(api, displayName="Maps", options={"minimumLevel": 1})
    assert made == {**GIS, "id": made["id"], "displayName": "Maps", "options": {"minimumLevel": 1}}
    one = f"{PATH}/{made['id']}"
    assert api.get(one).json()["repository"] == made
    assert classes(api) == ["iModels", "Storage", GIS["class"]]
    changed = api.call("PATCH", one, json={"displayName": "Other", "options": None}).json()["repository"]
    assert changed == {**GIS, "id": made["id"], "displayName": "Other"}
    assert api.call("DELETE", one).status_code == 204
    assert classes(api) == ["iModels", "Storage"]
    for method in ("GET", "DELETE", "PATCH"):
        answer = api.call(method, one, json={})
        assert (answer.status_code, error_of(answer)["code"]) == (404, "iTwinRepositoryNotFound")


def test_lists_are_filtered_by_class_and_subclass(api: Api) -> None:
    register(api)
    assert classes(api, "?class=Storage") == ["Storage"]
    query = f"?class={GIS['class']}&subClass="
    assert classes(api, query + "WebMapService") == [GIS["class"]]
    assert classes(api, query + "MapServer") == []


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"class": None}, "class"),
        ({"class": "iModels", "subClass": None}, "class"),
        ({"subClass": "EvoWorkspace"}, "subClass"),
        ({"uri": None}, "uri"),
        ({"uri": 5}, "uri"),
        ({"displayName": ""}, "displayName"),
        ({"options": "x"}, "options"),
    ],
)
def test_invalid_repositories(api: Api, changes: dict[str, Any], target: str) -> None:
    answer = api.post(PATH, GIS | changes)
    assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidiTwinsRequest")
    assert error_of(answer)["details"][0]["target"] == target


@pytest.mark.parametrize("body", [{"uri": None}, {"displayName": None}, {"class": "Subsurface"}, {"id": "x"}])
def test_invalid_changes(api: Api, body: dict[str, Any]) -> None:
    one = f"{PATH}/{register(api)['id']}"
    answer = api.call("PATCH", one, json=body)
    assert (answer.status_code, error_of(answer)["details"][0]["target"]) == (422, next(iter(body)))


def test_generated_repositories_stay(api: Api) -> None:
    for method in ("DELETE", "PATCH"):
        answer = api.call(method, f"{PATH}/Storage", json={"displayName": "x"})
        assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidiTwinsRequest")


def test_only_owners_change_repositories(api: Api, emulator: Emulator) -> None:
    made = register(api)
    client = Api(emulator.url, *emulator.add_client("reader", roles={"itwin": "reader"}))
    assert client.get(f"{PATH}/{made['id']}").status_code == 200
    for method, path in (("POST", PATH), ("PATCH", f"{PATH}/{made['id']}"), ("DELETE", f"{PATH}/{made['id']}")):
        assert client.call(method, path, json=GIS).status_code == 403


def test_a_state_file_keeps_repositories(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with Emulator(state_file=path) as first:
        first.add_imodel("model", "itwin")
        made = register(Api(first.url, first.client_id, first.client_secret), authentication={"type": "Header"})
    with Emulator(state_file=path) as second:
        api = Api(second.url, second.client_id, second.client_secret)
        assert api.get(f"{PATH}/{made['id']}").json()["repository"] == made
