from __future__ import annotations

import re
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock, Quirks
from platform_client import EXPORT, ROOTS, STORAGE, Api


def finished(emulator: Emulator, clock: ManualClock, result: str = "Success", kind: Any = "storage") -> dict[str, Any]:
    connection = emulator.add_connection(kind)
    emulator.plan_run(connection, result)
    emulator.start_run(connection)
    clock.advance(10)
    return emulator.runs(connection)[-1]


def test_cancelled_with_two_l(emulator: Emulator, clock: ManualClock) -> None:
    assert finished(emulator, clock, "Canceled")["result"] == "Canceled"
    emulator.quirks.canceled_spelling = "Cancelled"
    run = finished(emulator, clock, "Canceled")
    assert run["result"] == "Cancelled"
    assert run["jobs"][-1]["tasks"][-1]["result"] == "Cancelled"
    emulator.quirks.reset()
    assert finished(emulator, clock, "Cancelled")["result"] == "Cancelled"


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("6-digits", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
        ("no-zone", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}"),
        ("no-fraction", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ],
)
def test_dates(emulator: Emulator, clock: ManualClock, form: Any, pattern: str) -> None:
    emulator.quirks.dates = form
    run = finished(emulator, clock)
    assert re.fullmatch(pattern, run["startDateTime"])
    assert re.fullmatch(pattern, run["jobs"][0]["tasks"][0]["endDateTime"])


def test_no_end_yet(emulator: Emulator) -> None:
    connection = emulator.add_connection()
    emulator.start_run(connection)
    assert "endDateTime" not in emulator.runs(connection)[0]
    emulator.quirks.no_end = "null"
    assert emulator.runs(connection)[0]["endDateTime"] is None
    emulator.quirks.no_end = "year-1"
    assert emulator.runs(connection)[0]["endDateTime"] == "0001-01-01T00:00:00"


