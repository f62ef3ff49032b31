"""Change tracking, version 1 of the Changed Elements API: comparisons without jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itwin_emulator import Emulator
from platform_client import Api, error_of

ROOT = "/changedelements"
SCOPE = "iTwinId=itwin&iModelId=model"
ARRAYS = (
    "elements",
    "classIds",
    "modelIds",
    "parentIds",
    "parentClassIds",
    "opcodes",
    "type",
    "properties",
    "oldChecksums",
    "newChecksums",
)


@pytest.fixture(autouse=True)
def changesets(emulator: Emulator) -> list[str]:
    emulator.add_imodel("model", "itwin")
    return emulator.push_changesets("model", 5)


def track(api: Api, enable: Any = True, **changes: Any) -> int:
    body = {"enable": enable, "iTwinId": "itwin", "iModelId": "model"} | changes
    return api.call("PUT", f"{ROOT}/tracking", json=body).status_code


def name_version(api: Api, changeset_id: str) -> None:
    assert api.post("/imodels/model/namedversions", {"name": "v", "changesetId": changeset_id}).status_code == 201


def statuses(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"{ROOT}/changesets?{SCOPE}{query}").json()["changesetStatus"]
    return found


def compare(api: Api, start: str, end: str) -> Any:
    return api.get(f"{ROOT}/comparison?{SCOPE}&startChangesetId={start}&endChangesetId={end}")


def test_tracking_is_enabled_and_disabled(api: Api) -> None:
    answer = api.get(f"{ROOT}/tracking?{SCOPE}")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "TrackingNotFound")
    for enabled in (True, False):
        answer = api.call("PUT", f"{ROOT}/tracking", json={"enable": enabled, "iTwinId": "itwin", "iModelId": "model"})
        assert (answer.status_code, answer.content) == (202, b"")
        assert "Content-Type" not in answer.headers
        assert api.get(f"{ROOT}/tracking?{SCOPE}").json() == {"enabled": enabled}


def test_old_clients_name_a_project(api: Api) -> None:
    body = {"enable": True, "projectId": "itwin", "iModelId": "model"}
    assert api.call("PUT", f"{ROOT}/tracking", json=body).status_code == 202
    assert api.get(f"{ROOT}/tracking?projectId=itwin&iModelId=model").json() == {"enabled": True}


def test_changesets_are_ready_up_to_the_newest_named_version(api: Api, changesets: list[str]) -> None:
    assert [one["ready"] for one in statuses(api)] == [False] * 5
    track(api)
    assert [one["ready"] for one in statuses(api)] == [False] * 5
    name_version(api, changesets[2])
    assert statuses(api) == [
        {"id": changeset_id, "index": number, "ready": number <= 3}
        for number, changeset_id in enumerate(changesets, start=1)
    ]
    assert [one["index"] for one in statuses(api, "&$skip=2&$top=2")] == [3, 4]
    track(api, enable=False)
    assert [one["ready"] for one in statuses(api)] == [False] * 5


def test_changesets_are_ready_after_a_run(api: Api, emulator: Emulator) -> None:
    track(api)
    connection = emulator.add_connection(imodel_id="model")
    emulator.finish_run(connection, emulator.start_run(connection))
    assert [one["ready"] for one in statuses(api)] == [True] * 6


def test_a_comparison_has_arrays_of_one_length(api: Api, changesets: list[str]) -> None:
    track(api)
    name_version(api, changesets[3])
    answer = compare(api, changesets[1], changesets[3])
    assert answer.status_code == 200
    changed = answer.json()["changedElements"]
    assert set(changed) == set(ARRAYS)
    assert {len(one) for one in changed.values()} == {12}
    assert set(changed["opcodes"]) == {9, 18, 23}


def test_a_comparison_that_is_not_ready_is_missing(api: Api, changesets: list[str]) -> None:
    for _ in range(2):
        answer = compare(api, changesets[1], changesets[3])
        assert (answer.status_code, error_of(answer)["code"]) == (404, "ComparisonNotFound")
        track(api)
    name_version(api, changesets[2])
    assert compare(api, changesets[1], changesets[3]).status_code == 404
    assert compare(api, changesets[1], changesets[2]).status_code == 200
    assert compare(api, changesets[2], changesets[1]).status_code == 404
    assert compare(api, changesets[1], "0" * 40).status_code == 404


@pytest.mark.parametrize(
    ("path", "targets"),
    [
        ("tracking", ["iTwinId", "iModelId"]),
        ("changesets?iTwinId=itwin", ["iModelId"]),
        (f"changesets?{SCOPE}&$top=0", ["$top"]),
        (f"comparison?{SCOPE}", ["startChangesetId", "endChangesetId"]),
        (f"comparison?{SCOPE}&startChangesetId=x&endChangesetId=y", ["startChangesetId", "endChangesetId"]),
    ],
)
def test_invalid_requests(api: Api, path: str, targets: list[str]) -> None:
    answer = api.get(f"{ROOT}/{path}")
    assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidChangedElementsRequest")
    assert [one["target"] for one in error_of(answer)["details"]] == targets


@pytest.mark.parametrize("changes", [{"enable": "yes"}, {"enable": None}, {"iModelId": None}, {"iTwinId": 5}])
def test_invalid_switches(api: Api, changes: dict[str, Any]) -> None:
    assert track(api, **changes) == 422


def test_strangers_see_nothing_and_readers_change_nothing(api: Api, emulator: Emulator) -> None:
    track(api)
    stranger = Api(emulator.url, *emulator.add_client("stranger"))
    reader = Api(emulator.url, *emulator.add_client("reader", roles={"itwin": "reader"}))
    for path in ("tracking", "changesets"):
        assert stranger.get(f"{ROOT}/{path}?{SCOPE}").status_code == 403
        assert reader.get(f"{ROOT}/{path}?{SCOPE}").status_code == 200
    assert [track(one, enable=False) for one in (stranger, reader)] == [403, 403]
    assert api.get(f"{ROOT}/tracking?iTwinId=other&iModelId=model").status_code == 403


def test_a_state_file_keeps_the_tracking(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with Emulator(state_file=path) as first:
        first.add_imodel("model", "itwin")
        track(Api(first.url, first.client_id, first.client_secret))
    with Emulator(state_file=path) as second:
        api = Api(second.url, second.client_id, second.client_secret)
        assert api.get(f"{ROOT}/tracking?{SCOPE}").json() == {"enabled": True}
