"""The overview in a report: when what was worked on, and what each connector made of its files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import RunEnvelope, decoded
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.timeline import (
    SLICES,
    ConnectorTotals,
    JobSpan,
    TaskSpan,
)

REF = RunRef(ConnectionKind.STORAGE, "c1", "r1")


def made(run: dict[str, Any]) -> RunReport:
    return RunReport.of(REF, decoded(json.dumps({"run": run}).encode(), RunEnvelope).run)


def at(seconds: float | None) -> str | None:
    if seconds is None:
        return "0001-01-01T00:00:00"
    return f"2026-01-01T{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{seconds % 60:06.3f}Z"


def timed(start: float | None, end: float | None, **fields: Any) -> dict[str, Any]:
    return {"startDateTime": at(start), "endDateTime": at(end), **fields}


def many(count: int, *, result: str = "Success", connector: str = "MSTN") -> dict[str, Any]:
    """One job whose files take a second each, from the beginning on."""
    tasks = [timed(number, number + 1, result=result) for number in range(count)]
    return timed(0, count, connectorType=connector, result=result, tasks=tasks)


def test_few_files_are_told_one_by_one() -> None:
    report = made(
        timed(
            10,
            110,
            jobs=[
                timed(20, 60, connectorType="MSTN", result="Success", tasks=[timed(20, 60, result="Success")]),
                timed(
                    60,
                    100.5,
                    connectorType="DWG",
                    result="PartialSuccess",
                    tasks=[timed(60, 80, result="Error"), timed(80, 100.5, result="Success")],
                ),
            ],
        )
    )

    assert report.timeline is not None
    assert report.timeline.length == 100.0
    assert report.timeline.jobs == (
        JobSpan("MSTN", "Success", 10.0, 50.0, 1),
        JobSpan("DWG", "PartialSuccess", 50.0, 90.5, 2),
    )
    assert report.timeline.tasks == (
        TaskSpan(0, "Success", 10.0, 50.0),
        TaskSpan(1, "Error", 50.0, 70.0),
        TaskSpan(1, "Success", 70.0, 90.5),
    )
    assert report.timeline.finished is None


def test_many_files_are_counted_by_the_time_of_their_end() -> None:
    good, bad = many(2400), many(2400, result="Error")
    report = made(timed(0, 2400, jobs=[good, bad]))

    assert report.timeline is not None
    assert report.timeline.tasks == ()
    assert report.timeline.finished is not None
    assert set(report.timeline.finished) == {"Success", "Error"}
    for counts in report.timeline.finished.values():
        assert len(counts) == SLICES
        assert sum(counts) == 2400
        assert max(counts) - min(counts) <= 2, "they end evenly"


def test_a_run_that_tells_no_times_has_no_timeline() -> None:
    assert made({"jobs": [{"connectorType": "MSTN", "tasks": [{"result": "Success"}]}]}).timeline is None
    assert made(timed(None, None, jobs=[])).timeline is None
    assert made(timed(100, 50)).timeline is None


def test_a_job_without_times_takes_those_of_its_files() -> None:
    tasks = [timed(30, 40, result="Success"), timed(None, None, result="Canceled"), timed(10, 20, result="Success")]
    report = made({"jobs": [{"connectorType": "MSTN", "tasks": tasks}, {"connectorType": "DWG"}]})

    assert report.timeline is not None
    assert report.timeline.jobs == (JobSpan("MSTN", None, 0.0, 30.0, 3), JobSpan("DWG", None, None, None, 0))
    assert [span.start for span in report.timeline.tasks] == [20.0, 0.0]


def test_what_lies_before_the_start_begins_with_it() -> None:
    report = made(timed(100, 200, jobs=[timed(50, 150, tasks=[timed(50, 150)])]))

    assert report.timeline is not None
    assert report.timeline.jobs[0].start == 0.0
    assert report.timeline.jobs[0].end == 50.0


def test_the_totals_of_each_connector() -> None:
    def found(errors: int, warnings: int, others: int) -> dict[str, Any]:
        counts = {"totalErrorsCount": errors, "totalWarningsCount": warnings, "totalOtherIssuesCount": others}
        return {"synchronizationReport": counts}

    report = made(
        {
            "jobs": [
                {"connectorType": "DWG", "tasks": [{"result": "Error", "details": found(1, 2, 3)}]},
                {"connectorType": "MSTN", "tasks": [{"result": "Success"}] * 2},
                {"connectorType": "DWG", "tasks": [{"result": "Success", "details": found(10, 20, 30)}, {}]},
                {"tasks": []},
            ]
        }
    )

    assert report.connectors == (
        ConnectorTotals("DWG", 3, {"Error": 1, "Success": 1, "None": 1}, 11, 22, 33),
        ConnectorTotals("MSTN", 2, {"Success": 2}, 0, 0, 0),
        ConnectorTotals(None, 0, {}, 0, 0, 0),
    )


def test_rare_connectors_are_added_up() -> None:
    report = made({"jobs": [{"connectorType": f"C{n}", "tasks": [{"result": "Success"}]} for n in range(40)]})

    assert len(report.connectors) == 13
    assert report.connectors[-1] == ConnectorTotals("other", 28, {"Success": 28}, 0, 0, 0)
    assert sum(one.tasks for one in report.connectors) == report.totals.tasks


@pytest.mark.parametrize("count", [1, 16, 500])
def test_the_jobs_that_are_left_out_are_counted(count: int) -> None:
    report = made(timed(0, 100, jobs=[timed(0, 1, tasks=[timed(0, 1)])] * count))

    assert report.timeline is not None
    assert len(report.timeline.jobs) + report.timeline.more_jobs == count
    assert len(report.timeline.jobs) <= 16
    assert all(span.job < 16 for span in report.timeline.tasks)


def test_failing_files_are_worth_more_than_the_times_of_all() -> None:
    error = {"errorCode": "E", "message": "図" * 70, "details": "図" * 70, "description": "図" * 70}
    tasks = [timed(number, number + 1, result="Error", error=error) for number in range(20)]
    report = made(timed(0, 20, jobs=[timed(0, 20, connectorType="図" * 60, tasks=tasks)]))

    assert report.timeline is not None
    assert report.timeline.tasks == ()
    assert report.timeline.jobs
    assert report.connectors
    assert 5 < len(report.failing_tasks) < 20


def test_a_report_from_before_there_was_an_overview_is_read() -> None:
    values = made(timed(0, 100, jobs=[many(3)])).as_dict()
    del values["connectors"], values["timeline"]

    assert RunReport.from_dict(values).timeline is None


def test_it_is_made_of_json_values() -> None:
    values = made(timed(0, 100, jobs=[many(3), many(3, connector="DWG")])).as_dict()

    assert json.loads(json.dumps(values)) == values, "no tuples, of which Airflow would make something else"
