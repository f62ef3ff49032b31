from __future__ import annotations

import re
import threading
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import BODIES, EXPORT, MANIFEST, ROOTS, STORAGE, Api, error_of, tasks_in

KINDS = ("storage", "manifest", "export")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


@pytest.mark.parametrize("kind", KINDS)
def test_start_answers_202_with_an_absolute_location_and_no_body(api: Api, emulator: Emulator, kind: Any) -> None:
    connection = emulator.add_connection(kind)
    answer = api.start(kind, connection)
    assert answer.status_code == 202
    assert answer.content == b""
    run = emulator.runs(connection)[-1]
    assert answer.headers["Location"] == f"{emulator.url}{ROOTS[kind]}/{connection}/runs/{run['id']}"
    assert api.run(answer.headers["Location"])["connectionId"] == connection


def test_a_run_goes_through_its_states(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=4)
    emulator.plan_run(connection, duration=6000)
    location = api.start("storage", connection).headers["Location"]
    seen = []
    for _ in range(100):
        run = api.run(location)
        seen.append((run["state"], run["result"], run["phase"], bool(run["jobs"]), "endDateTime" in run))
        clock.advance(1)
    assert list(dict.fromkeys(seen)) == [
        ("NotStarted", "Undetermined", "Preprocessor", False, False),
        ("Queued", "Undetermined", "Preprocessor", False, False),
        ("WaitingToExecute", "Undetermined", "Preprocessor", False, False),
        ("Executing", "Undetermined", "MasterFile", True, False),
        ("Finalizing", "Undetermined", "MasterFile", True, False),
    ]
    run = api.run(location)
    assert (run["state"], run["result"]) == ("Completed", "Success")
    assert list(run) == ["id", "connectionId", "startDateTime", "endDateTime", "phase", "state", "result", "jobs"]


