"""The steps of a night that have no run, as their operators store them: uploads, named versions and downloads."""

from __future__ import annotations

import time
from typing import Any

from .nights import HARBOR, HOSTILE, xcoms
from .stored_tasks import StoredRun, StoredTask

DAG = "steps"
CONNECTION, OTHER_CONNECTION = "harbor-basin", "harbor-quay"
FOLDER, FILE = "5f0c1b6e-0d3c-4a6c-9c1c-6a64a0a0f3d1", "3e1b1a52-77d7-4d6f-8a43-2b1c52a8c0de"
CHANGESET, VERSION = "2f3dbad5d1c0d5a1f3bb6f1e4b1b1a9de35a0c11", "a3b1b5fe-6a0e-4d7e-8f0e-1cf0c6a0c0aa"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
MIB = 1024 * 1024

JOB = "0c5a1f3b-1d5c-4e6a-9d61-8f3f0b7c1a55"

UPLOAD, NAMED_VERSION, DOWNLOAD, MODEL = (
    "ITwinUploadFilesOperator",
    "ITwinCreateNamedVersionOperator",
    "ITwinDownloadFileOperator",
    "ITwinRealityModelingOperator",
)


MESSAGES = [
    {"level": "error", "code": "TooFewPhotos", "text": "Not enough overlap: only 3 photos. <b>Bold</b>"},
    {"level": "warning", "code": None, "text": HOSTILE},
]


def report(**totals: float) -> dict[str, Any]:
    """Return the report of an upload without files."""
    names = ("created", "updated", "unchanged", "failed", "not_tried", "gone", "connected", "bytes_sent", "seconds")
    return {
        "folder_id": FOLDER,
        "totals": dict.fromkeys(names, 0) | totals,
        "files": [],
        "failed": [],
        "gone": [],
        "removed_from_connection": 0,
    }


def uploaded() -> dict[str, Any]:
    """Return the report of an upload with files of every outcome."""
    totals = {"created": 1, "updated": 2, "unchanged": 60, "gone": 1, "connected": 1, "bytes_sent": 60 * MIB}
    files = [
        {"path": "structural/HB-STR-Quay.dgn", "size": 12 * MIB, "outcome": "created"},
        {"path": "architecture/HB-ARC-Hall.rvt", "size": 40 * MIB, "outcome": "updated"},
        {"path": "architecture/HB-ARC-Roof.dgn", "size": 8 * MIB, "outcome": "updated"},
        *({"path": f"survey/HB-SUR-{one:02}.dwg", "size": 1536, "outcome": "unchanged"} for one in range(47)),
    ]
    return report(**totals, seconds=12.0) | {"files": files, "gone": ["structural/HB-STR-Crane.dgn"]}


def failed() -> dict[str, Any]:
    """Return the report of an upload that stopped after a file had failed."""
    reason = "The folder has a folder of the same name; rename the file. <b>Bold</b>"
    stored = [{"path": HOSTILE, "size": 40 * MIB, "outcome": "updated"}]
    totals = report(updated=1, failed=1, not_tried=3, bytes_sent=40 * MIB, seconds=8.0)
    return totals | {"files": stored, "failed": [{"path": "HB-MEP-Pumps.rvt", "error": reason}]}


def named_version() -> dict[str, Any]:
    """Return the output of the operator that names a version."""
    return {
        "id": VERSION,
        "name": f"Nightly {HOSTILE}",
        "imodel_id": HARBOR,
        "changeset_id": CHANGESET,
        "changeset_index": 12,
        "created": True,
    }


def downloaded(files: int = 1) -> list[dict[str, Any]]:
    """Return the output of a download."""
    return [
        {
            "file_id": FILE,
            "name": f"Harbor-{one}.ifc",
            "path": f"/deliveries/Harbor-{one}.ifc",
            "size": 3 * MIB,
            "sha256": SHA256,
        }
        for one in range(files)
    ]


def job(state: str, outcome: str, **others: Any) -> dict[str, Any]:
    """Return the report of a job."""
    return {
        "name": "reality modeling job",
        "job_id": JOB,
        "state": state,
        "outcome": outcome,
        "progress": 100.0,
        "messages": [],
        "messages_left_out": 0,
        "details": {"job": {"id": JOB}},
        "result": None,
        "result_path": None,
    } | others


def step(
    task_id: str,
    operator: str,
    state: str,
    stored: dict[str, Any] | None = None,
    connection: str = CONNECTION,
    **more: Any,
) -> StoredTask:
    """Return a task that began five minutes ago, and took 90 s if it has ended."""
    began = time.time() - 300
    ended = None if state == "running" else began + 90
    return StoredTask(
        connection if operator == UPLOAD else None,
        state,
        began,
        ended,
        xcoms=stored or {},
        task_id=task_id,
        operator=operator,
        map_index=-1,
        **more,
    )


def nights() -> list[StoredRun]:
    """Return nights whose steps succeed, fail, run, and end without an output."""
    now = time.time()
    run_ref = {"kind": "storage", "connection_id": CONNECTION, "run_id": "run-1"}
    synchronized = xcoms(CONNECTION, HARBOR, "Success", now - 300)
    return [
        StoredRun(
            DAG,
            "whole",
            [
                step("upload", UPLOAD, "success", {"upload_report": uploaded()}),
                StoredTask(CONNECTION, "success", now - 300, now - 200, xcoms=synchronized, map_index=-1),
                step(
                    "version", NAMED_VERSION, "success", {"return_value": named_version()}, fields={"run_ref": run_ref}
                ),
                step("download", DOWNLOAD, "success", {"return_value": downloaded()}),
                step(
                    "model",
                    MODEL,
                    "success",
                    {"job_report": job("Success", "passed", result_path="/deliveries/bridge.json")},
                ),
            ],
        ),
        StoredRun(
            DAG,
            "failed",
            [
                step("upload", UPLOAD, "failed", {"upload_report": failed()}, OTHER_CONNECTION),
                step(
                    "model",
                    MODEL,
                    "failed",
                    {"job_report": job("Failed", "failed", messages=MESSAGES, messages_left_out=2)},
                ),
            ],
        ),
        StoredRun(
            DAG,
            "running",
            [
                step("upload", UPLOAD, "running"),
                step("version", NAMED_VERSION, "running"),
                step("download", DOWNLOAD, "running"),
                step(
                    "model",
                    MODEL,
                    "running",
                    {"job_ref": {"name": "reality modeling job", "job_id": JOB, "inputs": {}}},
                ),
            ],
        ),
        StoredRun(
            DAG,
            "without",
            [
                step("upload", UPLOAD, "failed"),
                step("version", NAMED_VERSION, "success"),
                step("download", DOWNLOAD, "success", {"return_value": downloaded(120)}),
                step("model", MODEL, "failed"),
            ],
        ),
        StoredRun(
            DAG,
            "unknown",
            [
                step("upload", UPLOAD, "success", {"upload_report": {"folder_id": FOLDER, "totals": {}, "files": 3}}),
                step("download", DOWNLOAD, "success", {"return_value": "not a list"}),
            ],
        ),
    ]
