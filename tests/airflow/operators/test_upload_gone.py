"""Files that are gone from the source are noticed; those of others are not."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, cast

import pytest

from airflow_provider_itwin.api.storage import endpoints, stored_files
from tests.airflow.operators.run_operators import NIGHT
from tests.airflow.operators.upload_night import Night, outcomes, replace_content, write

if TYPE_CHECKING:
    from pathlib import Path

    from itwin_emulator.domain.storage import Folder
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome


def test_files_that_are_gone_are_reported_and_removed_only_if_asked(night: Night, designs: Path) -> None:
    night.upload()
    (designs / "Site" / "Roads.dwg").unlink()
    outcome = night.upload()
    assert outcome.xcoms["upload_report"]["gone"] == ["Site/Roads.dwg"]
    assert "Roads.dwg" in night.connected()
    night.upload(remove_gone=True)
    assert "Roads.dwg" not in night.connected()
    assert "Roads.dwg" in night.stored("Design/Site")


def gone(outcome: Outcome) -> list[str]:
    assert outcome.state == "success", outcome.text
    report = outcome.xcoms["upload_report"]
    assert report["totals"]["gone"] == len(report["gone"])
    return sorted(report["gone"])


def test_files_of_a_folder_that_is_gone_are_gone(night: Night, designs: Path) -> None:
    write(designs / "Site" / "Old" / "Deep" / "Bridge.dgn", "bridge")
    night.upload()
    shutil.rmtree(designs / "Site")
    assert gone(night.upload()) == ["Site/Old/Deep/Bridge.dgn", "Site/Roads.dwg", "Site/notes.txt"]
    assert {"Roads.dwg", "Bridge.dgn"} <= night.connected().keys()
    night.upload(remove_gone=True)
    assert night.connected().keys() == {"Tower.dgn", "Roof.rvt"}
    assert night.stored("Design/Site") == {"Roads.dwg": "roads", "notes.txt": "notes"}


def test_folders_without_a_change_are_listed_once_each(night: Night) -> None:
    night.upload()
    night.upload()
    assert night.requests("get-folders-and-files-in-folder") == ["get-folders-and-files-in-folder"] * 3, (
        "the root folder, Design, Site"
    )


def test_two_sources_in_one_folder_do_not_take_each_others_files_for_gone(night: Night, designs: Path) -> None:
    other = designs.parent / "other"
    write(other / "Bridge.dgn", "bridge")
    write(other / "Tunnel" / "Tube.dgn", "tube")
    night.upload()
    assert gone(night.upload(source=str(other), remove_gone=True)) == []
    assert gone(night.upload(remove_gone=True)) == []
    (designs / "Tower.dgn").unlink()
    (other / "Bridge.dgn").unlink()
    assert gone(night.upload(source=str(other))) == ["Bridge.dgn"]
    assert gone(night.upload()) == ["Tower.dgn"]


def test_two_patterns_of_one_folder_do_not_take_each_others_files_for_gone(night: Night, designs: Path) -> None:
    night.upload(source=f"{designs}/**/*.dgn")
    assert gone(night.upload(source=f"{designs}/**/*.dwg")) == []
    assert gone(night.upload(source=f"{designs}/**/*.dgn")) == []


def test_files_that_are_left_out_are_not_gone(night: Night, designs: Path) -> None:
    night.upload()
    (designs / "Site" / "notes.txt").unlink()
    assert gone(night.upload(exclude=["Tower.*"])) == ["Site/notes.txt"]


@pytest.mark.parametrize("spelling", ["{}/", "{}/Site/..", "file://{}"])
def test_one_source_in_another_spelling_is_the_same(night: Night, designs: Path, spelling: str) -> None:
    night.upload()
    (designs / "Site" / "Roads.dwg").unlink()
    assert gone(night.upload(source=spelling.format(designs))) == ["Site/Roads.dwg"]


def test_files_of_persons_are_not_gone(night: Night, designs: Path, clock: FakeClock) -> None:
    outcome = night.upload()
    ids = {file["path"]: file["id"] for file in outcome.value}
    client = night.hook.get_conn()
    itwin = night.hook.describe_connection(NIGHT).itwin_id or ""
    storage = night.emulator.store.storage
    archive = client.call(endpoints.create_folder(night.hook.find_folder(itwin, "Design"), "Archive")).id or ""
    marked = storage.items[ids["Tower.dgn"]].description
    night.emulator.add_file(itwin, "Design/Archive/Tower.dgn", text="tower", description=marked)
    night.emulator.add_file(itwin, "Design/Tower of yesterday.dgn", text="tower", description=marked)
    night.emulator.add_file(itwin, "Design/Site/Person.dgn", text="a person's")
    clock.sleep(3600)
    replace_content(client, ids["Site/Roads.dwg"], "a person's roads")
    storage.move(storage.items[ids["Site/notes.txt"]], cast("Folder", storage.items[archive]))
    shutil.rmtree(designs / "Site")
    assert gone(night.upload()) == []


def test_files_with_a_mark_of_no_origin_are_not_gone(night: Night, designs: Path) -> None:
    outcome = night.upload()
    for file in outcome.value:
        item = night.emulator.store.storage.items[file["id"]]
        item.description = re.sub(" origin=[^ ]+", "", item.description or "")
    (designs / "Tower.dgn").unlink()
    outcome = night.upload()
    assert gone(outcome) == []
    assert set(outcomes(outcome).values()) == {"unchanged"}, "the marks are still read"
    night.upload(change_detection="digest")
    (designs / "Site" / "Roads.dwg").unlink()
    assert gone(night.upload()) == ["Site/Roads.dwg"], "a comparison has recorded the origin"


def test_a_description_without_room_for_the_origin_has_the_digest(night: Night, clock: FakeClock) -> None:
    night.upload()
    file_id = next(file["id"] for file in night.upload().value if file["path"] == "Tower.dgn")
    item = night.emulator.store.storage.items[file_id]
    item.description = "x" * 120
    assert outcomes(night.upload())["Tower.dgn"] == "updated"
    assert " origin=" not in (item.description or "")
    clock.sleep(3600)
    assert outcomes(night.upload(change_detection="digest"))["Tower.dgn"] == "unchanged"
    assert night.requests("update-file") == []


def test_the_search_for_gone_files_is_bounded(
    night: Night, designs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stored_files, "MOST_LISTS", 12)
    night.upload()
    shutil.rmtree(designs / "Site")
    itwin = night.hook.describe_connection(NIGHT).itwin_id or ""
    for number in range(30):
        night.emulator.add_file(itwin, f"Design/Foreign/{number:02d}/deeper/{number}.dgn")
    for number in range(2500):
        night.emulator.add_file(itwin, f"Design/Many/{number:04d}.dgn")
    outcome = night.upload()
    assert len(night.requests("get-folders-and-files-in-folder")) == 2 + 12
    assert gone(outcome) == ["Site/Roads.dwg", "Site/notes.txt"], "folders nearby come first"
    assert "Files that are gone are not noticed in" in caplog.text


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_error_of_the_search_does_not_fail_the_upload(night: Night, designs: Path, status: int) -> None:
    night.upload()
    shutil.rmtree(designs / "Site")
    write(designs / "Tower.dgn", "a taller tower")
    body = {"error": {"code": "Refused", "message": "The request was refused."}}
    night.emulator.fail("get-folders-and-files-in-folder", None, status=status, after=2, body=body)
    outcome = night.upload()
    assert gone(outcome) == []
    assert outcomes(outcome) == {"Tower.dgn": "updated"}
    assert any(entry.fault for entry in night.emulator.request_log)
