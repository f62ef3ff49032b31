"""Uses every operation on jobs, with jobs that end well, fail, and are cancelled."""

from __future__ import annotations

from typing import Any

from itwin_emulator import Emulator, ManualClock

from .conftest import Witness

TRANSFORMATIONS = "/transformations"
DIFF = "/changedelements/diff"
MAPPINGS = "/grouping-and-mapping/datasources/imodel-mappings"
REALITY = {"modeling": "Calibration", "analysis": "Objects2D", "conversion": "PointCloudConversion"}
PHASE = 2.5
"""Real seconds; with the default plan, a job takes ten."""


def live_jobs(witness: Witness, emulator: Emulator, clock: ManualClock) -> None:
    """Do with jobs whatever there is to do."""
    for imodel in ("job-source", "job-target"):
        emulator.add_imodel(imodel, "job-itwin")
    emulator.push_changesets("job-source", 3)
    emulator.add_transformation_configuration("job-source", "job-target", "job-configuration")
    for outcome in ("success", "failure", "cancel"):
        transformation(witness, emulator, clock, outcome)
        diff(witness, emulator, clock, outcome)
        extraction(witness, emulator, clock, outcome)
        for api, kind in REALITY.items():
            reality(witness, emulator, clock, outcome, api, kind)


def transformation(witness: Witness, emulator: Emulator, clock: ManualClock, outcome: str) -> None:
    ask = witness.ask
    if outcome == "failure":
        emulator.plan_job("transformation", "Failed", times=1, error={"message": "No.", "code": "3"})
    body = {"configurationId": "job-configuration"}
    one = ask("POST", TRANSFORMATIONS, body, version=2).json()["transformation"]
    assert ask("POST", TRANSFORMATIONS, body, version=2).status_code == 409
    path = f"{TRANSFORMATIONS}/{one['id']}"
    for _ in range(5):
        ask("GET", path, version=2)
        for prefer in (None, "representation"):
            ask("GET", f"{TRANSFORMATIONS}?targetIModelId=job-target", prefer=prefer, version=2)
        if outcome == "cancel":
            ask("DELETE", path, version=2)
        clock.advance(PHASE)
    assert ask("GET", f"{path}/report", version=2).status_code == (404 if outcome == "cancel" else 200)
    ask("GET", f"{TRANSFORMATIONS}/configurations/job-configuration", version=2)


def diff(witness: Witness, emulator: Emulator, clock: ManualClock, outcome: str) -> None:
    ask = witness.ask
    if outcome == "failure":
        emulator.plan_job("changed-elements", "Failed", times=1)
    body: dict[str, Any] = {"iTwinId": "job-itwin", "iModelId": "job-source", "startChangeset": 1, "endChangeset": 3}
    body["diffingPlan"] = {"strategy": "Full"}
    query = "iTwinId=job-itwin&iModelId=job-source"
    job = ask("POST", DIFF, body, version=3).json()["job"]
    for _ in range(5):
        ask("GET", f"{DIFF}/{job['jobId']}?{query}", version=3)
        ask("GET", f"{DIFF}?{query}", version=3)
        clock.advance(PHASE)
    assert ask("DELETE", f"{DIFF}/{job['jobId']}?{query}", version=3).status_code == 204
    assert ask("GET", f"{DIFF}/{job['jobId']}?{query}", version=3).status_code == 404


def extraction(witness: Witness, emulator: Emulator, clock: ManualClock, outcome: str) -> None:
    ask = witness.ask
    if outcome == "failure":
        emulator.plan_job("extraction", "Failed", times=1, messages=[{"message": "x", "level": "warning"}])
    body = {"iModelId": "job-source", "mappings": [{"id": "beams"}]}
    one = ask("POST", f"{MAPPINGS}/extractions", body).json()["extraction"]
    for _ in range(5):
        for path in (one["id"], f"{one['id']}/logs", f"{one['id']}/logs?$top=1"):
            ask("GET", f"{MAPPINGS}/extractions/{path}")
        ask("GET", f"{MAPPINGS}/extractions?iModelId=job-source&$top=1")
        ask("GET", f"{MAPPINGS}/beams/extractions")
        clock.advance(PHASE)
    cdm = f"{MAPPINGS}/beams/extractions/{one['id']}/cdm"
    model = ask("GET", cdm)
    if model.status_code == 200:
        location = model.json()["entities"][0]["partitions"][0]["location"]
        assert ask("GET", f"{cdm}/partitions?location={location}").status_code == 200


def reality(witness: Witness, emulator: Emulator, clock: ManualClock, outcome: str, api: str, kind: str) -> None:
    ask = witness.ask
    if outcome == "failure":
        emulator.plan_job(f"reality-{api}", "Failed", times=1, messages=["x"])  # type: ignore[arg-type]
    specifications = {"inputs": {"scene": "s"}, "outputs": ["scene"]}
    body = {"type": kind, "iTwinId": "job-itwin", "specifications": specifications}
    root = f"/reality-{api}/jobs"
    job = ask("POST", root, body, version=2).json()["job"]
    for _ in range(5):
        for part in ("", "/progress", "/messages"):
            ask("GET", f"{root}/{job['id']}{part}", version=2)
        ask("GET", f"{root}?$filter=iTwinId eq job-itwin&$top=2", version=2)
        if outcome == "cancel":
            ask("DELETE", f"{root}/{job['id']}", version=2)
        clock.advance(PHASE)
    assert ask("DELETE", f"{root}/{job['id']}", version=2).status_code == 422
