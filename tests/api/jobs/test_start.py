"""Starting a job once: lost responses, equal jobs, refusals, and what is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinConnectionError,
    ITwinError,
    ITwinInputError,
    ITwinInvalidRequestError,
    ITwinJobStartInDoubtError,
    ITwinPermissionError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.messages import Token
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.start import JobStart, StartedJob, ensure_job
from tests.api.jobs.job_apis import API, created, inputs, thing
from tests.api.responses import SILENCE, error, response
from tests.api.scripted_service import ScriptedService

GIVEN = {"imodel_id": "M1", "name": "night"}
PLAIN = thing(inputs=inputs("imodel_id", name=JobInput(required=True)))
REPEATABLE = thing(inputs=PLAIN.inputs, repeatable=True)
SEARCH = JobSearch(
    get="GET /things?imodel={imodel_id}", jobs="things", same={"name": "name", "options.imodelId": "imodel_id"}
)
FOUND = thing(inputs=PLAIN.inputs, find=SEARCH)
ADOPTED = thing(inputs=PLAIN.inputs, find=SEARCH, conflict="adopt")
LIST, POST = f"GET {API}/things?imodel=M1", f"POST {API}/things"
LOST = [SILENCE, error(500), error(503), error(504), response(502, b"<html>"), response(202, {}), response(202, b"?")]
EACH_LOSS = pytest.mark.parametrize("lost", LOST, ids=["reset", "500", "503", "504", "502", "no id", "no JSON"])


def listed(*ids: str, **changes: Any) -> Any:
    """Make the response to the request for the list."""
    entry = {"name": "night", "options": {"imodelId": "m1"}, **changes}
    return response(200, {"things": [{"id": one, **entry} for one in ids]})


def start(
    script: ScriptedService,
    job: JobDefinition,
    known: JobStart | None = None,
    save: Callable[[JobStart], None] = lambda start: None,
    **given: Any,
) -> StartedJob:
    """Start a job."""
    return script.play(ensure_job(script.account(), job, {**GIVEN, **given}, known, save))


def posts(script: ScriptedService) -> int:
    """Return how many requests have started a job."""
    return sum(request.method == "POST" for request in script.requests)


def test_a_job_is_started_by_one_request() -> None:
    script = ScriptedService(created())

    assert start(script, PLAIN) == StartedJob(JobRef("thing", "t1"), "created")
    assert script.lines == [POST]


def test_the_reference_has_the_inputs_of_later_requests() -> None:
    job = thing(inputs=inputs("imodel_id", "other", name=JobInput()), poll="GET /m/{imodel_id}/things/{job_id}")

    assert start(ScriptedService(created()), job, other="o").ref == JobRef("thing", "t1", {"imodel_id": "M1"})


@pytest.mark.parametrize(
    "given", [{"imodel_id": "a/b"}, {"imodel_id": None}, {"name": ""}, {"other": 1}, {"name": "\ud800"}]
)
def test_invalid_inputs_are_refused_before_anything_is_saved_or_sent(given: dict[str, Any]) -> None:
    saved: list[JobStart] = []

    with pytest.raises(ITwinInputError):
        start(ScriptedService(), FOUND, save=saved.append, **given)

    assert saved == []


def test_the_start_is_saved_in_doubt_before_the_request() -> None:
    saved: list[JobStart] = []
    before: list[JobStart] = []

    def answer(_: Any) -> Any:
        before.extend(saved)
        return created()

    start(ScriptedService(listed("old"), answer), FOUND, save=saved.append)

    assert saved == before == [JobStart(in_doubt=True, known=("old",))]


# A lost response, and a list in which the job can be found


@EACH_LOSS
def test_a_lost_job_is_found_in_the_list(lost: Any) -> None:
    script = ScriptedService(listed("old"), lost, listed("new", "old"))

    assert start(script, FOUND) == StartedJob(JobRef("thing", "new"), "found")
    assert script.lines == [LIST, POST, LIST]


@EACH_LOSS
def test_a_job_that_is_not_in_the_list_is_started_again(lost: Any) -> None:
    script = ScriptedService(listed("old"), lost, listed("old"), created("t2"))

    assert start(script, FOUND) == StartedJob(JobRef("thing", "t2"), "created")
    assert script.lines == [LIST, POST, LIST, POST]


@pytest.mark.parametrize(
    "changes", [{"name": "another"}, {"options": {"imodelId": "m2"}}, {"options": None}, {"name": None}]
)
def test_a_job_with_other_inputs_is_not_found(changes: dict[str, Any]) -> None:
    script = ScriptedService(listed(), SILENCE, listed("new", **changes), created())

    assert start(script, FOUND).outcome == "created"


@pytest.mark.parametrize("changes", [{"name": "NIGHT"}, {"options": {"imodelId": "M1"}}])
def test_a_job_whose_inputs_are_spelled_otherwise_is_found(changes: dict[str, Any]) -> None:
    script = ScriptedService(listed(), SILENCE, listed("new", **changes))

    assert start(script, FOUND).ref.job_id == "new"


@pytest.mark.parametrize("service", [5, "5", 5.0])
@pytest.mark.parametrize("own", [5, "5"])
def test_a_number_is_compared_as_the_text_of_it(service: Any, own: Any) -> None:
    job = thing(
        inputs={"first": JobInput(type="index or id", required=True)},
        find=JobSearch(get="GET /things", jobs="things", same={"first": "first"}),
    )
    script = ScriptedService(listed(), SILENCE, listed("new", first=service))

    started = script.play(ensure_job(script.account(), job, {"first": own}))

    assert started.ref.job_id == "new"


def test_two_new_jobs_are_no_answer() -> None:
    script = ScriptedService(listed(), SILENCE, listed("a", "b"))

    with pytest.raises(ITwinJobStartInDoubtError, match=r"2 equal jobs were started: a, b\."):
        start(script, FOUND)

    assert posts(script) == 1


@pytest.mark.parametrize("answer", [error(403), response(200, {}), response(200, {"things": {}}), SILENCE, error(500)])
def test_a_list_that_cannot_be_read_does_not_count_as_one_without_the_job(answer: Any) -> None:
    script = ScriptedService(listed(), SILENCE, always=answer)
    saved: list[JobStart] = []

    with pytest.raises(ITwinError):
        start(script, FOUND, save=saved.append)

    assert posts(script) == 1
    assert saved[-1] == JobStart(in_doubt=True, known=())


@pytest.mark.parametrize("status", [403, 404])
def test_a_list_that_may_not_be_read_does_not_prevent_the_start(status: int) -> None:
    script = ScriptedService(error(status), created())
    assert start(script, FOUND).outcome == "created"

    script = ScriptedService(error(status), SILENCE)
    with pytest.raises(ITwinJobStartInDoubtError):
        start(script, FOUND)


def test_refused_credentials_prevent_the_start() -> None:
    script = ScriptedService(error(401), error(401))

    with pytest.raises(ITwinAuthenticationError):
        start(script, FOUND)

    assert posts(script) == 0


def test_the_list_is_read_once_more_when_the_time_for_retries_is_over() -> None:
    script = ScriptedService(listed(), SILENCE, listed("new"))
    flow = ensure_job(script.account(), FOUND, GIVEN, retry_budget=0)

    assert script.play(flow) == StartedJob(JobRef("thing", "new"), "found")

    script = ScriptedService(listed(), SILENCE, listed())
    with pytest.raises(ITwinJobStartInDoubtError):
        script.play(ensure_job(script.account(), FOUND, GIVEN, retry_budget=0))
    assert posts(script) == 1


# A lost response without a list


@EACH_LOSS
def test_a_lost_job_that_cannot_be_found_is_not_started_again(lost: Any) -> None:
    script = ScriptedService(lost)
    saved: list[JobStart] = []

    with pytest.raises(ITwinJobStartInDoubtError, match="It is unknown whether the thing was started: ") as failure:
        start(script, PLAIN, save=saved.append)

    assert "Check whether the thing runs" in str(failure.value)
    assert saved[-1] == JobStart(in_doubt=True)


@EACH_LOSS
def test_a_repeatable_job_is_started_again(lost: Any) -> None:
    script = ScriptedService(lost, lost, created())

    assert start(script, REPEATABLE).outcome == "created"
    assert script.lines == [POST] * 3


def test_a_repeatable_job_fails_with_the_error_of_the_service() -> None:
    with pytest.raises(ITwinServerError):
        start(ScriptedService(always=error(503)), REPEATABLE)


@pytest.mark.parametrize("answer", [error(429), error(429, retry_after="3")])
def test_a_request_that_was_too_early_is_repeated(answer: Any) -> None:
    script = ScriptedService(answer, created())

    assert start(script, PLAIN).outcome == "created"


# No request was sent


def test_a_token_that_cannot_be_fetched_leaves_no_doubt() -> None:
    script = ScriptedService(tokens=[ITwinConnectionError("No token", url="https://ims.bentley.com/connect/token")])
    saved: list[JobStart] = []

    with pytest.raises(ITwinConnectionError):
        start(script, PLAIN, save=saved.append)

    assert script.requests == []
    assert saved[-1] == JobStart(in_doubt=False)


def test_a_token_that_cannot_be_fetched_after_a_lost_response_leaves_the_doubt() -> None:
    broken = ITwinConnectionError("No token", url="https://ims.bentley.com/connect/token")
    script = ScriptedService(
        listed(), SILENCE, listed(), error(401), listed(), tokens=[Token("t", renew_at=1e9), broken]
    )
    saved: list[JobStart] = []

    with pytest.raises(ITwinJobStartInDoubtError):
        start(script, FOUND, save=saved.append)

    assert saved[-1].in_doubt


# Refusals


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([error(403)], ITwinPermissionError),
        ([error(422)], ITwinInvalidRequestError),
        ([error(409)], ITwinConflictError),
        ([error(401), error(401)], ITwinAuthenticationError),
    ],
)
@pytest.mark.parametrize("job", [PLAIN, FOUND, REPEATABLE])
def test_a_refusal_ends_the_doubt(answers: list[Any], kind: type[Exception], job: JobDefinition) -> None:
    before = [listed("old")] if job.find else []
    saved: list[JobStart] = []

    with pytest.raises(kind):
        start(ScriptedService(*before, *answers), job, save=saved.append)

    assert [one.in_doubt for one in saved] == [True, False]


def test_a_refusal_after_a_lost_response_leaves_the_doubt() -> None:
    script = ScriptedService(listed(), SILENCE, listed(), error(403))
    saved: list[JobStart] = []

    with pytest.raises(ITwinPermissionError):
        start(script, FOUND, save=saved.append)

    assert saved[-1] == JobStart(in_doubt=True, known=())


# 409


def test_an_equal_job_is_used() -> None:
    script = ScriptedService(listed(), error(409), listed("there"))

    assert start(script, ADOPTED) == StartedJob(JobRef("thing", "there"), "found")


def test_a_409_without_an_equal_job_is_an_error() -> None:
    saved: list[JobStart] = []

    with pytest.raises(ITwinConflictError):
        start(ScriptedService(listed("x", name="y"), error(409), listed("x", name="y")), ADOPTED, save=saved.append)

    assert not saved[-1].in_doubt


# A start that a previous attempt of the task has stored


def test_a_stored_start_that_is_not_in_doubt_begins_anew() -> None:
    script = ScriptedService(listed("old", "older"), created())
    saved: list[JobStart] = []

    start(script, FOUND, JobStart(known=("gone",)), saved.append)

    assert saved == [JobStart(in_doubt=True, known=("old", "older"))]


def test_the_job_of_a_stored_start_is_found_without_a_request() -> None:
    script = ScriptedService(listed("old", "new"))

    assert start(script, FOUND, JobStart(in_doubt=True, known=("old",))).ref.job_id == "new"
    assert script.lines == [LIST]


def test_a_stored_start_without_a_job_starts_one() -> None:
    script = ScriptedService(listed("old"), created())

    assert start(script, FOUND, JobStart(in_doubt=True, known=("old",))).outcome == "created"
    assert script.lines == [LIST, POST]


@pytest.mark.parametrize(("job", "known"), [(PLAIN, None), (PLAIN, ()), (FOUND, None)])
def test_a_stored_doubt_that_cannot_be_settled_sends_nothing(job: JobDefinition, known: tuple[str, ...] | None) -> None:
    script = ScriptedService()

    with pytest.raises(ITwinJobStartInDoubtError):
        start(script, job, JobStart(in_doubt=True, known=known))


def test_a_stored_doubt_about_a_repeatable_job_is_none() -> None:
    assert start(ScriptedService(created()), REPEATABLE, JobStart(in_doubt=True)).outcome == "created"


@pytest.mark.parametrize("one", [JobStart(), JobStart(in_doubt=True), JobStart(in_doubt=True, known=("a", "b"))])
def test_a_start_survives_json(one: JobStart) -> None:
    assert JobStart.from_dict(one.as_dict()) == one
    assert JobStart.from_dict({**one.as_dict(), "added_later": 5}) == one


@pytest.mark.parametrize(
    "values",
    [None, 5, [], {}, {"in_doubt": 1}, {"in_doubt": True, "known": "ab"}, {"in_doubt": True, "known": [None]}],
)
def test_anything_else_is_no_start(values: Any) -> None:
    with pytest.raises(ITwinInputError, match="The stored start of a job is unreadable"):
        JobStart.from_dict(values)
