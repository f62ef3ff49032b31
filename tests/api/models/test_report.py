"""What a finished run has to tell: its totals, the gravest of its failing files, and where the details lie."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.models.durations import format_duration
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.report_parts import (
    ErrorText,
    FailingTask,
    Totals,
)
from airflow_provider_itwin.api.models.resources import (
    Run,
    RunEnvelope,
    decoded,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.timeline import (
    ConnectorTotals,
    JobSpan,
    TaskSpan,
    Timeline,
)
from tests.api.responses import DATA

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")


def made(run: dict[str, Any]) -> RunReport:
    return RunReport.of(REF, decoded(json.dumps({"run": run}).encode(), RunEnvelope).run)


def task(result: str | None = "Success", file: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"result": result, "storageFileId": file, **fields}


def of_tasks(*tasks: dict[str, Any], connector: str | None = "MSTN", **fields: Any) -> RunReport:
    return made({"jobs": [{"connectorType": connector, "tasks": list(tasks)}], **fields})


def test_the_report_of_the_documented_run() -> None:
    run = decoded((DATA / "get-storage-connection-run.200.json").read_bytes(), RunEnvelope).run

    assert RunReport.of(REF, run) == RunReport(
        ref=REF,
        state="Completed",
        result="PartialSuccess",
        phase="MasterFile",
        started="2020-10-24T02:44:13.410966+00:00",
        ended="2020-10-24T02:47:13.410966+00:00",
        duration=180.0,
        totals=Totals(
            jobs=1,
            jobs_by_result={"PartialSuccess": 1},
            tasks=1,
            tasks_by_result={"Success": 1},
            errors=0,
            warnings=20,
            other_issues=3,
        ),
        error=ErrorText("UserNotAuthenticated", "User is not authenticated."),
        failing_tasks=(
            FailingTask(
                file_id="g4ec1dc8c4f6173004f9f881914a57c5511a336d",
                file_name=None,
                connector="DWG",
                result="Success",
                error_code="TAE_BRG_1000",
                message="Failed to process the file.",
                details="Error exit code received from bridge wrapper.",
                description="Failed to orchestrate Run.",
                can_user_fix=False,
                kb_article_link=None,
            ),
        ),
        more_failing_tasks=0,
        connectors=(
            ConnectorTotals(
                connector="DWG", tasks=1, tasks_by_result={"Success": 1}, errors=0, warnings=20, other_issues=3
            ),
        ),
        timeline=Timeline(
            length=180.0,
            jobs=(JobSpan(connector="DWG", result="PartialSuccess", start=0.0, end=0.0, tasks=1),),
            more_jobs=0,
            tasks=(TaskSpan(job=0, result="Success", start=0.0, end=0.0),),
        ),
    )


def test_an_empty_run() -> None:
    report = RunReport.of(REF, Run())

    assert report.as_dict() == {
        "ref": {"kind": "storage", "connection_id": "c1", "run_id": "r1"},
        "connection_name": None,
        "imodel_id": None,
        "state": None,
        "result": None,
        "phase": None,
        "started": None,
        "ended": None,
        "duration": None,
        "summary": "no result: 0 files",
        "totals": {
            "jobs": 0,
            "jobs_by_result": {},
            "tasks": 0,
            "tasks_by_result": {},
            "errors": 0,
            "warnings": 0,
            "other_issues": 0,
        },
        "error": None,
        "failing_tasks": [],
        "more_failing_tasks": 0,
        "output_files": [],
        "more_output_files": 0,
        "connectors": [],
        "timeline": None,
    }


def test_files_that_came_through_cleanly_are_not_told() -> None:
    assert (
        of_tasks(task(), task("success"), task(error={}), task(error={"errorCode": "", "message": None})).failing_tasks
        == ()
    )


@pytest.mark.parametrize("error", [{"errorCode": "TAE_1"}, {"message": "oops"}])
def test_a_success_with_an_error_is_told(error: dict[str, str]) -> None:
    assert len(of_tasks(task(error=error)).failing_tasks) == 1


def test_the_gravest_come_first_and_equals_in_their_own_order() -> None:
    results = [
        "PartialSuccess",
        "Skipped",
        "Cancelled",
        "Error",
        "Undetermined",
        None,
        "TimedOut",
        "Exploded",
        "Error",
        "Canceled",
    ]

    report = of_tasks(*(task(result, f"f{number}") for number, result in enumerate(results)))

    assert [(one.result, one.file_id) for one in report.failing_tasks] == [
        ("Error", "f3"),
        ("Error", "f8"),
        ("TimedOut", "f6"),
        (None, "f5"),
        ("Exploded", "f7"),
        ("Undetermined", "f4"),
        ("Cancelled", "f2"),
        ("Canceled", "f9"),
        ("Skipped", "f1"),
        ("PartialSuccess", "f0"),
    ]


def test_the_grave_are_told_although_they_come_last() -> None:
    report = of_tasks(*[task("Skipped")] * 4000, task("Error", "the one"))

    assert report.failing_tasks[0].file_id == "the one"
    assert len(report.failing_tasks) + report.more_failing_tasks == 4001


@pytest.mark.parametrize(
    ("field", "value"),
    [("storageFileId", "a"), ("sourceFileId", "b"), ("exportOutputFileId", "c")],
)
def test_each_kind_names_its_files_in_its_own_way(field: str, value: str) -> None:
    report = made({"jobs": [{"tasks": [{"result": "Error", field: value}]}]})

    assert report.failing_tasks[0].file_id == value


def test_the_files_that_an_export_has_written() -> None:
    tasks = [{"result": "Success", "exportOutputFileId": f"o{number}"} for number in range(60)]

    report = made({"jobs": [{"tasks": tasks}]})

    assert report.output_files[:2] == ("o0", "o1")
    assert (len(report.output_files), report.more_output_files) == (50, 10)


def test_totals_count_everything_once() -> None:
    report = made(
        {
            "jobs": [
                {"result": "Error", "tasks": [task(), task("Error"), sync(1, 2, 3)]},
                {"result": "Error", "tasks": None},
                {"tasks": [task("Exploded"), task(None), sync(10, None, -5)]},
            ]
        }
    )

    assert report.totals == Totals(
        jobs=3,
        jobs_by_result={"Error": 2, "None": 1},
        tasks=6,
        tasks_by_result={"Success": 3, "Error": 1, "Exploded": 1, "None": 1},
        errors=11,
        warnings=2,
        other_issues=3,
    )


def sync(errors: int | None, warnings: int | None, others: int | None, message: str = "") -> dict[str, Any]:
    counts = {"totalErrorsCount": errors, "totalWarningsCount": warnings, "totalOtherIssuesCount": others}
    return task(details={"synchronizationReport": counts | {"message": message}})


def test_rare_results_are_counted_together() -> None:
    names = [f"Result{number:02}" for number in range(30)]

    report = of_tasks(*(task(name) for name in [*names, "other", "other", "other"]))

    assert report.totals.tasks_by_result["other"] == 3 + 30 - 11
    assert sum(report.totals.tasks_by_result.values()) == 33
    assert len(report.totals.tasks_by_result) <= 13


def test_the_report_of_the_connector_explains_a_file_without_an_error() -> None:
    failing = {"result": "Error", "details": {"synchronizationReport": {"message": "The file is locked."}}}

    assert made({"jobs": [{"tasks": [failing]}]}).failing_tasks[0].message == "The file is locked."


@pytest.mark.parametrize("error", [None, {}, {"errorKey": None, "description": ""}])
def test_a_run_without_an_error_of_its_own(error: Any) -> None:
    assert made({"error": error}).error is None


@pytest.mark.parametrize(
    ("start", "end", "duration"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:25:00Z", 1500.0),
        ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00", None),
        (None, "2026-01-01T00:00:00Z", None),
        ("garbage", "2026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00", "2026-01-01T02:00:00+02:00", 0.0),
    ],
)
def test_the_duration(start: str | None, end: str | None, duration: float | None) -> None:
    assert made({"startDateTime": start, "endDateTime": end}).duration == duration


def test_secrets_in_what_the_service_says_are_hidden() -> None:
    error = {
        "errorCode": "sig=abc",
        "message": "Cannot read https://blob.net/a.dgn?sig=abc",
        "details": "Bearer abcdefgh12345678",
        "description": "https://me:pw@blob.net/",
        "kbArticleLink": "https://blob.net/kb?sv=1&sig=abc",
    }
    report = of_tasks(task("Error", error=error), error={"errorKey": "k", "description": "see https://x.net/?sig=abc"})

    said = json.dumps(report.as_dict()) + report.text("its result is Error")
    assert "abc" not in said
    assert "pw" not in said


def test_a_link_to_an_article_keeps_its_query() -> None:
    link = "https://bentleysystems.service-now.com/community?id=kb_article_view&sysparm_article=KB0098316"
    report = of_tasks(task("Error", error={"errorCode": "x", "kbArticleLink": f" {link}\n"}))

    assert report.failing_tasks[0].kb_article_link == link


def test_names_of_files_are_put_in_where_they_are_known() -> None:
    report = of_tasks(task("Error", "f1"), task("Error", "f2"), task("Error", None))

    named = report.with_file_names({"f1": "Structure.dgn", "f3": "Other.dgn"})

    assert [one.file_name for one in named.failing_tasks] == ["Structure.dgn", None, None]
    assert named.with_file_names({"f2": "Layout.dwg"}).failing_tasks[0].file_name == "Structure.dgn"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (42, "42 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (1500, "25 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (7500, "2 h 5 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
