"""Reading what the service sends: the documented examples field by field, dates of every make, and surprises."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.resources import (
    Connection,
    ConnectionEnvelope,
    ConnectionKind,
    ConnectionPage,
    Job,
    Link,
    Run,
    RunEnvelope,
    RunError,
    RunPage,
    RunRef,
    RunSummary,
    RunSummaryEnvelope,
    SourceFile,
    SourceFilePage,
    SynchronizationReport,
    Task,
    TaskDetails,
    TaskError,
    decoded,
)
from tests.api.responses import DATA

STARTED = datetime(2020, 10, 24, 2, 44, 13, 410966, tzinfo=UTC)


def run_of(fields: dict[str, Any]) -> Run:
    return decoded(json.dumps({"run": fields}).encode(), RunEnvelope).run


def documented_run(file_field: tuple[str, str] | None, connection_id: str, *, export: bool = False) -> Run:
    moments = {"start_text": "2020-10-24T02:44:13.4109666Z", "end_text": "2020-10-24T02:44:13.4109666Z"}
    files: dict[str, Any] = dict([file_field] if file_field else [])
    task = Task(
        **moments,
        id="f5ecbdc8c4f6173004f9f881914a57c5511a362b",
        retry_attempts=0,
        state="Completed",
        result="Success",
        error=TaskError(
            error_code="TAE_BRG_1000",
            message="Failed to process." if export else "Failed to process the file.",
            details="Error exit code received from bridge wrapper.",
            bridge_exit_code=4294967295,
            system="cloud_orchestrator",
            phase="internal_server_error",
            category="other",
            description_key="RunOrchestrationError",
            description="Failed to orchestrate Run.",
            kb_article_link="",
            can_user_fix=False,
        ),
        details=None
        if export
        else TaskDetails(
            synchronization_report=SynchronizationReport(
                suggested_action="Warning",
                message="",
                total_errors_count=0,
                total_warnings_count=20,
                total_other_issues_count=3,
            )
        ),
        **files,
    )
    job = Job(
        **moments,
        id="d6ecbdc8c4f6173004f9f881914a57c5511a362b",
        state="Completed",
        result="PartialSuccess",
        connector_type=None if export else "DWG",
        tasks=[task],
    )
    return Run(
        start_text="2020-10-24T02:44:13.4109666Z",
        end_text="2020-10-24T02:47:13.4109666Z",
        id="a1ecbdc8c4f6173004f9f881914a57c5511a362b",
        connection_id=connection_id,
        phase=None if export else "MasterFile",
        state="Completed",
        result="PartialSuccess",
        error=None if export else RunError(error_key="UserNotAuthenticated", description="User is not authenticated."),
        jobs=[job],
    )


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            "get-storage-connection-run",
            documented_run(
                ("storage_file_id", "g4ec1dc8c4f6173004f9f881914a57c5511a336d"),
                "MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4",
            ),
        ),
        (
            "get-manifest-connection-run",
            documented_run(
                ("source_file_id", "master-file-id123"),
                "MWplZe9Uf0iR1IDMqyOMLry641hUCa9JjxI3cYz8uCg",
            ),
        ),
        (
            "get-export-connection-run",
            documented_run(None, "bc38cd8a-fd9f-4abf-9ad7-0c3b3d28720e", export=True),
        ),
    ],
)
def test_the_documented_runs(operation: str, expected: Run) -> None:
    body = (DATA / f"{operation}.200.json").read_bytes()

    run = decoded(body, RunEnvelope).run

    assert run == expected
    assert json.loads(msgspec.json.encode(run)) == json.loads(body)["run"], "nothing of it was passed over"
    assert run.start_date_time == STARTED
    assert run.end_date_time == STARTED.replace(minute=47)
    assert run.is_finished
    assert decoded(body, RunSummaryEnvelope).run == RunSummary(
        start_text=run.start_text,
        end_text=run.end_text,
        id=run.id,
        connection_id=run.connection_id,
        state="Completed",
        result="PartialSuccess",
    )


def test_the_documented_source_files() -> None:
    page = decoded((DATA / "get-storage-connection-sourcefiles.200.json").read_bytes(), SourceFilePage)

    assert page.source_files is not None
    assert [file.id for file in page.source_files] == [
        "297c8ab9-53a3-4fe5-adf8-79b4c1a95cbb",
        "5d22aa94-cde5-48ec-afcc-6c4aca67d51b",
    ]
    first = page.source_files[0]
    assert (first.storage_file_id, first.last_known_file_name, first.connector_type) == (
        "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA",
        "samplefile",
        None,
    )
    assert first.links is not None
    assert first.links.file == Link(href="https://api.bentley.com/files/t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA")
    assert page.links is not None
    assert page.links.next is not None
    assert page.links.next.href is not None
    assert page.links.next.href.endswith("sourcefiles?$skip=200&$top=100")


def test_a_documented_connection() -> None:
    body = b"""
    {"connection":{"id":"MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4","displayName":"30",
     "iModelId":"7dbd531d-6967-47b2-8945-a722a437ad7a","iTwinId":"5fb9aa98","authenticationType":"User",
     "_links":{"iModel":{"href":"https://api.bentley.com/imodels/7dbd531d"},"iTwin":{"href":"https://api.bentley.com/itwins/5fb9"},
     "lastRun":{"href":"https://api.bentley.com/synchronization/imodels/storageconnections/MWplZ/runs/de626d0d"}}}}"""

    connection = decoded(body, ConnectionEnvelope).connection

    assert connection.display_name == "30"
    assert (connection.imodel_id, connection.itwin_id) == ("7dbd531d-6967-47b2-8945-a722a437ad7a", "5fb9aa98")
    assert connection.authentication_type == "User"
    assert connection.last_run(ConnectionKind.STORAGE) == RunRef(ConnectionKind.STORAGE, "MWplZ", "de626d0d")
    assert connection.links is not None
    assert connection.links.itwin == Link(href="https://api.bentley.com/itwins/5fb9")


@pytest.mark.parametrize(
    "links", [None, {}, {"lastRun": None}, {"lastRun": {}}, {"lastRun": {"href": None}}, {"lastRun": 5}]
)
def test_a_connection_that_has_never_run(links: Any) -> None:
    body = json.dumps({"connection": {"id": "c", "_links": links}}).encode()

    assert decoded(body, ConnectionEnvelope).connection.last_run(ConnectionKind.STORAGE) is None


def test_a_success_whose_task_failed_is_told_as_it_is() -> None:
    body = b"""{"runs":[{"id":"75d94fca","state":"Completed","result":"Success","startDateTime":"2023-09-14T12:00:06.8727565Z",
     "endDateTime":"2023-09-14T12:07:11.4138469Z","jobs":[{"startDateTime":"2023-09-14T12:00:09.801086Z","state":"Completed",
     "result":"Error","tasks":[{"result":"Error","exportOutputFileId":"fa310a48","error":{"errorCode":"TAE_BRW_1000",
     "bridgeExitCode":-7002,"system":"Exporter","phase":"export_file","descriptionKey":"FailedToExport","canUserFix":false}}]}]}]}"""

    page = decoded(body, RunPage)

    assert page.runs is not None
    (run,) = page.runs
    assert run.result == "Success"
    assert run.jobs is not None
    assert run.jobs[0].start_date_time == datetime(2023, 9, 14, 12, 0, 9, 801086, tzinfo=UTC)
    assert run.jobs[0].tasks is not None
    task = run.jobs[0].tasks[0]
    assert (task.result, task.file_id) == ("Error", "fa310a48")
    assert task.error is not None
    assert task.error.bridge_exit_code == -7002


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-10-24T02:44:13.4109666Z", STARTED),
        ("2020-10-24T02:44:13.410966Z", STARTED),
        ("2020-10-24T02:44:13.4109666", STARTED),
        ("2020-10-24T02:44:13.410966", STARTED),
        ("2020-10-24T02:44:13Z", STARTED.replace(microsecond=0)),
        ("2020-10-24T02:44:13.4Z", STARTED.replace(microsecond=400_000)),
        ("2020-10-24T04:44:13.4109666+02:00", STARTED),
        ("2020-10-24T00:44:13.4109666-02:00", STARTED),
        (" 2020-10-24T02:44:13Z ", STARTED.replace(microsecond=0)),
        ("2020-10-24 02:44:13+00:00", STARTED.replace(microsecond=0)),
        ("2020-10-24", datetime(2020, 10, 24, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00.0000000+05:00", None),
        ("0001-12-31T23:59:59-05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("2020-13-45T99:99:99Z", None),
        ("11/3/2023 8:07:01 PM", None),
        ("garbage", None),
        ("Z", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, expected: datetime | None) -> None:
    assert read_moment(text) == expected


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_dates_are_always_in_utc_wherever_this_machine_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    monkeypatch.undo()
    try:
        assert read_moment("2020-10-24T02:44:13.4109666") == STARTED
        assert read_moment("2020-10-24T02:44:13.4109666Z") == STARTED
    finally:
        time.tzset()


def test_dates_are_always_in_utc() -> None:
    for text in ("2020-10-24T02:44:13", "2020-10-24T04:44:13+02:00"):
        moment = read_moment(text)
        assert moment is not None
        assert moment.tzinfo is UTC


@pytest.mark.parametrize("number", [4294967295, -7002, -1, 0, 2**63, -(2**63), 2**70])
def test_exit_codes_of_any_size(number: int) -> None:
    run = run_of({"jobs": [{"tasks": [{"error": {"bridgeExitCode": number}}]}]})

    assert run.jobs is not None
    assert run.jobs[0].tasks is not None
    error = run.jobs[0].tasks[0].error
    assert error is not None
    assert error.bridge_exit_code == number


def test_fields_and_values_that_nobody_knew_yet() -> None:
    run = run_of(
        {
            "id": "r1",
            "triggerType": "OnDemand",
            "state": "Pondering",
            "result": "Exploded",
            "new": {"deep": [1, None, {"x": [[]]}]},
            "jobs": [
                {"priority": 1, "connectorType": "HOLOGRAM", "tasks": [{"dependsOnIds": [], "result": "Sublime"}]}
            ],
        }
    )

    assert (run.id, run.state, run.result, run.is_finished) == ("r1", "Pondering", "Exploded", False)
    assert run.jobs is not None
    assert run.jobs[0].connector_type == "HOLOGRAM"


@pytest.mark.parametrize(
    ("state", "finished"),
    [
        ("Completed", True),
        ("completed", True),
        ("COMPLETED", True),
        ("Completed ", True),
        ("\tcompleted\n", True),
        ("Complete", False),
        ("Failed", False),
        ("", False),
        (None, False),
    ],
)
def test_only_completed_is_an_end_in_any_case_and_with_any_blanks(state: str | None, finished: bool) -> None:
    assert run_of({"state": state, "result": "Success"}).is_finished is finished
    assert RunSummary(state=state).is_finished is finished


@pytest.mark.parametrize(
    ("fields", "file_id"),
    [
        ({"storageFileId": "a"}, "a"),
        ({"sourceFileId": "b"}, "b"),
        ({"exportOutputFileId": "c"}, "c"),
        ({"storageFileId": "", "sourceFileId": "b"}, "b"),
        ({}, None),
    ],
)
def test_the_file_of_a_task(fields: dict[str, str], file_id: str | None) -> None:
    jobs = run_of({"jobs": [{"tasks": [fields]}]}).jobs or []

    assert [task.file_id for task in jobs[0].tasks or []] == [file_id]


def test_the_two_shapes_of_a_list_of_connections() -> None:
    page = decoded(
        b'{"connections":[{"id":"c1"},{"id":"c2","displayName":"x","_links":{}}],"_links":{"next":{}}}', ConnectionPage
    )

    assert page.connections is not None
    assert [(one.id, one.display_name) for one in page.connections] == [("c1", None), ("c2", "x")]
    assert all(isinstance(one, Connection) for one in page.connections)


def test_a_source_file_of_a_manifest() -> None:
    page = decoded(b'{"sourceFiles":[{"id":"i","sourceFileId":"s"}]}', SourceFilePage)

    assert page.source_files == [SourceFile(id="i", source_file_id="s")]
