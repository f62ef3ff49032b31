"""The report of any run is small, is JSON, and can be read back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import (
    Run,
    RunEnvelope,
    decoded,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.models import (
    WaitEnd,
    WaitResult,
    WaitSpec,
)

REF = RunRef(
    ConnectionKind.STORAGE, "MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4", "a1ecbdc8-c4f6-1730-04f9-f881914a57c5"
)
SPEC = WaitSpec(REF.kind, REF.connection_id, REF.run_id)
LARGEST_REPORT = 14 * 1024
LARGEST_EVENT = 16 * 1024


def read(run: dict[str, Any]) -> Run:
    return decoded(json.dumps({"run": run}).encode(), RunEnvelope).run


def size(value: Any) -> int:
    return len(json.dumps(value))


def check(run: Run) -> RunReport:
    report = RunReport.of(REF, run)
    values = report.as_dict()
    assert size(values) <= LARGEST_REPORT
    assert RunReport.from_dict(json.loads(json.dumps(values))) == report
    tasks = sum(len(job.tasks or []) for job in run.jobs or [])
    assert report.totals.tasks == tasks
    assert len(report.failing_tasks) + report.more_failing_tasks <= tasks
    assert len(report.text("its result is Error")) < LARGEST_REPORT
    return report


def many(count: int, text: str) -> dict[str, Any]:
    error = {
        "errorCode": "TAE_BRG_1000",
        "message": text,
        "details": text,
        "description": text,
        "kbArticleLink": f"https://kb.example/{text}",
        "canUserFix": False,
    }
    tasks = [
        {
            "id": f"t{number}",
            "storageFileId": f"file-{number:036}",
            "result": "Error",
            "state": "Completed",
            "error": error,
            "details": {"synchronizationReport": {"totalErrorsCount": 1, "message": text}},
        }
        for number in range(count)
    ]
    return {
        "id": "r1",
        "state": "Completed",
        "result": "Error",
        "phase": "MasterFile",
        "error": {"errorKey": text, "description": text},
        "jobs": [{"connectorType": "MSTN", "result": "Error", "tasks": tasks}],
    }


@pytest.mark.parametrize(
    "text", ["Failed to process the file.", "x" * 400, "ü" * 400, "図" * 400, "\\" * 400, "\n" * 400]
)
def test_the_report_of_five_thousand_failing_files_is_bounded(text: str) -> None:
    run = read(many(5000, text))
    began = time.process_time()

    report = check(run)

    assert time.process_time() - began < 5.0
    assert report.totals.tasks_by_result == {"Error": 5000}
    assert report.failing_tasks, "at least one file is listed"
    assert len(report.failing_tasks) + report.more_failing_tasks == 5000


@pytest.mark.parametrize("text", ["x" * 100_000, "図" * 10_000, "a b " * 10_000])
def test_long_error_messages_leave_at_least_one_failing_file(text: str) -> None:
    assert check(read(many(20, text))).failing_tasks


def test_characters_of_twelve_bytes_do_not_exceed_the_bound() -> None:
    check(read(many(20, "😀" * 1000)))


def test_the_event_of_five_thousand_failing_files_is_bounded() -> None:
    run = read(many(5000, "😀" * 300))
    result = WaitResult(SPEC, WaitEnd.FINISHED, REF, "Completed", run, elapsed=1234.5, polls=99)
    memo = {
        "asked_at": 1.0,
        "own": REF.as_dict(),
        "baseline": {"last_run": REF.as_dict(), "asked_at": "2026"},
        "x": "y" * 400,
    }

    event = result.as_event(memo)

    assert size(event) <= LARGEST_EVENT
    again = WaitResult.from_event(json.loads(json.dumps(event)))
    assert again.report is not None
    assert again.report.totals.tasks == 5000


def test_file_names_do_not_exceed_the_bound() -> None:
    report = RunReport.of(REF, read(many(5000, "x" * 300)))
    names = {task.file_id or "": "😀" * 200 for task in report.failing_tasks}

    named = report.with_file_names(names)

    assert size(named.as_dict()) <= LARGEST_REPORT
    assert named.failing_tasks[0].file_name is not None
    assert len(named.failing_tasks) + named.more_failing_tasks == 5000


def test_very_large_numbers_do_not_exceed_the_bound() -> None:
    counts = dict.fromkeys(("totalErrorsCount", "totalWarningsCount", "totalOtherIssuesCount"), int("9" * 4000))
    tasks = [{"result": "Success", "details": {"synchronizationReport": counts}}] * 20

    check(read({"jobs": [{"tasks": tasks}]}))


def test_a_text_with_many_links_is_searched_fast() -> None:
    began = time.process_time()

    check(read(many(20, "http://" * 100_000)))

    assert time.process_time() - began < 5.0


_TEXT = st.none() | st.text(max_size=80) | st.text(min_size=1, max_size=3).map(lambda text: text * 700)
_COUNT = st.none() | st.integers()
_RESULT = st.sampled_from(["Success", "Error", "Canceled", "cancelled", "TimedOut", "Skipped", None]) | _TEXT
_ERROR = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "errorCode": _TEXT,
        "message": _TEXT,
        "details": _TEXT,
        "description": _TEXT,
        "kbArticleLink": _TEXT,
        "canUserFix": st.none() | st.booleans(),
        "bridgeExitCode": _COUNT,
    },
)
_TASK = st.fixed_dictionaries(
    {},
    optional={
        "result": _RESULT,
        "storageFileId": _TEXT,
        "exportOutputFileId": _TEXT,
        "error": _ERROR,
        "details": st.none()
        | st.fixed_dictionaries(
            {
                "synchronizationReport": st.fixed_dictionaries(
                    {}, optional={"message": _TEXT, "totalErrorsCount": _COUNT}
                )
            }
        ),
    },
)
_JOB = st.fixed_dictionaries(
    {}, optional={"result": _RESULT, "connectorType": _TEXT, "tasks": st.none() | st.lists(_TASK, max_size=40)}
)
_RUN = st.fixed_dictionaries(
    {},
    optional={
        "state": _TEXT,
        "result": _RESULT,
        "phase": _TEXT,
        "startDateTime": _TEXT | st.datetimes().map(str),
        "endDateTime": _TEXT | st.datetimes().map(str),
        "error": st.none() | st.fixed_dictionaries({}, optional={"errorKey": _TEXT, "description": _TEXT}),
        "jobs": st.none() | st.lists(_JOB, max_size=20),
    },
)


@given(_RUN)
def test_the_report_and_the_event_of_any_run_are_bounded_and_can_be_read(run: dict[str, Any]) -> None:
    report = check(read(run))

    event = WaitResult(SPEC, WaitEnd.FINISHED, REF, run.get("state"), read(run)).as_event()
    assert size(event) <= LARGEST_EVENT
    assert WaitResult.from_event(json.loads(json.dumps(event))).report == report