def test_unknown_values_and_fields(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.state_names = {"NotStarted": "Dreaming"}
    emulator.quirks.result_names = {"Success": "Splendid"}
    emulator.quirks.extra_fields = True
    connection = emulator.add_connection()
    location = api.start("storage", connection).headers["Location"]
    assert api.run(location)["state"] == "Dreaming"
    clock.advance(10)
    run = api.run(location)
    assert run["result"] == "Splendid"
    assert run["unheardOf"]["nothing"] is None
    assert "unheardOf" in run["jobs"][0]["tasks"][0]
    assert "unheardOf" in api.get(f"{STORAGE}/{connection}").json()["connection"]


@pytest.mark.parametrize("kind", ROOTS)
def test_there_are_no_jobs_before_the_work_begins(api: Api, emulator: Emulator, kind: Any) -> None:
    location = api.start(kind, emulator.add_connection(kind)).headers["Location"]
    assert api.run(location)["jobs"] == []
    emulator.quirks.no_jobs = "null"
    assert api.run(location)["jobs"] is None
    emulator.quirks.no_jobs = "absent"
    assert "jobs" not in api.run(location)


def test_missing_and_null_fields(emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.missing_fields = ("jobs", "startDateTime")
    emulator.quirks.null_fields = ("phase", "endDateTime")
    run = finished(emulator, clock)
    assert "jobs" not in run
    assert "startDateTime" not in run
    assert run["phase"] is None
    assert run["endDateTime"] is None


def test_a_new_run_is_not_found_at_first(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.invisible_for = 5
    connection = emulator.add_connection()
    location = api.start("storage", connection).headers["Location"]
    assert api.get(location).json()["error"]["code"] == "StorageConnectionRunNotFound"
    assert api.get(f"{STORAGE}/{connection}/runs").json()["runs"] == []
    clock.advance(5)
    assert api.get(location).status_code == 200
    assert len(api.get(f"{STORAGE}/{connection}/runs").json()["runs"]) == 1


def test_last_run_is_stale_for_a_while(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.stale_last_run_for = 5
    connection = emulator.add_connection()
    first = api.start("storage", connection).headers["Location"]
    clock.advance(20)
    second = api.start("storage", connection).headers["Location"]

    def last() -> str:
        return str(api.get(f"{STORAGE}/{connection}").json()["connection"]["_links"]["lastRun"]["href"])

    assert last() == first
    clock.advance(5)
    assert last() == second


def test_links_on_another_host(api: Api, emulator: Emulator) -> None:
    emulator.quirks.links_host = "https://api.bentley.com"
    connection = emulator.add_connection(files=3)
    location = api.start("storage", connection).headers["Location"]
    links = api.get(f"{STORAGE}/{connection}").json()["connection"]["_links"]
    assert all(link["href"].startswith("https://api.bentley.com/") for link in links.values())
    page = api.get(f"{STORAGE}/{connection}/sourcefiles?$top=1").json()
    assert page["_links"]["next"]["href"].startswith("https://api.bentley.com/")
    assert location.startswith(emulator.url)


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("absolute", r"{url}/synchronization/imodels/storageconnections/c/runs/{run}"),
        ("relative", r"/synchronization/imodels/storageconnections/c/runs/{run}"),
        ("other-case", r"{url}/synchronization/imodels/storageConnections/c/Runs/{run}"),
        ("trailing-slash", r"{url}/synchronization/imodels/storageconnections/c/runs/{run}/"),
        ("query", r"{url}/synchronization/imodels/storageconnections/c/runs/{run}\?api-version=1"),
        ("foreign-host", r"https://api\.bentley\.example/synchronization/imodels/storageconnections/c/runs/{run}"),
        ("nonsense", r"http://\[not a link"),
    ],
)
def test_forms_of_the_location(api: Api, emulator: Emulator, form: Any, pattern: str) -> None:
    emulator.add_connection(connection_id="c")
    emulator.quirks.location = form
    # requests itself stumbles over nonsense in a 303, even when it is told not to follow it.
    for status in (202, 303)[: 1 if form == "nonsense" else 2]:
        answer = api.start("storage", "c")
        assert answer.status_code == status
        run = emulator.runs("c")[0]["id"]
        assert re.fullmatch(pattern.format(url=re.escape(emulator.url), run=run), answer.headers["Location"])
    if form in ("absolute", "relative", "other-case", "trailing-slash", "query"):
        assert api.get(answer.headers["Location"]).status_code == 200


def test_no_location_at_all(api: Api, emulator: Emulator) -> None:
    emulator.quirks.location = "missing"
    assert "Location" not in api.start("storage", emulator.add_connection()).headers


@pytest.mark.parametrize("order", ["newest-first", "oldest-first", "shuffled"])
def test_order_of_runs(api: Api, emulator: Emulator, clock: ManualClock, order: Any) -> None:
    emulator.quirks.run_order = order
    connection = emulator.add_connection()
    for _ in range(8):
        emulator.start_run(connection)
        clock.advance(10)
    made = [run["id"] for run in emulator.runs(connection)]
    listed = [run["id"] for run in api.get(f"{STORAGE}/{connection}/runs").json()["runs"]]
    assert sorted(listed) == sorted(made)
    assert (listed == made[::-1]) == (order == "newest-first")
    assert (listed == made) == (order == "oldest-first")


def test_success_beside_an_error(emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.success_with_error = True
    task = finished(emulator, clock)["jobs"][0]["tasks"][0]
    assert task["result"] == "Success"
    assert task["error"]["errorCode"] == "TAE_BRG_1000"


def test_success_with_a_failing_job(emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.success_with_failure = True
    run = finished(emulator, clock, "Error", "export")
    assert (run["result"], run["jobs"][0]["result"], run["jobs"][0]["tasks"][0]["result"]) == (
        "Success",
        "Error",
        "Error",
    )


def test_a_plan_can_say_that_too(emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection(files=2)
    emulator.plan_run(connection, "Success", failing=[{"file": 0}, {"file": 1, "result": "Success"}])
    emulator.start_run(connection)
    clock.advance(10)
    run = emulator.runs(connection)[0]
    tasks = [task for job in run["jobs"] for task in job["tasks"]]
    assert run["result"] == "Success"
    assert [task["result"] for task in tasks] == ["Error", "Success"]
    assert all("error" in task for task in tasks)


def test_switched_off_by_default() -> None:
    quirks = Quirks(extra_fields=True, location="missing", state_names={"a": "b"})
    quirks.reset()
    assert quirks == Quirks()


def test_export_lists_are_ordered_too(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    emulator.quirks.run_order = "oldest-first"
    connection = emulator.add_connection("export")
    for _ in range(2):
        emulator.start_run(connection)
        clock.advance(10)
    assert api.get(f"{EXPORT}/{connection}/runs").json()["runs"] == emulator.runs(connection)


@pytest.mark.parametrize("kind", ["storage", "manifest"])
def test_other_case_also_in_last_run(api: Api, emulator: Emulator, kind: Any) -> None:
    emulator.quirks.location = "other-case"
    connection = emulator.add_connection(kind)
    location = api.start(kind, connection).headers["Location"]
    found = api.get(f"{ROOTS[kind]}/{connection}").json()["connection"]["_links"]["lastRun"]["href"]
    assert found == location
    assert f"/{kind}Connections/" in found
