"""The stored forms of tasks with jobs; see :mod:`tests.golden.forms`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

BEGAN = 1_790_000_000.0
JOB_ID, IMODEL = "a-job", "an-imodel"


def job_forms() -> dict[str, Any]:
    """Return each stored form by name, with every member that it can have."""
    from airflow_provider_itwin.api.errors import ITwinServerError
    from airflow_provider_itwin.api.jobs.polling import JobSnapshot, JobSummary
    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.api.jobs.report import JobReport
    from airflow_provider_itwin.api.jobs.start import JobStart
    from airflow_provider_itwin.api.wait.any_wait import WaitEnd
    from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
    from airflow_provider_itwin.triggers.jobs import ITwinJobTrigger
    from airflow_provider_itwin.utils.job_state import STORE_KEY, JobTaskState
    from airflow_provider_itwin.utils.task_state import TaskStateStore

    ref = JobRef("thing", JOB_ID, {"imodel_id": IMODEL})
    spec = JobWaitSpec(definition(), ref, began=BEGAN, deadline=BEGAN + 3600, is_known=True)
    details = {"thing": {"state": "Partial", "size": 5, "errors": [{"code": "E1", "message": "It failed."}]}}
    warnings = {"warnings": [{"title": "Input", "message": "No {0}.", "params": ["photos"]}]}
    snapshot = JobSnapshot(JobSummary("Partial", "warned", 100.0), details, warnings, {"files": ["a-file"]})
    state = JobTaskState(BEGAN, JobStart(in_doubt=True, known=("an-older-job",)), ref)
    memo = {**state.as_dict(), "try_number": 1}
    path, kwargs = ITwinJobTrigger("itwin_default", spec, memo=memo, cancel_on_kill=True).serialize()
    rows: dict[str, Any] = {}
    context = {
        "task_state_store": SimpleNamespace(set=rows.__setitem__),
        "ti": SimpleNamespace(max_tries=2),
        "dag_run": SimpleNamespace(clear_number=0),
    }
    target = f"{definition().start} itwin_default"
    TaskStateStore(context, durable=True, target=target, shape=JobTaskState, key=STORE_KEY).save(state)
    outage = ITwinServerError("It failed", status=503)
    return {
        "job_trigger": {"classpath": path, "kwargs": kwargs},
        "job_event_finished": JobWaitResult(
            spec, WaitEnd.FINISHED, ref, "Partial", snapshot, elapsed=60.0, polls=3
        ).as_event(memo),
        "job_event_deadline": JobWaitResult(spec, WaitEnd.DEADLINE, ref, "Active", elapsed=3600.0, polls=9).as_event(
            memo
        ),
        "job_event_outage": JobWaitResult(spec, WaitEnd.OUTAGE, ref, "Active", error=outage, elapsed=900.0).as_event(
            memo
        ),
        "job_memo": memo,
        "job_task_state_store": rows,
        "job_ref": ref.as_dict(),
        "job_report": JobReport.of(spec.definition, ref, snapshot).with_result_path("/data/thing.json").as_dict(),
    }


def definition() -> Any:
    """Return a definition with every member that it can have."""
    from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
    from airflow_provider_itwin.api.jobs.inputs import JobInput

    return JobDefinition(
        name="thing",
        version="v2",
        start="POST /things",
        inputs={
            "imodel_id": JobInput(type="id", required=True, help="id of the iModel"),
            "kind": JobInput(values=("A", "B"), default="A", member="options.kind"),
            "names": JobInput(type="array", shortest=1),
            "token": JobInput(secret=True, place="header", member="X-Token"),
        },
        body={"options": {"fast": True}},
        id="thing.id",
        poll="GET /imodels/{imodel_id}/things/{job_id}",
        state="thing.state",
        running=("Active",),
        passed=("Done",),
        warned=("Partial",),
        failed=("Failed",),
        progress=("thing.done", "thing.total"),
        details="GET /imodels/{imodel_id}/things/{job_id}/all",
        messages=JobMessages(
            get="GET /imodels/{imodel_id}/things/{job_id}/log", errors=("thing.errors",), warnings=("warnings",)
        ),
        result="GET /imodels/{imodel_id}/things/{job_id}/report",
        cancel="POST /things/cancel?imodel={imodel_id}",
        cancel_body={"ids": ["{job_id}"]},
        find=JobSearch(get="GET /things?imodel={imodel_id}", jobs="things", same={"kind": "kind"}),
        conflict="adopt",
        repeatable=True,
        url="https://developer.bentley.com/",
    )
