"""Waits for jobs: their JSON forms, their events, and the wait itself."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinServerError
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages
from airflow_provider_itwin.api.jobs.polling import JobSnapshot, JobSummary
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.wait.any_wait import WaitEnd
from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
from airflow_provider_itwin.api.wait.waiter import wait
from airflow_provider_itwin.jobs import DIFF, REALITY_MODELING, TRANSFORMATION
from tests.api.jobs.job_apis import REF, state, thing
from tests.api.responses import error, response
from tests.api.scripted_service import WALL, ScriptedService

JOB = thing(messages=JobMessages(get="GET /things/{job_id}/messages", errors=("errors",)), result="thing.result")
SPEC = JobWaitSpec(JOB, REF, began=WALL, deadline=WALL + 3600)


def waited(*answers: Any, spec: JobWaitSpec = SPEC, **options: Any) -> JobWaitResult:
    """Wait for a job."""
    script = ScriptedService(*answers, **options)
    return script.play(wait(script.account(), spec))


def finished(outcome: Any = "passed", state: str = "Done", details: Any = None, **parts: Any) -> JobWaitResult:
    """Return the result of a wait for a job that has ended."""
    snapshot = JobSnapshot(JobSummary(state, outcome), details or {}, **parts)
    return JobWaitResult(SPEC, WaitEnd.FINISHED, REF, state, snapshot, elapsed=61.0, polls=3)


def event(**changes: Any) -> dict[str, Any]:
    """Return the event of a job that has succeeded, through JSON, with changes."""
    made: dict[str, Any] = json.loads(json.dumps(finished().as_event({"asked_at": 5.0})))
    return {**made, **changes}


def test_a_job_is_waited_for_until_it_ends() -> None:
    script = ScriptedService(state("Queued"), state("Active"), error(503), state("done"), response(200, {"errors": []}))

    result = script.play(wait(script.account(), SPEC))

    assert (result.end, result.state, result.polls, result.error) == (WaitEnd.FINISHED, "done", 4, None)
    assert result.made_report() == JobWaitResult.from_event(json.loads(json.dumps(result.as_event()))).report


def test_an_unknown_state_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = [state("Pondering"), state("Pondering"), state("Done"), response(200, {"errors": []})]

    assert waited(*answers).end is WaitEnd.FINISHED
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["The state Pondering of thing t1 is unknown; waiting until it changes or the timeout passes"]


def test_a_job_in_an_unknown_state_is_waited_for_until_the_deadline() -> None:
    result = waited(always=state("Pondering"), spec=replace(SPEC, deadline=WALL + 60))

    assert (result.end, result.state) == (WaitEnd.DEADLINE, "Pondering")


def test_a_temporary_error_after_the_end_is_retried_by_the_wait() -> None:
    result = waited(state("Failed"), error(500), state("Failed"), response(200, {"errors": ["It failed."]}))

    report = result.made_report()
    assert report is not None
    assert ([str(one) for one in report.messages], result.polls) == (["It failed."], 2)


def test_a_job_that_does_not_exist_is_refused_after_a_while() -> None:
    result = waited(always=error(404))

    assert result.end is WaitEnd.REFUSED
    assert 60 <= result.elapsed < 180


# JSON forms


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        JobWaitSpec(TRANSFORMATION, JobRef("transformation", "x"), poll_interval=5, seen=True, is_known=True),
        JobWaitSpec(DIFF, JobRef("diff", "x", {"itwin_id": "i", "imodel_id": "m"}), not_before=5.0, queued=True),
        JobWaitSpec(REALITY_MODELING, JobRef("reality modeling job", "x"), outage_tolerance=1),
    ],
)
def test_a_wait_survives_json(spec: JobWaitSpec) -> None:
    stored = json.loads(json.dumps(spec.as_dict(), allow_nan=False))

    assert JobWaitSpec.from_dict(stored) == spec
    assert JobWaitSpec.from_dict(spec) is spec
    assert JobWaitSpec.from_dict({**stored, "added_later": 5}) == spec
    assert JobWaitSpec.unknown_members({**stored, "added_later": 5}) == {"added_later"}


@pytest.mark.parametrize(
    "changes",
    [
        {"definition": None},
        {"definition": {}},
        {"ref": None},
        {"ref": {"name": "thing"}},
        {"ref": {"name": "thing", "job_id": "../x"}},
        {"poll_interval": 0},
        {"poll_interval": "5"},
        {"deadline": "tomorrow"},
        {"began": None},
        {"outage_tolerance": []},
        {"seen": "yes"},
    ],
)
def test_anything_else_is_no_wait(changes: dict[str, Any]) -> None:
    with pytest.raises(ITwinInputError):
        JobWaitSpec.from_dict({**SPEC.as_dict(), **changes})


def test_a_reference_that_lacks_an_input_of_the_requests_is_refused() -> None:
    with pytest.raises(ITwinInputError, match="The reference of diff x lacks itwin_id and imodel_id"):
        JobWaitSpec(DIFF, JobRef("diff", "x"))


# Events


@pytest.mark.parametrize(
    ("outcome", "state"), [("passed", "Done"), ("warned", "partial"), ("failed", "CANCELED"), ("failed", "x" * 40)]
)
def test_an_event_tells_how_the_job_ended(outcome: str, state: str) -> None:
    made = json.loads(json.dumps(finished(outcome, state).as_event({"a": 1}), allow_nan=False))

    result = JobWaitResult.from_event(made)

    assert (result.end, result.ref, result.state, result.memo) == (WaitEnd.FINISHED, REF, state, {"a": 1})
    assert result.report is not None
    assert (result.report.outcome, result.report.state) == (outcome, state)


REPORT = event()["report"]


@pytest.mark.parametrize(
    "changes",
    [
        {"report": None},
        {"report": {}},
        {"report": {**REPORT, "outcome": "running"}},
        {"report": {**REPORT, "outcome": "failed"}},
        {"report": {**REPORT, "outcome": "warned"}},
        {"report": {**REPORT, "state": "Failed"}},
        {"report": {**REPORT, "state": "Active"}},
        {"report": {**REPORT, "job_id": "another"}},
        {"end": "deadline"},
        {"end": None},
        {"end": "passed"},
        {"ref": None},
        {"ref": {**REF.as_dict(), "job_id": "another"}},
        {"ref": {**REF.as_dict(), "inputs": {"a": "b"}}},
        {"spec": None},
        {"spec": {**SPEC.as_dict(), "ref": {**REF.as_dict(), "job_id": "another"}}},
        {"spec": {**SPEC.as_dict(), "definition": thing(passed=("Failed",), failed=("Done",)).as_dict()}},
        {"elapsed": float("nan")},
        {"polls": "x"},
        {"version": 99},
        {"version": None},
    ],
)
def test_an_event_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        JobWaitResult.from_event(event(**changes))


@pytest.mark.parametrize("name", ["end", "spec", "ref", "report"])
def test_an_event_that_lacks_a_part_is_refused(name: str) -> None:
    made = event()
    del made[name]

    with pytest.raises(ValueError, match=r"."):
        JobWaitResult.from_event(made)


LARGE: list[JobDefinition] = [REALITY_MODELING, DIFF, TRANSFORMATION]


@pytest.mark.parametrize("job", LARGE, ids=[one.name for one in LARGE])
@pytest.mark.parametrize("text", ["x " * 5000, "\U0001f600 " * 5000, '"\\ ' * 5000])
def test_an_event_has_at_most_16_kib(job: JobDefinition, text: str) -> None:
    values = dict.fromkeys(job.stored_inputs, "i" * 500)
    spec = JobWaitSpec(job, JobRef(job.name, "j" * 500, values), began=WALL, deadline=WALL + 1)
    messages = [{"code": f"{number}{text}", "message": f"{number}{text}"} for number in range(200)]
    details = {
        "job": {"error": messages, **{f"member {number}": text for number in range(200)}},
        "transformation": {"errorMessage": messages},
    }
    snapshot = JobSnapshot(JobSummary(text[:40], "failed", 50.0), details, {"messages": {"errors": messages}}, details)
    result = JobWaitResult(spec, WaitEnd.FINISHED, spec.ref, text, snapshot, elapsed=1e6, polls=10**6)
    memo = {"asked_at": 1.79e9, "version": 1, "ref": spec.ref.as_dict(), "in_doubt": False, "known": None}

    assert len(json.dumps(result.as_event(memo))) <= 16 * 1024

    failure = ITwinServerError(text, message=text, hint=text)
    result = JobWaitResult(spec, WaitEnd.OUTAGE, spec.ref, text, error=failure, elapsed=1e6, polls=10**6)
    assert len(json.dumps(result.as_event(memo))) <= 16 * 1024
