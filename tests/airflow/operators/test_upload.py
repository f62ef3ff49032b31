"""The upload operator brings changed files into iTwin Storage, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.airflow.operators.upload_night import WRITES, Night, outcomes, replace_content, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow.fake_clock import FakeClock


def test_new_files_are_created_and_connected(night: Night) -> None:
    outcome = night.upload()
    assert outcomes(outcome) == {"Tower.dgn": "created", "Site/Roads.dwg": "created", "Site/notes.txt": "created"}
    assert night.stored() == {"Tower.dgn": "tower"}
    assert night.stored("Design/Site") == {"Roads.dwg": "roads", "notes.txt": "notes"}
    assert night.connected() | {} == {"Tower.dgn": "MSTN", "Roof.rvt": "REVIT", "Roads.dwg": "DWG"}
    totals = outcome.xcoms["upload_report"]["totals"]
    assert (totals["created"], totals["connected"], totals["bytes_sent"]) == (3, 2, 15)


def test_unchanged_files_are_neither_read_nor_sent(night: Night, designs: Path) -> None:
    night.upload()
    for path in designs.rglob("*"):
        path.chmod(0)
    try:
        outcome = night.upload()
    finally:
        for path in designs.rglob("*"):
            path.chmod(0o755)
    assert set(outcomes(outcome).values()) == {"unchanged"}
    assert night.requests(*WRITES, "update-file") == []


def test_only_changed_files_are_sent(night: Night, designs: Path) -> None:
    night.upload()
    write(designs / "Tower.dgn", "a taller tower")
    outcome = night.upload()
    assert outcomes(outcome)["Tower.dgn"] == "updated"
    assert outcome.value[0]["path"] == "Tower.dgn"
    assert night.stored()["Tower.dgn"] == "a taller tower"
    assert len(night.requests("put-blob")) == 1
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"


def test_a_touched_file_is_compared_once_and_not_sent(night: Night, designs: Path) -> None:
    night.upload()
    os.utime(designs / "Tower.dgn", (1, 1))
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"
    assert night.requests(*WRITES, "update-file") == ["update-file"]
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"
    assert night.requests("update-file") == []


def test_a_change_of_the_same_size_and_time_is_found_by_digest(night: Night, designs: Path) -> None:
    night.upload()
    status = (designs / "Tower.dgn").stat()
    write(designs / "Tower.dgn", "TOWER")
    os.utime(designs / "Tower.dgn", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"
    assert outcomes(night.upload(change_detection="digest"))["Tower.dgn"] == "updated"


def test_always_uploads_every_file(night: Night) -> None:
    night.upload()
    assert set(outcomes(night.upload(change_detection="always")).values()) == {"updated"}


def test_a_file_that_somebody_else_replaced_is_uploaded_again(night: Night, clock: FakeClock) -> None:
    outcome = night.upload()
    file_id = next(file["id"] for file in outcome.value if file["path"] == "Tower.dgn")
    clock.sleep(3600)
    replace_content(night.hook.get_conn(), file_id, "other")
    assert outcomes(night.upload())["Tower.dgn"] == "updated"
    assert night.stored()["Tower.dgn"] == "tower"


def test_what_a_person_has_written_in_the_description_stays(night: Night, designs: Path) -> None:
    from airflow_provider_itwin.api.storage import endpoints

    outcome = night.upload()
    file_id = outcome.value[0]["id"]
    client = night.hook.get_conn()
    before = night.hook.get_file(file_id).description or ""
    client.call(endpoints.describe_file(file_id, f"Issued for construction {before}"))
    write(designs / outcome.value[0]["path"], "changed")
    night.upload()
    description = night.hook.get_file(file_id).description or ""
    assert description.startswith("Issued for construction [airflow sha256=")
    assert description.count("[airflow") == 1


def test_existing_mappings_stay_and_patterns_choose_connectors(night: Night) -> None:
    night.upload(connectors={"roads*": "CIVIL"})
    assert night.connected()["Roads.dwg"] == "CIVIL"
    night.upload(connectors={"roads*": "AUTOPLANT"})
    assert night.connected()["Roads.dwg"] == "CIVIL"


def test_nothing_changed_can_skip_the_task(night: Night) -> None:
    assert night.upload(skip_if_unchanged=True).state == "success"
    outcome = night.upload(skip_if_unchanged=True)
    assert outcome.state == "skipped"
    assert outcome.xcoms["upload_report"]["totals"]["unchanged"] == 3
    assert len(outcome.xcoms["return_value"]) == 3


def test_excluded_names_are_left_out(night: Night, designs: Path) -> None:
    write(designs / ".hidden", "x")
    write(designs / ".git" / "config", "x")
    write(designs / "Tower.bak", "x")
    assert len(outcomes(night.upload())) == 3
    assert len(outcomes(night.upload(exclude=[]))) == 6


def test_a_pattern_selects_files(night: Night, designs: Path) -> None:
    assert outcomes(night.upload(source=f"{designs}/**/*.d*")) == {"Tower.dgn": "created", "Site/Roads.dwg": "created"}


def test_one_file_is_a_source_too(night: Night, designs: Path) -> None:
    assert outcomes(night.upload(source=str(designs / "Site" / "Roads.dwg"))) == {"Roads.dwg": "created"}


def test_an_object_store_is_a_source_too(night: Night, designs: Path) -> None:
    assert outcomes(night.upload(source=f"file://{designs}")) == {
        "Tower.dgn": "created",
        "Site/Roads.dwg": "created",
        "Site/notes.txt": "created",
    }
    assert set(outcomes(night.upload(source=f"file://{designs}")).values()) == {"unchanged"}


def test_a_large_file_is_sent_in_blocks(night: Night, designs: Path, large_files: None) -> None:
    text = "0123456789" * 3
    write(designs / "Tower.dgn", text)
    night.upload()
    assert night.stored()["Tower.dgn"] == text
    assert len(night.requests("put-block")) == 8
    assert len(night.requests("put-block-list")) == 1


def test_a_touched_file_is_compared_once_and_not_sent_however_old_its_digest_is(
    night: Night, designs: Path, clock: FakeClock
) -> None:
    night.upload()
    clock.sleep(86_400)
    os.utime(designs / "Tower.dgn", (1, 1))
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"
    clock.sleep(86_400)
    assert outcomes(night.upload())["Tower.dgn"] == "unchanged"
    assert night.requests(*WRITES, "update-file") == []


def test_a_retry_does_not_skip_what_an_earlier_attempt_has_uploaded(night: Night, designs: Path) -> None:
    night.upload()
    write(designs / "Tower.dgn", "TOWER")
    night.emulator.fail("get-storage-connection-sourcefiles", status=503, times=None)
    assert night.upload(skip_if_unchanged=True).state == "up_for_retry"
    night.emulator.clear_faults()
    outcome = night.upload(skip_if_unchanged=True, try_number=2)
    assert set(outcomes(outcome).values()) == {"unchanged"}
    assert night.upload(skip_if_unchanged=True).state == "skipped"
