"""The requests of a job: what is sent, and what is read from the responses."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Request
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.jobs import calls
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput, parse_inputs
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.jobs import (
    DIFF,
    EXTRACTION,
    REALITY_ANALYSIS,
    REALITY_CONVERSION,
    REALITY_MODELING,
    TRANSFORMATION,
)
from tests.api.jobs.job_apis import API, REF, created, inputs, state, thing
from tests.api.responses import response
from tests.api.scripted_service import ScriptedService

SETTINGS = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def sent(call: Call[Any], *answers: Any) -> tuple[Request, Any]:
    """Perform a call; return its request and its result."""
    script = ScriptedService(*answers)
    result = script.play(perform_call(script.account(), call, 0))
    return script.requests[0], result


def started(job: JobDefinition, *answers: Any, **given: Any) -> tuple[Request, Any]:
    """Perform the start request of a job."""
    return sent(calls.start_job(job, parse_inputs(job.inputs, given, job.name)), *(answers or [created()]))


def test_a_start_has_the_version_and_the_inputs_in_their_places() -> None:
    job = thing(
        start="POST /itwins/{itwin_id}/things?fixed=a b&kind={kind}",
        version="v3",
        body={"options": {"fast": True}},
        inputs=inputs(
            "itwin_id",
            "imodel_id",
            kind=JobInput(default="A&B"),
            limit=JobInput(type="integer", member="options.limit"),
            deep=JobInput(type="array", member="x.y.z"),
            dry=JobInput(type="boolean", place="query"),
            queueing=JobInput(type="boolean", place="header", member="Enable-Queueing"),
            unused=JobInput(),
        ),
    )

    request, job_id = started(job, itwin_id="i1", imodel_id="m1", limit="5", deep="[1]", dry="true", queueing=False)

    assert job_id == "t1"
    assert (request.method, request.url) == ("POST", f"{API}/itwins/i1/things?fixed=a%20b&kind=A%26B&dry=true")
    assert request.headers["accept"] == "application/vnd.bentley.itwin-platform.v3+json"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["enable-queueing"] == "false"
    assert json.loads(request.body or b"") == {
        "iModelId": "m1",
        "options": {"fast": True, "limit": 5},
        "x": {"y": {"z": [1]}},
    }


def test_a_start_leaves_the_definition_unchanged() -> None:
    job = thing(body={"options": {"list": [1]}}, inputs={"a": JobInput(member="options.a")})

    started(job, a="x")

    assert started(job)[0].body == b'{"options":{"list":[1]}}'


@pytest.mark.parametrize(
    ("job", "given", "method_and_url", "body"),
    [
        (TRANSFORMATION, {"configuration_id": "c1"}, "POST /transformations/", {"configurationId": "c1"}),
        (
            DIFF,
            {"itwin_id": "i", "imodel_id": "m", "start_changeset": "3", "end_changeset": "ab"},
            "POST /changedelements/diff",
            {
                "iTwinId": "i",
                "iModelId": "m",
                "startChangeset": 3,
                "endChangeset": "ab",
                "diffingPlan": {"strategy": "Basic"},
            },
        ),
        (
            EXTRACTION,
            {"imodel_id": "m", "mappings": '[{"id": "x"}]', "ec_instance_ids": ["0x1"]},
            "POST /grouping-and-mapping/datasources/imodel-mappings/extractions",
            {"iModelId": "m", "mappings": [{"id": "x"}], "ecInstanceIds": ["0x1"]},
        ),
        (
            REALITY_MODELING,
            {"itwin_id": "i", "type": "calibration", "specifications": {"inputs": {}}, "name": "abc"},
            "POST /reality-modeling/jobs",
            {"iTwinId": "i", "type": "Calibration", "specifications": {"inputs": {}}, "name": "abc"},
        ),
    ],
)
def test_the_start_of_a_shipped_definition_is_as_documented(
    job: JobDefinition, given: dict[str, Any], method_and_url: str, body: dict[str, Any]
) -> None:
    *parents, last = job.id.split(".")
    answer: Any = {last: "j1"}
    for name in reversed(parents):
        answer = {name: answer}

    request, job_id = started(job, response(201, answer), **given)

    assert f"{request.method} {request.url}" == method_and_url.replace(" ", f" {API}")
    assert json.loads(request.body or b"") == body
    assert job_id == "j1"
    assert request.headers["accept"].endswith(f".{job.version}+json")


SEARCHED = thing(
    inputs={"name": JobInput(required=True), "itwin_id": JobInput(type="id", required=True)},
    find=JobSearch(
        get="GET /things?$filter=iTwinId eq '{itwin_id}' and name eq '{name}'&top=5&plain={name}", jobs="things"
    ),
)


def listing(**values: Any) -> Request:
    assert SEARCHED.find is not None
    return sent(calls.list_jobs(SEARCHED, SEARCHED.find, values), response(200, {"things": []}))[0]


@pytest.mark.parametrize("body", [{}, [], {"things": None}, {"things": {}}, {"jobs": []}, "things"])
def test_a_response_without_a_list_does_not_count_as_an_empty_list(body: Any) -> None:
    assert SEARCHED.find is not None
    call = calls.list_jobs(SEARCHED, SEARCHED.find, {"itwin_id": "i1", "name": "x"})

    with pytest.raises(ITwinProtocolError, match="The response to list of thing has no list at things"):
        sent(call, response(200, body))


@pytest.mark.parametrize("job", [REALITY_MODELING, REALITY_ANALYSIS, REALITY_CONVERSION], ids=lambda job: job.name)
def test_the_filter_of_reality_jobs_has_ids_without_quotes(job: JobDefinition) -> None:
    # As in the examples of the documentation; a name can contain blanks.
    assert job.find is not None
    call = calls.list_jobs(job, job.find, {"itwin_id": "i1", "name": "Bridge 7"})

    request, _ = sent(call, response(200, {"jobs": []}))

    assert parse_qsl(urlsplit(request.url).query) == [("$filter", "iTwinId eq i1 and name eq 'Bridge 7'")]


def test_a_quote_in_a_filter_is_doubled() -> None:
    request = listing(itwin_id="i1", name="O'Hara' or 1 eq 1 or name eq 'x")

    assert dict(parse_qsl(urlsplit(request.url).query)) == {
        "$filter": "iTwinId eq 'i1' and name eq 'O''Hara'' or 1 eq 1 or name eq ''x'",
        "top": "5",
        "plain": "O'Hara' or 1 eq 1 or name eq 'x",
    }


@SETTINGS
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_no_input_can_change_the_query(name: str) -> None:
    url = listing(itwin_id="i1", name=name).url

    assert url.isascii()
    pairs = [pair.partition("=") for pair in urlsplit(url).query.split("&")]
    assert [key for key, _, _ in pairs] == ["$filter", "top", "plain"]
    assert unquote(pairs[2][2]) == name
    text = unquote(pairs[0][2]).removeprefix("iTwinId eq 'i1' and name eq '").removesuffix("'")
    assert text.replace("''", "'") == name
    assert text.count("'") % 2 == 0


@SETTINGS
@given(st.text(max_size=8) | st.sampled_from(["..", ".", "a/../b", "%2e%2e", "a?x", "a#x", "\\", "//", "a;b", "ü"]))
def test_no_input_can_change_the_path(value: str) -> None:
    job = thing(start="POST /a/{one}/b", inputs=inputs("one"))
    try:
        request, _ = started(job, one=value)
    except ITwinInputError:
        return
    before, _, after = request.url.removeprefix(f"{API}/a/").rpartition("/")
    assert (unquote(before), after) == (value, "b")
    assert "/" not in before
    assert before not in (".", "..")
    assert urlsplit(request.url).query == ""


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("thing.id", created("j-1"), "j-1"),
        ("thing.id", created(17), "17"),
        ("thing.id", created(f"{API}/things/j1"), "j1"),
        ("thing.id", created("/things/j%2D1/?x=1#y"), "j-1"),
        ("_links.status.href", response(202, {"_links": {"status": {"href": f"{API}/things/j1?a=b"}}}), "j1"),
        ("Location", response(202, location=f"{API}/things/j1"), "j1"),
        ("Location", response(201, b"no JSON", location="/things/j1/"), "j1"),
    ],
)
def test_the_id_is_read_from_json_a_link_or_location(path: str, answer: Any, expected: str) -> None:
    assert started(thing(id=path), answer)[1] == expected


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("thing.id", created(None)),
        ("thing.id", created("")),
        ("thing.id", created(True)),
        ("thing.id", created(1.5)),
        ("thing.id", created([])),
        ("thing.id", created("a b")),
        ("thing.id", created("../x y")),
        ("thing.id", created("https://host/things/..")),
        ("thing.id", created("https://[bad/x")),
        ("thing.id", created("x" * 600)),
        ("thing.id", created("a\u202eb")),
        ("thing.id", created("https://host")),
        ("thing.id", response(202, [])),
        ("thing.id", response(202, {"thing": [{"id": "x"}]})),
        ("thing.id", response(204)),
        ("thing.id", response(202, b"<html>")),
        ("thing.id", response(202, b'{"thing": {"id": ' + b"9" * 5000 + b"}}")),
        ("thing.id", response(202, b"[" * 100_000)),
        ("thing.id", response(202, b"[" + b"1," * 300_000 + b"1]")),
        ("Location", response(202, {"thing": {"id": "x"}})),
        ("Location", response(202, location="")),
    ],
)
def test_a_response_without_an_id_is_a_protocol_error(path: str, answer: Any) -> None:
    with pytest.raises(ITwinProtocolError) as failure:
        started(thing(id=path), answer)

    assert len(str(failure.value)) < 600


def test_a_text_that_is_not_valid_utf8_does_not_hide_the_rest() -> None:
    answer = response(200, b'{"thing":{"state":"Done","note":"\xff \\ud800"}}')

    assert sent(calls.poll_job(thing(), REF), answer)[1] == (
        {"thing": {"state": "Done", "note": "\ufffd \ufffd"}},
        "Done",
    )


def test_a_poll_contains_the_stored_inputs() -> None:
    ref = JobRef("diff", "j/1".replace("/", "-"), {"itwin_id": "i1", "imodel_id": "m1"})

    request, _ = sent(calls.poll_job(DIFF, ref), response(200, {"job": {"status": "Queued"}}))

    assert request.url == f"{API}/changedelements/diff/j-1?iTwinId=i1&iModelId=m1"
    assert request.headers["accept"] == "application/vnd.bentley.itwin-platform.v3+json"
    assert request.body is None
    assert "content-type" not in request.headers


@pytest.mark.parametrize(
    "answer",
    [state(None), state(5), state(" "), state(["Done"]), response(200, []), response(200, {}), response(204)],
)
def test_a_poll_without_a_state_is_a_protocol_error(answer: Any) -> None:
    with pytest.raises(ITwinProtocolError):
        sent(calls.poll_job(thing(), REF), answer)


def test_a_job_is_canceled_by_its_path() -> None:
    request, _ = sent(calls.cancel_job(REALITY_MODELING, REF), response(204))

    assert (request.method, request.url, request.body) == ("DELETE", f"{API}/reality-modeling/jobs/t1", None)


def test_a_job_is_canceled_by_its_id_in_the_body() -> None:
    body = {"jobs": ["{job_id}"], "operation": "cancel", "nested": {"a": ["x-{job_id}", 5, None]}}
    job = thing(cancel="POST /things/cancel", cancel_body=body)

    request, _ = sent(calls.cancel_job(job, REF), response(200, b"anything"))

    assert json.loads(request.body or b"") == {
        "jobs": ["t1"],
        "operation": "cancel",
        "nested": {"a": ["x-t1", 5, None]},
    }


def test_a_job_that_cannot_be_canceled_is_refused() -> None:
    with pytest.raises(ValueError, match="The thing cannot be canceled"):
        calls.cancel_job(thing(), REF)
