"""The texts of a report as the person on call reads them, in full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import RunEnvelope, decoded
from airflow_provider_itwin.api.models.run_ref import RunRef

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")


def made(run: dict[str, Any]) -> RunReport:
    return RunReport.of(REF, decoded(json.dumps({"run": run}).encode(), RunEnvelope).run)


FAILED = {
    "state": "Completed",
    "result": "PartialSuccess",
    "startDateTime": "2026-01-01T00:00:00.0000000Z",
    "endDateTime": "2026-01-01T00:25:00.0000000Z",
    "error": {"errorKey": "UserNotAuthenticated", "description": "User is not authenticated."},
    "jobs": [
        {
            "connectorType": "MSTN",
            "tasks": [
                {"storageFileId": "f1", "result": "Success"},
                {
                    "storageFileId": "f2",
                    "result": "Error",
                    "error": {
                        "errorCode": "TAE_BRG_1000",
                        "message": "Failed to process the file.",
                        "details": "Error exit code received from bridge wrapper.",
                        "description": "Failed to orchestrate Run.",
                        "kbArticleLink": "",
                        "canUserFix": False,
                    },
                    "details": {"synchronizationReport": {"totalErrorsCount": 1, "totalWarningsCount": 7}},
                },
            ],
        },
        {
            "connectorType": "DWG",
            "tasks": [
                {
                    "storageFileId": "f3",
                    "result": "Error",
                    "error": {
                        "errorCode": "TAE_BRG_2000",
                        "message": "The reference is missing",
                        "description": "The reference is missing",
                        "kbArticleLink": "https://kb.example/KB1?x=1",
                        "canUserFix": True,
                    },
                    "details": {"synchronizationReport": {"totalOtherIssuesCount": 1}},
                },
                {"result": "Skipped"},
            ],
        },
    ],
}


def test_a_failing_run_in_full() -> None:
    report = made(FAILED).with_file_names({"f2": "Structure.dgn"})

    assert report.text("its result is PartialSuccess") == (
        "PartialSuccess: 4 files in 25 min (2 Error, 1 Success, 1 Skipped), 1 error, 7 warnings, 1 other issue. "
        "Run r1 of storage connection c1: its result is PartialSuccess.\n"
        "Error of the run: UserNotAuthenticated: User is not authenticated. "
        "The connection runs in the name of a user whose sign-in is missing or older than 30 days. Ask its owner to sign in "
        "again, or change its authenticationType to Service.\n"
        "  1. Structure.dgn (Error, MSTN, TAE_BRG_1000, file id f2): Failed to process the file. Failed to orchestrate Run. "
        "Error exit code received from bridge wrapper. You cannot fix this: contact Bentley support.\n"
        "  2. file f3 (Error, DWG, TAE_BRG_2000): The reference is missing. You can fix this. "
        "See https://kb.example/KB1?x=1\n"
        "  3. file with unknown id (Skipped, DWG)"
    )


def test_its_summary_in_one_line() -> None:
    assert made(FAILED).summary == (
        "PartialSuccess: 4 files in 25 min (2 Error, 1 Success, 1 Skipped), 1 error, 7 warnings, 1 other issue"
    )


def test_a_clean_run_in_full() -> None:
    report = made({"result": "Success", "jobs": [{"tasks": [{"result": "Success"}]}]})

    assert report.text("its result is Success") == (
        "Success: 1 file. Run r1 of storage connection c1: its result is Success."
    )
    assert report.summary == "Success: 1 file"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"errorKey": "Quota"}, "Error of the run: Quota."),
        ({"description": "Full."}, "Error of the run: Full."),
        ({"errorKey": "Quota", "description": "Full"}, "Error of the run: Quota: Full."),
    ],
)
def test_an_error_of_the_run(error: dict[str, str], text: str) -> None:
    assert made({"result": "Error", "error": error}).text("x").splitlines()[1:] == [text]


def test_files_that_are_left_out_are_counted() -> None:
    tasks = [{"result": "Error", "storageFileId": f"f{number}"} for number in range(23)]

    lines = made({"jobs": [{"connectorType": "IFC", "tasks": tasks}]}).text("x").splitlines()

    assert lines[1] == "  1. file f0 (Error, IFC)"
    assert lines[20] == "  20. file f19 (Error, IFC)"
    assert lines[21:] == ["  … and 3 more failing files."]


def test_a_file_of_which_nothing_is_known() -> None:
    assert made({"jobs": [{"tasks": [{}]}]}).text("x").splitlines()[1] == ("  1. file with unknown id (no result)")
