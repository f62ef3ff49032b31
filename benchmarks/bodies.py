"""Response bodies of the stub services, and run ids that contain the end time of the run."""

from __future__ import annotations

import json
from typing import Any

FILES = 4
"""Files of a typical run. Its response is then about as long as those of the other services."""


def run_name(finish: float, number: int) -> str:
    """
    Return a run id that contains the end time of the run.

    :param finish: end time on the monotonic clock, which all processes of a machine share
    :param number: unique number of the run
    """
    return f"{max(1, round(finish * 1000))}{number:06d}"


def finish_of(name: str | bytes) -> float:
    """Return the end time in a run id."""
    return int(name[:-6]) / 1000


def itwin_run(*, finished: bool, files: int = FILES) -> bytes:
    """Return the iTwin Platform's response for a run, as in its API reference."""
    state, result = ("Completed", "Success") if finished else ("Executing", "Undetermined")
    tasks = [
        {
            "id": f"{number:08d}-8d04-4a5b-9a1e-0c7c7a5d1f00",
            "startDateTime": "2026-03-02T01:07:23.7290000Z",
            "endDateTime": "2026-03-02T01:09:41.1130000Z" if finished else "0001-01-01T00:00:00Z",
            "retryAttempts": 0,
            "storageFileId": f"TYJsPN0xtkWId0yUrXkS5pN5AQzuulxA{number:08d}",
            "sourceFileId": f"297c7965-2f8a-4d3b-9c1b-{number:012d}",
            "state": state,
            "result": result,
            "error": None,
            "details": {
                "synchronizationReport": {
                    "suggestedAction": "",
                    "message": "",
                    "totalErrorsCount": 0,
                    "totalWarningsCount": number % 7,
                    "totalOtherIssuesCount": 0,
                }
            },
        }
        for number in range(files)
    ]
    run: dict[str, Any] = {
        "id": "8c9dc6a6-b8e1-4f8c-a0f3-1f0a1d2b3c4d",
        "startDateTime": "2026-03-02T01:00:00.1230000Z",
        "endDateTime": "2026-03-02T02:00:00.4560000Z" if finished else None,
        "connectionId": "bench",
        "phase": "MasterFile",
        "state": state,
        "result": result,
        "jobs": [
            {
                "id": "2c9d23d3-b8e1-4f8c-a0f3-1f0a1d2b3c4d",
                "startDateTime": "2026-03-02T01:00:03.0000000Z",
                "endDateTime": "2026-03-02T02:00:00.0000000Z" if finished else None,
                "state": state,
                "result": result,
                "connectorType": "MSTN",
                "tasks": tasks,
            }
        ],
        "error": None,
    }
    return json.dumps({"run": run}, separators=(",", ":")).encode()


def dbt_run(*, finished: bool) -> bytes:
    """Return dbt Cloud's response for a run, with the fields of its API reference."""
    data: dict[str, Any] = {
        "id": 1,
        "trigger_id": 2,
        "account_id": 1,
        "environment_id": 3,
        "project_id": 4,
        "job_definition_id": 5,
        "status": 10 if finished else 3,
        "dbt_version": "1.9.0",
        "git_branch": "main",
        "git_sha": "0123456789abcdef0123456789abcdef01234567",
        "status_message": None,
        "owner_thread_id": None,
        "executed_by_thread_id": "dbt-run-1-abcde",
        "deferring_run_id": None,
        "artifacts_saved": finished,
        "has_docs_generated": False,
        "has_sources_generated": False,
        "notifications_sent": finished,
        "scribe_enabled": True,
        "created_at": "2026-03-02 01:00:00.123456+00:00",
        "updated_at": "2026-03-02 01:07:23.729000+00:00",
        "dequeued_at": "2026-03-02 01:00:01.000000+00:00",
        "started_at": "2026-03-02 01:00:02.000000+00:00",
        "finished_at": "2026-03-02 02:00:00.000000+00:00" if finished else None,
        "run_steps": [],
        "is_complete": finished,
        "is_success": finished,
        "is_error": False,
        "is_cancelled": False,
        "is_running": not finished,
        "duration": "01:00:00",
        "queued_duration": "00:00:02",
        "run_duration": "00:59:58",
        "href": "https://cloud.getdbt.example/deploy/1/projects/4/runs/1/",
    }
    status = {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""}
    return json.dumps({"status": status, "data": data}).encode()


def databricks_run(*, finished: bool) -> bytes:
    """Return Databricks' response for a run of one task, with the fields of its API reference."""
    state: dict[str, Any] = {
        "life_cycle_state": "RUNNING",
        "state_message": "In run",
        "user_cancelled_or_timedout": False,
    }
    if finished:
        state |= {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
    shared: dict[str, Any] = {
        "run_id": 1,
        "state": state,
        "start_time": 1772413200123,
        "setup_duration": 91000,
        "execution_duration": 3500000 if finished else 0,
        "cleanup_duration": 0,
        "end_time": 1772416800456 if finished else 0,
    }
    task = {**shared, "task_key": "notebook", "notebook_task": {"notebook_path": "/bench", "source": "WORKSPACE"}}
    run = {
        **shared,
        "job_id": 2,
        "number_in_job": 1,
        "creator_user_name": "bench@example.com",
        "original_attempt_run_id": 1,
        "cluster_spec": {"existing_cluster_id": "0302-010000-abcdefgh"},
        "cluster_instance": {"cluster_id": "0302-010000-abcdefgh", "spark_context_id": "4348585301701786933"},
        "tasks": [task],
        "run_name": "bench",
        "run_page_url": "https://adb.example/#job/2/run/1",
        "run_type": "JOB_RUN",
        "format": "MULTI_TASK",
        "trigger": "ONE_TIME",
    }
    return json.dumps(run).encode()
