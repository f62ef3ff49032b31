"""The promise of the job operators: a documented API that is not shipped takes at most fifteen lines of data, and no code."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinJobStartInDoubtError
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.report import JobReport
from airflow_provider_itwin.api.jobs.start import JobStart, StartedJob, ensure_job
from airflow_provider_itwin.api.wait.any_wait import WaitEnd
from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
from airflow_provider_itwin.api.wait.waiter import wait
from tests.api.jobs.job_apis import API
from tests.api.responses import SILENCE, error, response
from tests.api.scripted_service import WALL, ScriptedService


def mesh_export() -> JobDefinition:
    """Return the definition, as a user would write it."""
    return JobDefinition(
        name="mesh export",
        start="POST /mesh-export/",
        inputs={
            "imodel_id": JobInput(type="id", required=True),
            "changeset_id": JobInput(type="id"),
            "export_type": JobInput(required=True, values=("3DFT", "CESIUM", "IMODEL", "3DTiles")),
        },
        poll="GET /mesh-export/{job_id}",
        id="export.id", state="export.status", result="export._links.mesh.href",
        running=("NotStarted", "InProgress"), passed=("Complete",), failed=("Invalid",),
        messages=JobMessages(errors=("export.error",)),
        find=JobSearch(get="GET /mesh-export?iModelId={imodel_id}", jobs="exports", same={"request.exportType": "export_type"}),
    )  # fmt: skip


MESH = mesh_export()
REF = JobRef("mesh export", "e1")
GIVEN = {"imodel_id": "m1", "export_type": "cesium"}
LIST, POST = f"GET {API}/mesh-export?iModelId=m1", f"POST {API}/mesh-export/"
LINK = "https://mesh.blob.core.windows.net/c/tileset.json?sv=2024&sig=c2VjcmV0c2VjcmV0"


def export(status: str, job_id: str = "e1", **members: Any) -> dict[str, Any]:
    """Return an export, as the service describes it."""
    return {"id": job_id, "displayName": "A", "status": status, "request": {"exportType": "CESIUM"}, **members}


def answer(status: str, code: int = 200, **members: Any) -> Any:
    """Make the response about one export."""
    return response(code, {"export": export(status, **members)})


def listed(*ids: str) -> Any:
    """Make the response to the request for the list."""
    return response(200, {"exports": [export("InProgress", one) for one in ids]})


def started(script: ScriptedService, known: JobStart | None = None) -> StartedJob:
    """Start an export."""
    return script.play(ensure_job(script.account(), MESH, GIVEN, known))


def waited(script: ScriptedService) -> JobWaitResult:
    """Wait for an export, and return the result as a task gets it from its trigger."""
    spec = JobWaitSpec.from_dict(json.loads(json.dumps(JobWaitSpec(MESH, REF, began=WALL).as_dict())))
    result = script.play(wait(script.account(), spec))
    return JobWaitResult.from_event(json.loads(json.dumps(result.as_event())))


def report_of(script: ScriptedService) -> JobReport:
    """Wait for an export, and return its report."""
    report = waited(script).report
    assert report is not None
    return report


def test_the_definition_has_at_most_fifteen_lines_of_data() -> None:
    lines = inspect.getsource(mesh_export).splitlines()
    first = next(number for number, line in enumerate(lines) if "JobDefinition(" in line and "return" in line)

    assert len(lines) - first <= 15
    assert max(map(len, lines)) <= 128
    assert JobDefinition.from_dict(json.loads(json.dumps(MESH.as_dict()))) == MESH


def test_an_export_is_started_and_waited_for() -> None:
    script = ScriptedService(listed("e0"), answer("NotStarted", 202))

    assert started(script) == StartedJob(REF, "created")
    assert script.lines == [LIST, POST]
    assert json.loads(script.requests[1].body or b"") == {"iModelId": "m1", "exportType": "CESIUM"}

    script = ScriptedService(
        answer("NotStarted"), answer("InProgress"), answer("Complete", _links={"mesh": {"href": LINK}})
    )
    report = report_of(script)

    assert script.lines == [f"GET {API}/mesh-export/e1"] * 3
    assert (report.state, report.outcome, report.result) == ("Complete", "passed", None)
    assert report.text == "Mesh export e1 has succeeded: its state is Complete."
    assert "c2VjcmV0c2VjcmV0" not in json.dumps(report.as_dict())


def test_a_failed_export_says_why() -> None:
    report = report_of(ScriptedService(answer("Invalid", error={"code": "NoGeometry", "message": "It is empty."})))

    assert report.outcome == "failed"
    assert report.text == ("Mesh export e1 has failed: its state is Invalid.\n  error: It is empty. (NoGeometry)")


def test_an_export_that_does_not_exist_is_refused() -> None:
    result = waited(ScriptedService(always=error(404, "ExportNotFound")))

    assert result.end is WaitEnd.REFUSED
    assert "get mesh export returned 404. The service returned ExportNotFound" in str(result.error)


@pytest.mark.parametrize("lost", [SILENCE, error(504), response(202, b"")])
def test_an_export_whose_response_was_lost_is_found(lost: Any) -> None:
    script = ScriptedService(listed("e0"), lost, listed("e0", "e1"))

    assert started(script) == StartedJob(REF, "found")
    assert script.lines == [LIST, POST, LIST]


def test_an_export_of_a_lost_worker_is_found() -> None:
    script = ScriptedService(listed("e0", "e1"))

    assert started(script, JobStart(in_doubt=True, known=("e0",))) == StartedJob(REF, "found")
    assert script.lines == [LIST]


def test_two_exports_since_a_lost_response_leave_a_doubt() -> None:
    with pytest.raises(ITwinJobStartInDoubtError, match="It is unknown whether the mesh export was started"):
        started(ScriptedService(listed(), SILENCE, listed("e1", "e2")))
