"""Faults and refusals during an upload: the task does the rest, or fails with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from tests.airflow.operators.run_operators import NIGHT
from tests.airflow.operators.upload_night import WRITES, Night, outcomes, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.airflow.single_task import Outcome


FAULTS = [
    *(
        (operation, kind, status)
        for operation in (
            "create-file",
            "complete-file-upload",
            "update-file",
            "create-folder",
            "get-folders-and-files-in-folder",
            "add-storage-connection-sourcefile",
            "put-blob",
            "put-block",
            "put-block-list",
        )
        for kind, status in (
            ("status", 500),
            ("status", 503),
            ("status", 429),
            ("reset-before", None),
            ("reset-after", None),
            ("truncate", None),
            ("html", 502),
        )
    ),
    ("put-blob", "status", 403),
    ("put-block", "status", 403),
    ("put-block-list", "status", 403),
    ("put-blob", "reset-body", None),
    ("put-block", "reset-body", None),
]


@pytest.mark.parametrize(("operation", "kind", "status"), FAULTS)
def test_temporary_faults_are_ridden_out(
    night: Night, designs: Path, large_files: None, operation: str, kind: Any, status: int | None
) -> None:
    write(designs / "Large.dgn", "0123456789" * 3)
    night.emulator.fail(operation, kind=kind, status=status, times=2)
    outcome = night.upload()
    assert {entry.operation for entry in night.emulator.request_log if entry.fault} == {operation}
    assert len(outcomes(outcome)) == 4
    assert night.stored() == {"Tower.dgn": "tower", "Large.dgn": "0123456789" * 3}
    assert night.stored("Design/Site") == {"Roads.dwg": "roads", "notes.txt": "notes"}
    assert {"Tower.dgn", "Roads.dwg", "Large.dgn"} <= night.connected().keys()
    outcome = night.upload()
    assert set(outcomes(outcome).values()) == {"unchanged"}


def test_a_bad_write_never_completes(night: Night) -> None:
    night.emulator.fail("put-blob", status=400, times=None)
    outcome = night.upload()
    assert outcome.state == "failed"
    assert "3 files were not uploaded" in outcome.text
    assert night.requests("complete-file-upload") == []
    assert night.stored() == {}


def test_a_refused_file_does_not_stop_the_others(night: Night) -> None:
    night.emulator.fail("create-file", status=422, times=1)
    outcome = night.upload()
    assert outcome.state == "failed"
    assert "1 files were not uploaded" in outcome.text
    assert outcome.xcoms["upload_report"]["totals"] | {"bytes_sent": 0, "seconds": 0} == {
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": 1,
        "not_tried": 0,
        "gone": 0,
        "connected": outcome.xcoms["upload_report"]["totals"]["connected"],
        "bytes_sent": 0,
        "seconds": 0,
    }


def test_an_outage_fails_the_task_retryably_and_a_retry_does_the_rest(night: Night) -> None:
    night.emulator.fail("put-blob", status=503, times=None)
    outcome = night.upload()
    assert outcome.state == "up_for_retry"
    assert "A retry uploads the rest" in outcome.text
    night.emulator.clear_faults()
    assert len(outcomes(night.upload())) == 3


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"source": "/no/such/folder"}, "does not exist on this worker"),
        ({"source": "/no/such/*.dgn"}, "there is no folder"),
        ({"source": "file:///no/such/folder"}, "does not exist"),
        ({"source": "nosuch://bucket"}, "cannot be used"),
        ({"folder_path": "A/../B"}, "invalid folder"),
        ({"folder_path": None, "folder_id": "unknown", "connection_id": None}, "404"),
    ],
)
def test_what_cannot_work_fails_with_the_reason(night: Night, parameters: dict[str, Any], reason: str) -> None:
    outcome = night.upload(**parameters)
    assert outcome.state == "failed"
    assert reason in outcome.text


def test_a_source_without_files_fails(night: Night, tmp_path: Path) -> None:
    outcome = night.upload(source=f"{tmp_path}/*.nothing")
    assert outcome.state == "failed"
    assert "has no files" in outcome.text


def test_a_refused_name_fails_before_anything_is_sent(night: Night, designs: Path) -> None:
    write(designs / "a?.dgn", "x")
    outcome = night.upload()
    assert outcome.state == "failed"
    assert "would refuse 1 of the files" in outcome.text
    assert night.requests(*WRITES) == []


QUIRKS = [
    {"same_name": "accepted"},
    {"same_name": "rejected"},
    {"complete_twice": "rejected"},
    {"complete_without_content": "empty"},
    {"upload_permissions": "cw"},
]


@pytest.mark.parametrize("quirk", QUIRKS, ids=str)
@pytest.mark.parametrize("operation", ["create-file", "create-folder", "complete-file-upload"])
def test_a_lost_response_leaves_one_file(night: Night, quirk: dict[str, Any], operation: str) -> None:
    for name, value in quirk.items():
        setattr(night.emulator.quirks, name, value)
    night.emulator.fail(operation, kind="reset-after", times=3)
    assert len(outcomes(night.upload())) == 3
    assert any(entry.fault for entry in night.emulator.request_log)
    assert night.stored() == {"Tower.dgn": "tower"}
    assert set(outcomes(night.upload()).values()) == {"unchanged"}
    assert outcomes(night.upload(change_detection="always"))["Tower.dgn"] == "updated"


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_change_whose_completion_is_refused_is_not_recorded(night: Night, designs: Path, status: int) -> None:
    night.upload()
    write(designs / "Tower.dgn", "TOWER")
    body = {"error": {"code": "Refused", "message": "The request was refused."}}
    night.emulator.fail("complete-file-upload", status=status, times=None, body=body)
    assert night.upload().state in ("failed", "up_for_retry")
    night.emulator.clear_faults()
    assert outcomes(night.upload())["Tower.dgn"] == "updated"
    assert night.stored()["Tower.dgn"] == "TOWER"


@pytest.mark.parametrize("status", [403, 422])
def test_content_is_not_changed_while_its_digest_cannot_be_removed(night: Night, designs: Path, status: int) -> None:
    night.upload()
    write(designs / "Tower.dgn", "TOWER")
    body = {"error": {"code": "Refused", "message": "The request was refused."}}
    night.emulator.fail("update-file", status=status, times=None, body=body)
    outcome = night.upload()
    assert outcome.state == "failed"
    assert night.stored()["Tower.dgn"] == "tower"
    night.emulator.clear_faults()
    assert outcomes(night.upload())["Tower.dgn"] == "updated"


def test_a_task_that_is_killed_during_a_pause_ends_at_once(
    night: Night, run_task: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    night.emulator.fail("create-file", status=503, times=None)
    task = ITwinUploadFilesOperator(task_id="upload", source=str(night.source), connection_id=NIGHT)
    monkeypatch.setattr(stopping, "pause", lambda stopped, seconds: stopped.set())
    outcome = run_task(task)
    assert outcome.state == "up_for_retry"
    assert "The upload was stopped" in outcome.text
    assert len(night.requests("create-file")) <= 3, "one for each file, and none again"
