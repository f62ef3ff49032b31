from __future__ import annotations

import re

import requests

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.admin import dashboard
from job_client import ask, start_reality
from platform_client import Api


def test_the_page_and_its_files(emulator: Emulator) -> None:
    page = requests.get(f"{emulator.url}/", timeout=5)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    used = re.findall(r'(?:href|src)="(/emulator/static/[^"]+)"', page.text)
    assert len(used) == 3
    for path in (*used, "/favicon.ico"):
        file = requests.get(emulator.url + path, timeout=5)
        assert file.status_code == 200
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    # What the policy forbids would silently not work.
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)


def test_nothing_else_is_served(emulator: Emulator) -> None:
    for path in (
        "/emulator/static/",
        "/emulator/static/..%2f__init__.py",
        "/emulator/static/x/app.js",
        "/emulator/page.py",
    ):
        assert requests.get(emulator.url + path, timeout=5).status_code == 404


def test_the_data_of_the_dashboard(demo: Emulator, clock: ManualClock) -> None:
    api = Api(demo.url, demo.client_id, demo.client_secret)
    api.start("storage", "demo-failing-connection")
    clock.advance(9)
    seen = api.control("GET", "/dashboard").json()
    assert seen["active"] == 1
    one = next(one for one in seen["connections"] if one["id"] == "demo-failing-connection")
    (run,) = one["runs"]
    assert (run["state"], run["result"], run["share"]) == ("Executing", "Undetermined", 0.5)
    assert run["files"] == {"total": 5, "done": 2, "failed": 1}
    assert run["error"] is None
    clock.advance(9)
    (run,) = next(one for one in api.control("GET", "/dashboard").json()["connections"] if one["runs"])["runs"]
    assert run["files"] == {"total": 5, "done": 5, "failed": 3}
    assert [failure["file"] for failure in run["failures"]] == [
        "PD-STR-Ramps.dgn",
        "PD-ARC-Deck.rvt",
        "PD-MEP-Sprinklers.ifc",
    ]
    assert run["error"] == "Three of five files could not be synchronized."
    assert [entry["operation"] for entry in seen["recent"]] == ["run-storage-connection", "token"]


def test_very_many_connections(emulator: Emulator) -> None:
    for _ in range(250):
        emulator.add_connection(files=0, imodel_id="m")
    late = emulator.add_connection()
    emulator.start_run(late)
    seen = emulator.controls.dashboard()
    assert seen["hidden"] == 51
    assert seen["connections"][0]["id"] == late


def test_jobs_are_listed(emulator: Emulator, clock: ManualClock) -> None:
    emulator.add_itwin("itwin")
    api = Api(emulator.url, emulator.client_id, emulator.client_secret)
    emulator.plan_job("reality-modeling", "Failed", 60, times=1, error="No photos.")
    failing = start_reality(api, "reality-modeling")
    clock.advance(2)
    running = [start_reality(api, "reality-analysis")["id"] for _ in range(dashboard.MAX_JOBS)]
    seen = api.control("GET", "/dashboard").json()
    assert (seen["activeJobs"], seen["hiddenJobs"]) == (len(running), 1)
    assert {one["id"] for one in seen["jobs"]} == set(running)
    for job_id in running[:2]:
        emulator.finish_job(job_id)
    emulator.store.jobs.remove(emulator.store.jobs.jobs[running[0]])
    seen = api.control("GET", "/dashboard").json()
    assert (seen["activeJobs"], seen["hiddenJobs"]) == (len(running) - 2, 0)
    one = next(one for one in seen["jobs"] if one["id"] == failing["id"])
    assert (one["state"], one["error"], one["name"]) == ("Failed", "No photos.", "Nightly")
    assert api.control("GET", "").json()["jobs"] == len(running)


def test_the_log_names_the_job(emulator: Emulator) -> None:
    emulator.add_itwin("itwin")
    api = Api(emulator.url, emulator.client_id, emulator.client_secret)
    job = start_reality(api, "reality-modeling")
    ask(api, "GET", f"/reality-modeling/jobs/{job['id']}/progress")
    assert emulator.request_log[-1].job_id == job["id"]
    assert api.control("GET", "/dashboard").json()["recent"][0]["job"] == job["id"]
