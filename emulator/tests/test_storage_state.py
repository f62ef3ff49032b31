"""Storage in state files, scenarios, the control API and the dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api, tasks_in
from storage_client import StorageApi, file_id_of

SCENARIO: dict[str, Any] = {
    "itwin": [{"id": "itwin"}],
    "folder": [{"itwin": "itwin", "path": "empty/inner"}],
    "file": [
        {"itwin": "itwin", "path": "designs/a.dgn", "text": "lines", "description": "text"},
        {"itwin": "itwin", "path": "large.rvt", "size": 3_000_000, "id": "large"},
    ],
    "connection": [{"id": "c", "files": [{"name": "a.dgn"}]}],
}


def storage_of(emulator: Emulator) -> StorageApi:
    return StorageApi(Api(emulator.url, emulator.client_id, emulator.client_secret), "itwin")


def test_a_scenario_has_folders_and_files(clock: ManualClock) -> None:
    with Emulator(clock=clock, scenario=SCENARIO) as emulator:
        storage = storage_of(emulator)
        assert storage.names() == ["empty", "designs", "large.rvt"]
        a, large = emulator.stored_files()
        assert (a["path"], large["path"], large["id"], large["size"]) == (
            "designs/a.dgn",
            "large.rvt",
            "large",
            3_000_000,
        )
        assert storage.content(a["id"]) == b"lines"
        content = storage.content("large")
        assert (len(content), content[:10]) == (3_000_000, b"large.rvt\n")
        assert emulator.store.connections["c"].files[0].file_id == a["id"], "the source file is the stored file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": [{"itwin": "other", "path": "a"}]}, "unknown itwin 'other'"),
        ({"file": [{"itwin": "itwin", "path": "a", "text": "x", "size": 1}]}, "exclude each other"),
        ({"file": [{"itwin": "itwin", "path": "a", "size": -1}]}, "must not be negative"),
        ({"file": [{"itwin": "itwin", "path": "a?.dgn"}]}, "invalid characters"),
        ({"file": [{"itwin": "itwin", "path": "f/a"}, {"itwin": "itwin", "path": "g/a"}]}, "set another id for 'g/a'"),
        ({"folder": [{"itwin": "itwin", "path": "a:b"}]}, "invalid characters"),
        ({"folder": [{"itwin": "nobody", "path": "a"}]}, "unknown itwin 'nobody'"),
    ],
)
def test_mistakes_in_a_scenario_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Emulator(scenario={"itwin": [{"id": "itwin"}]} | change)


def test_the_built_in_scenario_shows_changes_and_exports(clock: ManualClock) -> None:
    with Emulator(clock=clock, scenario="storage") as emulator:
        for expected in (["Success", "Success"], ["Skipped", "Skipped"]):
            emulator.start_run("storage-connection")
            clock.advance(60)
            assert [task["result"] for task in tasks_in(emulator.runs("storage-connection")[-1])] == expected
        emulator.start_run("storage-export")
        clock.advance(60)
        assert emulator.stored_files()[-1]["path"].endswith(".ifc")


def test_the_control_api_adds_and_changes_files(emulator: Emulator, api: Api, storage: StorageApi) -> None:
    body = {"itwinId": "itwin", "path": "designs/a.dgn", "text": "one"}
    file_id = api.control("POST", "/storage/files", body).json()["fileId"]
    assert storage.content(file_id) == b"one"
    assert api.control("POST", "/storage/content", {"file_id": file_id, "text": "other"}).status_code == 200
    assert storage.content(file_id) == b"other"
    folder = api.control("POST", "/storage/folders", {"itwin_id": "itwin", "path": "designs/b"}).json()["folderId"]
    assert storage.names(folder) == []
    (listed,) = api.control("GET", "/storage/files").json()["files"]
    assert (listed["path"], listed["size"], listed["iTwinId"]) == ("designs/a.dgn", 5, "itwin")
    assert api.control("POST", "/storage/content", {"file_id": "nobody"}).status_code == 404
    assert api.control("POST", "/storage/files", body | {"itwinId": "itwin"}).status_code == 422


def test_the_dashboard_lists_the_files(emulator: Emulator, api: Api, storage: StorageApi) -> None:
    storage.upload("a.dgn", b"12345")
    data = api.control("GET", "/dashboard").json()
    assert [(one["path"], one["size"]) for one in data["files"]] == [("a.dgn", 5)]
    assert data["hiddenFiles"] == 0


def test_storage_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, scenario=SCENARIO, state_file=path) as first:
        storage = storage_of(first)
        first.add_connection("export", "e", first.add_imodel("model", "itwin"))
        first.start_run("c")
        clock.advance(60)
        first.start_run("e")
        added = storage.upload("b.dgn", b"uploaded")
        download = storage.url(added)
        links = storage.begin("c.dgn")
        storage.put(links["uploadUrl"], b"not completed")
        storage.api.call("DELETE", "/storage/files/large")
        token = storage.api.token
    clock.advance(60)
    with Emulator(clock=clock, state_file=path) as second:
        storage = storage_of(second)
        storage.api._token = token
        assert storage.blobs.get(download.replace(first.url, second.url), timeout=10).content == b"uploaded"
        assert storage.api.post(links["completeUrl"].replace(first.url, second.url)).status_code == 200
        assert storage.content(file_id_of(links["completeUrl"])) == b"not completed"
        assert storage.api.post("/storage/recyclebin/files/large/restore").status_code == 204
        assert len(storage.content("large")) == 3_000_000
        assert [one for one in storage.names() if one.endswith(".ifc")], "the export ended while it was stopped"
        second.start_run("c")
        clock.advance(60)
        assert [task["result"] for task in tasks_in(second.runs("c")[-1])] == ["Skipped"]


def test_the_folder_beside_the_state_file_has_no_orphans(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, scenario=SCENARIO, state_file=path):
        pass
    folder = tmp_path / "state.json.blobs"
    (folder / "orphan").write_text("x")
    assert len(list(folder.iterdir())) == 3
    with Emulator(clock=clock, state_file=path) as second:
        assert len(list(folder.iterdir())) == 2
        assert len(second.stored_files()) == 2


def test_a_state_file_without_storage_is_read(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, scenario="queue", state_file=path):
        pass
    data = json.loads(path.read_text())
    del data["storage"]
    path.write_text(json.dumps(data))
    with Emulator(clock=clock, state_file=path) as second:
        assert second.stored_files() == []
        assert len(second.connection_ids()) == 5
