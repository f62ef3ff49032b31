"""Runs and Storage: unchanged files are skipped, exports write files."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.domain.changes import changed_files
from platform_client import EXPORT, STORAGE, Api, tasks_in
from storage_client import StorageApi


@pytest.fixture
def connection(storage: StorageApi, emulator: Emulator) -> str:
    """A connection of two files in Storage."""
    ids = [storage.upload(name, name.encode()) for name in ("a.dgn", "b.dgn")]
    emulator.add_imodel("model", "itwin")
    files = [{"name": name, "file_id": file_id} for name, file_id in zip(("a.dgn", "b.dgn"), ids, strict=True)]
    return emulator.add_connection("storage", "c", "model", files=files)


def finish(emulator: Emulator, clock: ManualClock, connection: str) -> dict[str, Any]:
    """Start a run and return it after its end."""
    emulator.start_run(connection)
    clock.advance(60)
    return emulator.runs(connection)[-1]


def results(run: dict[str, Any]) -> list[str]:
    return [task["result"] for task in tasks_in(run)]


def changed(emulator: Emulator, connection: str) -> list[str]:
    return [file.name for file in changed_files(emulator.store.connections[connection].runs[-1])]


def test_a_run_processes_what_has_changed(
    storage: StorageApi, emulator: Emulator, clock: ManualClock, connection: str
) -> None:
    assert results(finish(emulator, clock, connection)) == ["Success", "Success"]
    assert changed(emulator, connection) == ["a.dgn", "b.dgn"]
    unchanged = finish(emulator, clock, connection)
    assert (unchanged["result"], results(unchanged)) == ("Success", ["Skipped", "Skipped"])
    assert changed(emulator, connection) == []
    storage.update(emulator.stored_files()[1]["id"], b"new")
    assert results(finish(emulator, clock, connection)) == ["Skipped", "Success"]
    assert changed(emulator, connection) == ["b.dgn"]


def test_equal_content_is_no_change(
    storage: StorageApi, emulator: Emulator, clock: ManualClock, connection: str
) -> None:
    finish(emulator, clock, connection)
    storage.update(emulator.stored_files()[0]["id"], b"a.dgn")
    assert results(finish(emulator, clock, connection)) == ["Skipped", "Skipped"]


def test_a_failed_run_changes_nothing(emulator: Emulator, clock: ManualClock, connection: str) -> None:
    emulator.plan_run(connection, "Error", times=1, failing=["a.dgn"])
    assert sorted(results(finish(emulator, clock, connection))) == ["Error", "Success"]
    assert results(finish(emulator, clock, connection)) == ["Success", "Success"]


def test_a_planned_failure_happens_to_an_unchanged_file(
    emulator: Emulator, clock: ManualClock, connection: str
) -> None:
    finish(emulator, clock, connection)
    emulator.plan_run(connection, "PartialSuccess", failing=["a.dgn"], warnings=5)
    run = finish(emulator, clock, connection)
    assert (run["result"], results(run)) == ("PartialSuccess", ["Error", "Skipped"])


def test_an_upload_during_a_run_is_for_the_next_one(
    storage: StorageApi, emulator: Emulator, clock: ManualClock, connection: str
) -> None:
    emulator.start_run(connection)
    storage.update(emulator.stored_files()[0]["id"], b"during the run")
    clock.advance(60)
    assert results(finish(emulator, clock, connection)) == ["Success", "Skipped"]


def test_a_run_without_changes_can_be_skipped(emulator: Emulator, clock: ManualClock, connection: str) -> None:
    emulator.quirks.unchanged_run = "Skipped"
    assert finish(emulator, clock, connection)["result"] == "Success"
    assert finish(emulator, clock, connection)["result"] == "Skipped"


def test_files_that_are_not_in_storage_are_always_processed(emulator: Emulator, clock: ManualClock) -> None:
    other = emulator.add_connection(files=["x.dgn"])
    assert [results(finish(emulator, clock, other)) for _ in range(2)] == [["Success"], ["Success"]]


def test_a_source_file_has_the_name_of_the_stored_file(storage: StorageApi, emulator: Emulator, api: Api) -> None:
    file_id = storage.upload("named.dgn", b"")
    path = f"{STORAGE}/{emulator.add_connection()}/sourcefiles"
    added = api.post(path, {"storageFileId": file_id, "connectorType": "MSTN"}).json()["sourceFile"]
    assert added["lastKnownFileName"] == "named.dgn"


@pytest.mark.parametrize(
    ("export_type", "extension", "beginning"), [("IFC", "ifc", b"ISO-10303"), ("PDF", "pdf", b"%PDF")]
)
def test_an_export_writes_a_file(
    storage: StorageApi,
    emulator: Emulator,
    api: Api,
    clock: ManualClock,
    export_type: str,
    extension: str,
    beginning: bytes,
) -> None:
    emulator.add_imodel("model", "itwin")
    emulator.add_connection("export", "e", "model")
    contents = []
    for _ in range(2):
        location = api.post(f"{EXPORT}/e/runs", {"exportType": export_type}).headers["Location"]
        assert "exportOutputFileId" not in str(api.run(location))
        clock.advance(60)
        (task,) = tasks_in(api.run(location))
        file = api.get(f"/storage/files/{task['exportOutputFileId']}").json()["file"]
        assert file["displayName"].endswith(f".{extension}")
        contents.append(storage.content(task["exportOutputFileId"]))
    assert contents[0] == contents[1], "an unchanged iModel gives the same bytes"
    assert contents[0].startswith(beginning)
    assert len(storage.names()) == 2


def test_a_failed_export_writes_nothing(storage: StorageApi, emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.add_imodel("model", "itwin")
    emulator.add_connection("export", "e", "model")
    emulator.plan_run("e", "Error")
    api.start("export", "e")
    clock.advance(60)
    assert storage.names() == []