def test_jobs_are_one_per_connector_and_tasks_one_per_file(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    files: list[Any] = ["a.dgn", "b.dwg", "c.dgn", {"name": "d.xyz", "connector_type": "CIVIL", "file_id": "file-d"}]
    connection = emulator.add_connection(files=files)
    emulator.plan_run(connection, warnings=5, other_issues=2)
    location = api.start("storage", connection).headers["Location"]
    clock.advance(10)
    run = api.run(location)
    assert [job["connectorType"] for job in run["jobs"]] == ["MSTN", "DWG", "CIVIL"]
    assert [len(job["tasks"]) for job in run["jobs"]] == [2, 1, 1]
    task = run["jobs"][2]["tasks"][0]
    assert list(task) == [
        "id",
        "startDateTime",
        "endDateTime",
        "retryAttempts",
        "storageFileId",
        "state",
        "result",
        "details",
    ]
    assert task["storageFileId"] == "file-d"
    reports = [task["details"]["synchronizationReport"] for task in tasks_in(run)]
    assert sum(report["totalWarningsCount"] for report in reports) == 5
    assert sum(report["totalOtherIssuesCount"] for report in reports) == 2
    assert {report["suggestedAction"] for report in reports} == {"Warning"}


def test_files_are_done_one_after_the_other(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=6)
    location = api.start("storage", connection).headers["Location"]
    done = []
    for _ in range(12):
        run = api.run(location)
        tasks = tasks_in(run)
        done.append(sum(task["state"] == "Completed" for task in tasks))
        for task in tasks:
            assert ("startDateTime" in task) == (task["state"] != "Queued")
            assert ("endDateTime" in task) == (task["state"] == "Completed")
            assert (task["result"] == "Undetermined") == (task["state"] != "Completed")
        clock.advance(1)
    assert done == sorted(done)
    assert len(set(done)) > 4


def test_timestamps_are_on_the_clock_of_the_date_header() -> None:
    clock = ManualClock(speed=60, skew=-86_400)
    with Emulator(clock=clock) as emulator:
        api = Api(emulator.url, emulator.client_id, emulator.client_secret)
        connection = emulator.add_connection()
        answer = api.start("storage", connection)
        clock.advance(10.25)
        run = api.run(answer.headers["Location"])
    assert TIMESTAMP.fullmatch(run["startDateTime"])
    started, ended = (datetime.fromisoformat(run[name]) for name in ("startDateTime", "endDateTime"))
    assert parsedate_to_datetime(answer.headers["Date"]) == started
    assert started.timestamp() == clock.now() - 10.25 - 86_400
    assert (ended - started).total_seconds() == 10


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_one_active_run_per_imodel_whatever_the_kind(
    api: Api, emulator: Emulator, clock: ManualClock, first: Any, second: Any
) -> None:
    one = emulator.add_connection(first, imodel_id="shared")
    other = emulator.add_connection(second, imodel_id="shared")
    elsewhere = emulator.add_connection(second)
    location = api.start(first, one).headers["Location"]
    for connection, kind in ((one, first), (other, second)):
        again = api.start(kind, connection)
        assert again.status_code == 303
        assert again.content == b""
        assert again.headers["Location"] == location
    assert api.start(second, elsewhere).status_code == 202
    clock.advance(10)
    assert api.start(second, other).status_code == 202


def test_only_the_first_of_simultaneous_starts_is_processed(api: Api, emulator: Emulator) -> None:
    emulator.quirks.slow_start = 0.5
    connection = emulator.add_connection()
    callers = [fresh(api) for _ in range(4)]
    together = threading.Barrier(len(callers))
    answers = []

    def start(caller: Api) -> None:
        together.wait(5)
        answers.append(caller.start("storage", connection))

    threads = [threading.Thread(target=start, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json() == {
        "error": {
            "code": "ConflictWithAnotherIModelRequest",
            "message": "The iModel is already processing this request.",
        }
    }
    assert len(emulator.runs(connection)) == 1


def test_the_conflict_of_2021(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(imodel_id="m")
    emulator.quirks.slow_start = 0.01
    emulator.quirks.conflict_code = "IModelAlreadyProcessingRequest"
    with emulator.store.start_in_progress("m"):
        answer = api.start("storage", connection)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "IModelAlreadyProcessingRequest")
    assert api.start("storage", connection).status_code == 202


def fresh(api: Api) -> Api:
    other = Api(api.url, api.client_id, api.client_secret)
    other._token = api.token
    return other


@pytest.mark.parametrize(
    "result", ["Success", "Error", "PartialSuccess", "Skipped", "Canceled", "TimedOut", "Undetermined"]
)
def test_planned_results(api: Api, emulator: Emulator, clock: ManualClock, result: str) -> None:
    connection = emulator.add_connection(files=3)
    emulator.plan_run(connection, result)
    location = api.start("storage", connection).headers["Location"]
    assert api.run(location)["result"] == "Undetermined"
    clock.advance(10)
    run = api.run(location)
    assert (run["state"], run["result"]) == ("Completed", result)
    odd = [task["result"] for task in tasks_in(run) if task["result"] != "Success"]
    expected = {"Error": ["Error"], "PartialSuccess": ["Error"], "Canceled": ["Canceled"], "TimedOut": ["TimedOut"]}
    assert odd == expected.get(result, ["Skipped"] * 3 if result == "Skipped" else [])


def test_failing_files_have_errors(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=["a.dgn", "b.dgn", "c.rvt"])
    emulator.plan_run(
        connection,
        "Error",
        error={"errorKey": "Broken", "description": "All is lost."},
        failing=[
            "a.dgn",
            {
                "file": "c.rvt",
                "error_code": "TAE_BRG_2000",
                "message": "Too old.",
                "bridge_exit_code": -7002,
                "kb_article_link": "https://kb.example.com/1",
                "canUserFix": True,
                "retry_attempts": 2,
                "errors": 7,
            },
        ],
    )
    location = api.start("storage", connection).headers["Location"]
    clock.advance(10)
    run = api.run(location)
    assert run["error"] == {"errorKey": "Broken", "description": "All is lost."}
    assert [job["result"] for job in run["jobs"]] == ["PartialSuccess", "Error"]
    first, _, third = tasks_in(run)
    assert first["error"] == {
        "errorCode": "TAE_BRG_1000",
        "message": "Failed to process the file.",
        "details": "Error exit code received from bridge wrapper.",
        "bridgeExitCode": 4294967295,
        "system": "cloud_orchestrator",
        "phase": "internal_server_error",
        "category": "other",
        "descriptionKey": "RunOrchestrationError",
        "description": "Failed to orchestrate Run.",
        "kbArticleLink": "",
        "canUserFix": False,
    }
    assert third["error"]["bridgeExitCode"] == -7002
    assert third["error"]["canUserFix"] is True
    assert third["retryAttempts"] == 2
    assert third["details"]["synchronizationReport"]["suggestedAction"] == "Error"
    assert third["details"]["synchronizationReport"]["totalErrorsCount"] == 7


def test_a_run_error_alone_means_that_no_file_was_worked_on(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(authentication_type="User")
    location = api.start("storage", connection).headers["Location"]
    clock.advance(60)
    run = api.run(location)
    assert run["result"] == "Error"
    assert run["error"] == {"errorKey": "UserNotAuthenticated", "description": "User is not authenticated."}
    assert run["jobs"] == []


def test_user_connections_work_once_somebody_has_signed_in(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    body = {"iModelId": emulator.add_imodel(), "sourceFiles": [{"storageFileId": "f", "connectorType": "MSTN"}]}
    connection = api.post(STORAGE, body).json()["connection"]
    assert connection["authenticationType"] == "User"
    emulator.sign_in(api.client_id)
    location = api.start("storage", connection["id"]).headers["Location"]
    clock.advance(60)
    assert api.run(location)["result"] == "Success"


def test_plans_for_the_next_runs_come_before_the_usual_one(emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.plan_run(connection, "Skipped")
    emulator.plan_run(connection, "Error", times=2)
    emulator.plan_run(connection, "TimedOut", times=1)
    for _ in range(5):
        emulator.start_run(connection)
        clock.advance(10)
    assert [run["result"] for run in emulator.runs(connection)] == ["Error", "Error", "TimedOut", "Skipped", "Skipped"]


def test_own_states(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.plan_run(connection, states=[("WaitingToRetry", 0.5), ("Pondering", 0.5)])
    location = api.start("storage", connection).headers["Location"]
    assert api.run(location)["state"] == "WaitingToRetry"
    clock.advance(6)
    assert api.run(location)["state"] == "Pondering"


def test_finishing_a_run_now(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=3)
    run_id = emulator.start_run(connection)
    clock.advance(5)
    emulator.finish_run(connection, run_id, "Error")
    run = api.run(f"{STORAGE}/{connection}/runs/{run_id}")
    assert (run["state"], run["result"]) == ("Completed", "Error")
    assert {task["state"] for task in tasks_in(run)} == {"Completed"}
    started, ended = (datetime.fromisoformat(run[name]) for name in ("startDateTime", "endDateTime"))
    assert (ended - started).total_seconds() == 5
    assert api.start("storage", connection).status_code == 202
    emulator.finish_run(connection, run_id, "Success")
    assert api.run(f"{STORAGE}/{connection}/runs/{run_id}")["result"] == "Error"
    with pytest.raises(LookupError):
        emulator.finish_run(connection, "no-such-run")


def test_what_was_done_before_the_end_stays_as_it_was(emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=6)
    run_id = emulator.start_run(connection)
    clock.advance(5)
    before = [task for task in tasks_in(emulator.runs(connection)[0]) if task["state"] == "Completed"]
    emulator.finish_run(connection, run_id)
    after = tasks_in(emulator.runs(connection)[0])
    assert len(before) == 3
    assert [task for task in after if task in before] == before
    assert [task["result"] for task in after] == ["Success"] * 6


def test_an_interrupted_execution(emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=4)
    states = [("Queued", 1), ("Executing", 1), ("WaitingToRetry", 1), ("Executing", 1), ("Finalizing", 1)]
    emulator.plan_run(connection, duration=300, states=states)
    emulator.start_run(connection)
    seen = []
    for _ in range(5):
        run = emulator.runs(connection)[0]
        tasks = tasks_in(run)
        seen.append((run["state"], sum(task["state"] == "Completed" for task in tasks)))
        clock.advance(1)
    assert seen == [("Queued", 0), ("Executing", 0), ("WaitingToRetry", 1), ("Executing", 2), ("Finalizing", 4)]


def test_past_runs_keep_their_files(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=[{"name": "a.dgn", "file_id": "old", "id": "one"}])
    emulator.start_run(connection)
    clock.advance(10)
    body = {"storageFileId": "new", "connectorType": "DWG"}
    assert api.call("PUT", f"{STORAGE}/{connection}/sourcefiles/one", json=body).status_code == 200
    emulator.start_run(connection)
    clock.advance(10)
    assert [tasks_in(run)[0]["storageFileId"] for run in emulator.runs(connection)] == ["old", "new"]


def test_five_thousand_files(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.plan_run(connection, invent_files=5000, failing=[{"file": 4999}], result="PartialSuccess", warnings=5001)
    location = api.start("storage", connection).headers["Location"]
    clock.advance(10)
    tasks = tasks_in(api.run(location))
    assert len(tasks) == 5000
    assert len({task["id"] for task in tasks}) == 5000
    assert sum(task["result"] == "Error" for task in tasks) == 1
    assert sum(task["details"]["synchronizationReport"]["totalWarningsCount"] for task in tasks) == 5001


def test_manifest_runs_have_the_manifests_files(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(
        "manifest", files=[{"name": "a.dgn", "file_id": "a"}, {"name": "b", "file_id": "b"}]
    )
    manifest = {
        "documentAttributeSchemaUrl": "https://blob.example.com/schema.json",
        "sourceFiles": [
            {
                "id": "b",
                "name": "b.dwg",
                "action": "bridge",
                "url": "https://blob.example.com/b.dwg?sig=secret",
                "connectorType": "DWG",
                "children": [{"id": "c", "parentId": "b", "name": "c.dgn", "url": "https://blob.example.com/c.dgn"}],
            }
        ],
    }
    answer = api.post(f"{MANIFEST}/{connection}/runs", manifest)
    assert answer.status_code == 202
    clock.advance(10)
    run = api.run(answer.headers["Location"])
    assert [job["connectorType"] for job in run["jobs"]] == ["DWG"]
    (task,) = tasks_in(run)
    assert task["sourceFileId"] == "b"
    assert "storageFileId" not in task
    assert list(task)[:2] == ["id", "sourceFileId"]


def test_export_runs_lack_what_synchronization_has(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection("export")
    answer = api.post(f"{EXPORT}/{connection}/runs", BODIES["export"])
    clock.advance(10)
    run = api.run(answer.headers["Location"])
    assert list(run) == ["id", "connectionId", "startDateTime", "endDateTime", "state", "result", "jobs"]
    assert "connectorType" not in run["jobs"][0]
    (task,) = tasks_in(run)
    assert {"storageFileId", "sourceFileId", "details"}.isdisjoint(task)
    assert task["exportOutputFileId"]


def test_last_run_link(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    assert "lastRun" not in api.get(f"{STORAGE}/{connection}").json()["connection"]["_links"]
    locations = []
    for _ in range(2):
        locations.append(api.start("storage", connection).headers["Location"])
        clock.advance(10)
    links = api.get(f"{STORAGE}/{connection}").json()["connection"]["_links"]
    assert links["lastRun"] == {"href": locations[1]}


def test_lists_are_minimal_by_default(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.start_run(connection)
    clock.advance(10)
    minimal = api.get(f"{STORAGE}/{connection}/runs").json()["runs"]
    assert [sorted(run) for run in minimal] == [["id", "result", "state"]]
    for prefer in ("return=representation", "respond-async, return=representation"):
        whole = api.get(f"{STORAGE}/{connection}/runs", headers={"Prefer": prefer}).json()["runs"]
        assert whole == emulator.runs(connection)


def test_lists_of_exports_are_always_whole(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection("export")
    emulator.start_run(connection)
    assert api.get(f"{EXPORT}/{connection}/runs").json()["runs"] == emulator.runs(connection)


def test_paths_in_any_case_and_with_a_slash(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(connection_id="Case_Matters-here")
    for path in (
        f"/synchronization/iModels/storageConnections/{connection}",
        f"/SYNCHRONIZATION/IMODELS/STORAGECONNECTIONS/{connection}/",
    ):
        assert api.get(path).status_code == 200
    assert api.get(f"{STORAGE}/{connection.lower()}").status_code == 404


def test_wrong_kind_of_path_is_not_found(api: Api, emulator: Emulator) -> None:
    storage = emulator.add_connection("storage")
    manifest = emulator.add_connection("manifest")
    assert api.post(f"{STORAGE}/{storage}/runs").status_code == 404
    assert api.post(f"{MANIFEST}/{manifest}/run", {}).status_code == 404
    assert error_of(api.get(f"{MANIFEST}/{storage}"))["code"] == "ManifestConnectionNotFound"


def test_every_answer_has_a_correlation_id(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    for answer in (
        api.get(f"{STORAGE}/{connection}"),
        api.get("/nowhere"),
        api.get(STORAGE, headers={"Authorization": None}),
    ):
        assert answer.headers["x-correlation-id"]
    given = api.get(f"{STORAGE}/{connection}", headers={"X-Correlation-Id": "mine-1"})
    assert given.headers["x-correlation-id"] == "mine-1"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.bentley.itwin-platform.v1+json", 200),
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/vnd.bentley.itwin-platform.v1+json;q=0.5", 200),
        ("application/vnd.bentley.itwin-platform.v9+json", 406),
        ("text/html", 406),
    ],
)
def test_accept_chooses_the_version(api: Api, emulator: Emulator, accept: str, status: int) -> None:
    assert api.get(f"{STORAGE}/{emulator.add_connection()}", headers={"Accept": accept}).status_code == status


def test_the_request_log_has_every_request(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    api.start("storage", connection)
    api.get(f"{STORAGE}/{connection}/runs?%24top=5&$skip=1", headers={"Prefer": "return=representation"})
    token, start, listing = emulator.request_log
    assert (token.operation, token.method, token.status, token.authorized_host) == ("token", "POST", 200, None)
    assert (start.operation, start.status, start.body_size) == ("run-storage-connection", 202, 0)
    assert start.location == f"{emulator.url}{STORAGE}/{connection}/runs/{emulator.runs(connection)[0]['id']}"
    assert listing.query == {"$top": "5", "$skip": "1"}
    assert listing.headers["prefer"] == "return=representation"
    assert listing.authorized_host == emulator.url.removeprefix("http://")
    assert listing.client_id == emulator.client_id
    assert [entry.connection_id for entry in emulator.request_log] == [None, connection, connection]
    assert emulator.request_log[-1] == listing
    assert len(emulator.request_log) == 3
    emulator.request_log.clear()
    assert list(emulator.request_log) == []


@pytest.mark.parametrize("kind", ["storage", "manifest", "export"])
@pytest.mark.parametrize("end", ["", "/{run}"])
def test_an_imodel_in_the_query_must_be_that_of_the_run(emulator: Emulator, api: Api, kind: Any, end: str) -> None:
    connection = emulator.add_connection(kind, imodel_id="m")
    path = f"{ROOTS[kind]}/{connection}/runs" + end.format(run=emulator.start_run(connection))
    assert api.get(f"{path}?imodelId=m").status_code == 200
    answer = api.get(f"{path}?iModelId=other")
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["target"] == "imodelId"
