"""Changesets that runs push, and named versions on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api, error_of, tasks_in
from storage_client import StorageApi

FULL = {"Prefer": "return=representation"}
MODEL = "model"


@pytest.fixture
def connection(emulator: Emulator) -> str:
    return emulator.add_connection(imodel_id=MODEL, files=["a.dgn", "b.dgn", "c.dgn"])


def run_once(emulator: Emulator, clock: ManualClock, connection: str, seconds: float = 10) -> str:
    run = emulator.start_run(connection)
    clock.advance(seconds)
    return run


def changesets(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/imodels/{MODEL}/changesets{query}", headers=FULL).json()["changesets"]
    return found


def create_version(api: Api, **body: Any) -> Any:
    return api.post(f"/imodels/{MODEL}/namedversions", body)


def test_a_successful_run_pushes_one_changeset(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api
) -> None:
    run_id = run_once(emulator, clock, connection)
    run = emulator.runs(connection)[0]
    (one,) = changesets(api)
    assert run["startDateTime"] < one["pushDateTime"] < run["endDateTime"]
    assert one["synchronizationInfo"] == {
        "taskId": tasks_in(run)[-1]["id"],
        "changedFiles": ["a.dgn", "b.dgn", "c.dgn"],
    }
    assert (one["index"], one["parentId"]) == (1, "")
    assert run_id == run["id"]


@pytest.mark.parametrize(
    ("result", "count"),
    [("Success", 1), ("PartialSuccess", 1), ("Error", 0), ("Skipped", 0), ("Canceled", 0), ("TimedOut", 0)],
)
def test_only_runs_that_synchronize_push(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api, result: str, count: int
) -> None:
    emulator.plan_run(connection, result)
    run_once(emulator, clock, connection)
    assert len(changesets(api)) == count


def test_files_that_fail_are_not_in_the_changeset(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api
) -> None:
    emulator.plan_run(connection, "PartialSuccess", failing=["b.dgn"])
    run_once(emulator, clock, connection)
    assert changesets(api)[0]["synchronizationInfo"]["changedFiles"] == ["a.dgn", "c.dgn"]


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_the_plan_sets_the_number_of_changesets(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api, count: int
) -> None:
    emulator.plan_run(connection, changesets=count)
    run_once(emulator, clock, connection)
    found = changesets(api)
    tasks = {task["id"] for task in tasks_in(emulator.runs(connection)[0])}
    assert len(found) == count
    assert len({one["groupId"] for one in found}) == min(count, 1)
    assert all(one["synchronizationInfo"]["taskId"] in tasks for one in found)
    assert [one["parentId"] for one in found] == ["", *(one["id"] for one in found)][:count]
    dates = [one["pushDateTime"] for one in found]
    assert dates == sorted(set(dates))


def test_a_run_pushes_while_it_is_active(emulator: Emulator, clock: ManualClock, connection: str, api: Api) -> None:
    emulator.plan_run(connection, changesets=2)
    run_once(emulator, clock, connection, 6)
    assert [one["index"] for one in changesets(api)] == [1]
    group = changesets(api)[0]["groupId"]
    path = f"/imodels/{MODEL}/changesetgroups/{group}"
    assert api.get(path).json()["changesetGroup"]["state"] == "inProgress"
    clock.advance(6)
    assert [one["groupId"] for one in changesets(api)] == [group, group]
    assert api.get(path).json()["changesetGroup"]["state"] == "completed"
    assert len(api.get(f"/imodels/{MODEL}/changesetgroups").json()["changesetGroups"]) == 1


def test_what_a_run_pushed_before_it_failed_stays(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api
) -> None:
    emulator.plan_run(connection, changesets=2)
    run_once(emulator, clock, connection, 6)
    emulator.finish_run(connection, result="Error")
    clock.advance(60)
    assert [one["index"] for one in changesets(api)] == [1]


def test_a_run_that_is_ended_early_pushes_at_its_end(
    emulator: Emulator, clock: ManualClock, connection: str, api: Api
) -> None:
    run_once(emulator, clock, connection, 1)
    emulator.finish_run(connection)
    run = emulator.runs(connection)[0]
    assert [one["pushDateTime"] for one in changesets(api)] == [run["endDateTime"]]


def test_an_export_pushes_nothing(emulator: Emulator, clock: ManualClock, api: Api) -> None:
    run_once(emulator, clock, emulator.add_connection("export", imodel_id=MODEL))
    assert changesets(api) == []


def test_somebody_else_pushes_in_between(emulator: Emulator, clock: ManualClock, connection: str, api: Api) -> None:
    emulator.plan_run(connection, changesets=2)
    run_once(emulator, clock, connection, 6)
    assert api.control("POST", "/changesets", {"imodel_id": MODEL}).status_code == 200
    clock.advance(6)
    assert [one["synchronizationInfo"] is None for one in changesets(api)] == [False, True, False]
    assert [one["groupId"] is None for one in changesets(api)] == [False, True, False]


def test_the_quirks_of_the_task_id(emulator: Emulator, clock: ManualClock, connection: str, api: Api) -> None:
    run_id = run_once(emulator, clock, connection)
    files = {"changedFiles": ["a.dgn", "b.dgn", "c.dgn"]}
    expected: dict[str, dict[str, Any]] = {"run": {"taskId": run_id}, "null": {"taskId": None}, "absent": {}}
    for value, members in expected.items():
        emulator.quirks.changeset_task_id = value  # type: ignore[assignment]
        assert changesets(api)[0]["synchronizationInfo"] == members | files


def test_the_clock_of_pushes_can_differ(emulator: Emulator, clock: ManualClock, connection: str, api: Api) -> None:
    run_once(emulator, clock, connection)
    emulator.quirks.push_date_skew = -3600.0
    assert changesets(api)[0]["pushDateTime"] < emulator.runs(connection)[0]["startDateTime"]


def test_ranges_and_order(emulator: Emulator, connection: str, api: Api) -> None:
    emulator.push_changesets(MODEL, 5)

    def indexes(query: str) -> list[int]:
        return [one["index"] for one in changesets(api, query)]

    assert indexes("") == [1, 2, 3, 4, 5]
    assert indexes("?$orderBy=index desc&$top=1") == [5]
    assert indexes("?afterIndex=2&lastIndex=4") == [3, 4]
    assert indexes("?afterIndex=9") == []
    page = api.get(f"/imodels/{MODEL}/changesets?afterIndex=1&$orderBy=index%20desc&$top=2").json()
    assert page["_links"]["prev"] is None
    assert [one["index"] for one in api.get(page["_links"]["next"]["href"]).json()["changesets"]] == [3, 2]


@pytest.mark.parametrize("query", ["?$orderBy=pushDateTime", "?$orderBy=index up", "?afterIndex=x", "?$top=0"])
def test_invalid_lists(emulator: Emulator, connection: str, api: Api, query: str) -> None:
    answer = api.get(f"/imodels/{MODEL}/changesets{query}")
    assert answer.status_code == 422
    assert error_of(answer)["code"] == "InvalidiModelsRequest"


def test_a_changeset_by_id_and_by_index(emulator: Emulator, connection: str, api: Api) -> None:
    _, second = emulator.push_changesets(MODEL, 2)
    for name in (second, second.upper(), "2"):
        assert api.get(f"/imodels/{MODEL}/changesets/{name}").json()["changeset"]["id"] == second
    for name in ("0", "3", "f" * 40):
        answer = api.get(f"/imodels/{MODEL}/changesets/{name}")
        assert (answer.status_code, error_of(answer)["code"]) == (404, "ChangesetNotFound")


def test_a_named_version_on_a_changeset(emulator: Emulator, connection: str, api: Api) -> None:
    (changeset,) = emulator.push_changesets(MODEL)
    answer = create_version(api, name="Night 1", description="d", changesetId=changeset)
    assert answer.status_code == 201
    version = answer.json()["namedVersion"]
    assert (version["changesetId"], version["changesetIndex"]) == (changeset, 1)
    path = f"/imodels/{MODEL}/namedversions/{version['id']}"
    assert api.get(path).json()["namedVersion"] == version
    assert api.get(f"/imodels/{MODEL}/namedversions?name=Night 1", headers=FULL).json()["namedVersions"] == [version]
    assert changesets(api)[0]["_links"]["namedVersion"]["href"].endswith(path)


def test_a_named_version_without_a_changeset_is_on_the_baseline(emulator: Emulator, connection: str, api: Api) -> None:
    emulator.push_changesets(MODEL)
    version = create_version(api, name="first").json()["namedVersion"]
    assert (version["changesetId"], version["changesetIndex"], version["_links"]["changeset"]) == (None, 0, None)


def test_conflicts_of_named_versions(emulator: Emulator, connection: str, api: Api) -> None:
    one, two = emulator.push_changesets(MODEL, 2)
    create_version(api, name="a", changesetId=one)
    taken = create_version(api, name="a", changesetId=two)
    assert (taken.status_code, error_of(taken)["code"]) == (409, "NamedVersionExists")
    named = create_version(api, name="b", changesetId=one)
    assert (named.status_code, error_of(named)["code"]) == (409, "NamedVersionOnChangesetExists")
    absent = create_version(api, name="c", changesetId="f" * 40)
    assert (absent.status_code, error_of(absent)["code"]) == (404, "ChangesetNotFound")


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "x", "description": "y" * 256}, "description"),
        ({"name": "x", "changesetId": 5}, "changesetId"),
    ],
)
def test_invalid_named_versions(emulator: Emulator, connection: str, api: Api, body: Any, target: str) -> None:
    answer = create_version(api, **body)
    assert answer.status_code == 422
    assert error_of(answer)["details"][0]["target"] == target


def test_changing_a_named_version(emulator: Emulator, connection: str, api: Api) -> None:
    one, two = emulator.push_changesets(MODEL, 2)
    create_version(api, name="a", changesetId=one)
    version = create_version(api, name="b", changesetId=two).json()["namedVersion"]
    path = f"/imodels/{MODEL}/namedversions/{version['id']}"
    changed = api.call("PATCH", path, json={"name": "c", "state": "hidden", "description": "new"})
    assert {name: changed.json()["namedVersion"][name] for name in ("name", "state", "description")} == {
        "name": "c",
        "state": "hidden",
        "description": "new",
    }
    assert api.call("PATCH", path, json={"name": "a"}).status_code == 409
    assert api.call("PATCH", path, json={"state": "gone"}).status_code == 422
    assert api.call("PATCH", path, json={}).status_code == 422
    hidden = api.get(f"/imodels/{MODEL}/namedversions?state=hidden").json()["namedVersions"]
    assert [one["id"] for one in hidden] == [version["id"]]


def test_named_versions_and_the_baseline_have_checkpoints(emulator: Emulator, connection: str, api: Api) -> None:
    _, two, _ = emulator.push_changesets(MODEL, 3)
    version = create_version(api, name="a", changesetId=two).json()["namedVersion"]["id"]

    def checkpoint(path: str) -> tuple[int, str]:
        found = api.get(f"/imodels/{MODEL}/{path}/checkpoint").json()["checkpoint"]
        return found["changesetIndex"], found["state"]

    assert checkpoint("changesets/0") == (0, "successful")
    assert checkpoint("changesets/1") == (1, "notGenerated")
    assert checkpoint(f"namedversions/{version}") == (2, "successful")
    assert checkpoint("briefcases") == (2, "successful")
    link = changesets(api)[2]["_links"]["currentOrPrecedingCheckpoint"]["href"]
    assert link.endswith("/changesets/2/checkpoint")


def test_a_reader_reads_only(emulator: Emulator, connection: str) -> None:
    itwin = emulator.store.imodels[MODEL].itwin_id
    reader = Api(emulator.url, *emulator.add_client(roles={itwin: "reader"}))
    assert reader.get(f"/imodels/{MODEL}/changesets").status_code == 200
    refused = create_version(reader, name="x")
    assert (refused.status_code, error_of(refused)["code"]) == (403, "InsufficientPermissions")
    stranger = Api(emulator.url, *emulator.add_client())
    hidden = stranger.get(f"/imodels/{MODEL}/changesets")
    assert (hidden.status_code, error_of(hidden)["code"]) == (404, "iModelNotFound")


def test_history_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    state = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=state) as emulator:
        connection = emulator.add_connection(imodel_id=MODEL, files=4)
        emulator.plan_run(connection, changesets=2)
        emulator.start_run(connection)
        clock.advance(6)
        emulator.push_changesets(MODEL)
        emulator.add_named_version(MODEL, "kept", 1)
        before = emulator.changesets(MODEL)
    clock.advance(60)
    with Emulator(clock=clock, state_file=state, port=emulator.port) as emulator:
        after = emulator.changesets(MODEL)
        assert after[:2] == before
        assert [one["groupId"] for one in after] == [before[0]["groupId"], None, before[0]["groupId"]]
        assert [one["name"] for one in emulator.named_versions(MODEL)] == ["kept"]


def test_the_control_api_names_versions(emulator: Emulator, connection: str, api: Api) -> None:
    emulator.push_changesets(MODEL, 2)
    assert api.control("POST", "/named-versions", {"imodel_id": MODEL, "name": "v"}).status_code == 200
    listed = api.control("GET", f"/named-versions?imodel_id={MODEL}").json()["namedVersions"]
    assert [(one["name"], one["changesetIndex"]) for one in listed] == [("v", 2)]
    assert api.control("POST", "/named-versions", {"imodel_id": MODEL, "name": "v"}).status_code == 422
    assert api.control("GET", "/changesets?imodel_id=nowhere").status_code == 404
    assert api.control("GET", "/changesets").status_code == 422


def test_a_run_without_changed_files_pushes_nothing(emulator: Emulator, clock: ManualClock, api: Api) -> None:
    itwin = emulator.add_itwin()
    emulator.add_imodel(MODEL, itwin)
    storage = StorageApi(api, itwin)
    first, second = storage.upload("a.dgn", b"one"), storage.upload("b.dgn", b"one")
    files = [{"name": "a.dgn", "file_id": first}, {"name": "b.dgn", "file_id": second}]
    connection = emulator.add_connection(imodel_id=MODEL, files=files)
    pushed = []
    for change in (False, False, True, False):
        if change:
            storage.update(second, b"two")
        run_once(emulator, clock, connection)
        pushed.append([one["synchronizationInfo"]["changedFiles"] for one in changesets(api)])
    assert pushed == [[["a.dgn", "b.dgn"]]] * 2 + [[["a.dgn", "b.dgn"], ["b.dgn"]]] * 2
