"""Controls of jobs, and jobs in the state file."""

from __future__ import annotations

from pathlib import Path

import pytest

from itwin_emulator import Emulator, ManualClock
from job_client import TRANSFORMATIONS, ask, start_reality
from platform_client import Api


def test_plans_apply_in_their_order(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.add_itwin("itwin")
    emulator.add_itwin("other")
    emulator.plan_job("reality-modeling", "Failed", 0, times=2)
    emulator.plan_job("reality-modeling", "Cancelled", 0, subject="other")
    for itwin in ("itwin", "other", "itwin", "itwin"):
        start_reality(api, "reality-modeling", iTwinId=itwin)
    assert [one["state"] for one in emulator.jobs("reality-modeling")] == ["Failed", "Cancelled", "Failed", "Queued"]
    assert emulator.jobs("extraction") == []


def test_a_job_is_finished(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.add_itwin("itwin")
    jobs = [start_reality(api, "reality-modeling")["id"] for _ in range(2)]
    clock.advance(1)
    emulator.finish_job(jobs[0])
    answer = api.control("POST", "/jobs/finish", {"job_id": jobs[1], "outcome": "Failed"})
    assert answer.status_code == 200
    listed = api.control("GET", "/jobs?kind=reality-modeling").json()["jobs"]
    assert [(one["state"], one["active"], one["seconds"]) for one in listed] == [
        ("Success", False, 1.0),
        ("Failed", False, 1.0),
    ]
    with pytest.raises(ValueError, match="ended already"):
        emulator.finish_job(jobs[0])
    with pytest.raises(LookupError, match="no job 'x'"):
        emulator.finish_job("x")


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ({"kind": "transformation", "outcome": "Suceeded"}, "misspelling of 'Succeeded'"),
        ({"kind": "transformation", "states": [["Startet", 1]]}, "misspelling of 'Started'"),
        ({"kind": "transformation", "states": []}, "at least one state"),
        ({"kind": "painting"}, "'painting' is not allowed"),
        ({"kind": "extraction", "duration": -1}, "duration"),
        ({"kind": "extraction", "progress": [101]}, "percentages"),
        ({"kind": "extraction", "times": 0}, "times"),
        ({"kind": "extraction", "messages": [{"text": "x"}]}, "unknown key 'text'"),
        ({"kind": "extraction", "messages": [{"message": "x", "level": "fatal"}]}, "'fatal'"),
    ],
)
def test_an_invalid_plan_is_rejected(api: Api, plan: dict[str, object], problem: str) -> None:
    answer = api.control("POST", "/jobs/plans", plan)
    assert answer.status_code == 422
    assert problem in answer.json()["error"]


def test_configurations_need_their_imodels(emulator: Emulator, api: Api) -> None:
    emulator.add_imodel("m", "itwin")
    body = {"source_imodel_id": "m", "target_imodel_id": "m", "configuration_id": "c"}
    assert api.control("POST", "/configurations", body).json() == {"configurationId": "c"}
    assert api.control("POST", "/configurations", body).status_code == 422
    assert api.control("POST", "/configurations", body | {"source_imodel_id": "x"}).status_code == 404
    assert api.control("GET", "/jobs?kind=x").status_code == 422


def test_jobs_survive_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=path) as first:
        api = Api(first.url, first.client_id, first.client_secret)
        for imodel in ("source", "target"):
            first.add_imodel(imodel, "itwin")
        first.add_transformation_configuration("source", "target", "c")
        first.plan_job("reality-modeling", "Failed", 300, times=1, messages=["Broken."])
        failing = start_reality(api, "reality-modeling", name="abc", specifications={"inputs": {"token": "s3cret"}})
        headers = {"Enable-Transformation-Queueing": "true"}
        for _ in range(2):
            ask(api, "POST", TRANSFORMATIONS, {"configurationId": "c"}, headers)
        before = first.jobs()
    assert "s3cret" not in path.read_text()
    with Emulator(clock=clock, state_file=path) as second:
        assert second.jobs() == before
        clock.advance(11.5)
        assert [one["state"] for one in second.jobs()] == ["Failed", "Succeeded", "Initializing"]
        assert len(second.changesets("target")) == 1
        api = Api(second.url, second.client_id, second.client_secret)
        path_of_job = f"/reality-modeling/jobs/{failing['id']}"
        assert ask(api, "GET", f"{path_of_job}/messages").json()["messages"]["errors"][0]["message"] == "Broken."
        second.controls.on_change()
    with Emulator(clock=clock, state_file=path) as third:
        clock.advance(20)
        assert len(third.changesets("target")) == 2
        (one,) = (one for one in third.jobs("transformation") if not one["active"] and one["seconds"] == 10.0)
        assert ask(
            Api(third.url, third.client_id, third.client_secret), "GET", f"{TRANSFORMATIONS}{one['id']}/report"
        ).ok


def test_a_scenario_plans_jobs(clock: ManualClock) -> None:
    with Emulator(scenario="jobs", clock=clock) as emulator:
        api = Api(emulator.url, emulator.client_id, emulator.client_secret)
        (configuration,) = emulator.store.jobs.configurations.values()
        ask(api, "POST", TRANSFORMATIONS, {"configurationId": configuration.id})
        body = {"iModelId": configuration.source_imodel_id, "mappings": [{"id": "m"}]}
        for _ in range(2):
            api.post("/grouping-and-mapping/datasources/imodel-mappings/extractions", body)
        start_reality(api, "reality-analysis", iTwinId=next(iter(emulator.store.itwins)))
        clock.advance(14)
        states = [one["state"] for one in emulator.jobs()]
        assert states == ["Started", "PartiallySucceeded", "Succeeded", "Failed"]


@pytest.mark.parametrize(
    ("scenario", "problem"),
    [
        ({"job": [{"kind": "painting"}]}, "'painting' is not allowed"),
        ({"job": [{"kind": "extraction", "plan": {"outcome": "Suceeded"}}]}, "misspelling of 'Succeeded'"),
        ({"configuration": [{"id": "c", "source": "x", "target": "y"}]}, r"configuration\[0\]: no iModel 'x'"),
    ],
)
def test_an_invalid_scenario_is_rejected(scenario: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Emulator(scenario=scenario)
