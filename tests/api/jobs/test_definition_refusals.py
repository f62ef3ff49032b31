"""A definition that cannot work is refused where it is written, with a sentence that says why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from tests.api.jobs.job_apis import inputs, thing

OPERATION = "must be POST or PUT and a path, such as 'POST /jobs/{job_id}', not "
TEXT = JobInput(required=True)
SECRET = JobInput(secret=True, required=True)

REFUSALS: list[tuple[dict[str, Any], str]] = [
    # What it is called
    ({"name": ""}, "name must be what a job is called, in 1 to 60 characters"),
    ({"name": " "}, "name must be what a job is called, in 1 to 60 characters"),
    ({"name": 5}, "name must be what a job is called, in 1 to 60 characters"),
    ({"name": "x" * 61}, "name must be what a job is called, in 1 to 60 characters"),
    ({"name": "a\nb"}, "name must be what a job is called, in 1 to 60 characters"),
    ({"version": "2"}, "version must be 'v1', 'v2' and so on, not '2'"),
    ({"version": 2}, "version must be 'v1', 'v2' and so on, not 2"),
    ({"version": "v0"}, "version must be 'v1', 'v2' and so on, not 'v0'"),
    # Requests
    ({"start": "GET /things"}, f"start {OPERATION}'GET /things'"),
    ({"start": "POST things"}, f"start {OPERATION}'POST things'"),
    ({"start": "POST //evil.example/things"}, f"start {OPERATION}'POST //evil.example/things'"),
    ({"start": "POST https://evil.example/"}, f"start {OPERATION}'POST https://evil.example/'"),
    ({"start": "POST /a b"}, f"start {OPERATION}'POST /a b'"),
    ({"start": "POST /things#x"}, f"start {OPERATION}'POST /things#x'"),
    ({"start": 5}, "start must be a method and a path, such as 'GET /jobs/{job_id}', not 5 (int)"),
    ({"start": None}, "start must be a method and a path, such as 'GET /jobs/{job_id}', not None (NoneType)"),
    ({"start": "POST /things/{"}, "start is 'POST /things/{', in which Single '{' encountered in format string"),
    (
        {"start": "POST /{a.b}"},
        "start is 'POST /{a.b}'; braces contain the name of an input, or job_id, and nothing else",
    ),
    ({"start": "POST /{}"}, "start is 'POST /{}'; braces contain the name of an input, or job_id, and nothing else"),
    (
        {"start": "POST /{a:>99}", "inputs": inputs("a")},
        "start is 'POST /{a:>99}'; braces contain the name of an input, or job_id, and nothing else",
    ),
    (
        {"start": "POST /{a!r}", "inputs": inputs("a")},
        "start is 'POST /{a!r}'; braces contain the name of an input, or job_id, and nothing else",
    ),
    (
        {"start": "POST /things?{a}=1", "inputs": inputs("a")},
        "start is 'POST /things?{a}=1'; '{a}' is not the name of a query parameter",
    ),
    ({"start": "POST /things?a b=1"}, "start is 'POST /things?a b=1'; 'a b' is not the name of a query parameter"),
    ({"start": "POST /things/{job_id}"}, "start contains {job_id}, which is not an input of the job"),
    ({"start": "POST /things/{other}"}, "start contains {other}, which is not an input of the job"),
    ({"poll": "POST /things/{job_id}"}, "poll must be GET and a path, such as 'GET /jobs/{job_id}'"),
    ({"poll": "GET /things"}, "poll must contain {job_id}"),
    ({"poll": "GET /things/{other}/{job_id}"}, "poll contains {other}, which is not an input of the job"),
    ({"details": "GET /things"}, "details must contain {job_id}"),
    ({"messages": JobMessages(get="GET /things")}, "messages must contain {job_id}"),
    ({"result": "GET /things"}, "result must contain {job_id}"),
    ({"cancel": "DELETE /things"}, "cancel must contain {job_id}"),
    ({"cancel": "POST /cancel", "cancel_body": {"all": True}}, "cancel must contain {job_id}"),
    ({"cancel_body": {"id": "{job_id}"}}, "cancel_body has no effect without cancel"),
    ({"cancel": "DELETE /things/{job_id}", "cancel_body": [5]}, "cancel_body must be an object"),
    ({"body": None}, "body must be an object"),
    ({"body": [5]}, "body must be an object"),
    ({"body": {"a": float("nan")}}, "body must be an object"),
    ({"body": {"a": object()}}, "body must be an object"),
    # Inputs in URLs
    (
        {"start": "POST /{token}", "inputs": {"token": SECRET}},
        "start contains {token}, which is a secret: URLs are logged",
    ),
    (
        {"start": "POST /{label}", "inputs": {"label": TEXT}},
        "start contains {label} in its path, so its type must be 'id', 'index or id' or 'integer', not 'string'",
    ),
    (
        {"poll": "GET /things/{job_id}?label={label}", "inputs": {"label": TEXT}},
        "poll contains {label}, which is stored, so its type must be 'id', 'index or id' or 'integer', not 'string'",
    ),
    (
        {"start": "POST /things?a={a}", "inputs": {"a": JobInput(type="object", required=True)}},
        "start contains {a}, which is an object: only the body can contain it",
    ),
    (
        {"start": "POST /{a}", "inputs": {"a": JobInput(type="id")}},
        "start contains {a}, so the input must be required or have a default",
    ),
    (
        {"find": JobSearch(get="GET /things?a={a}", jobs="things"), "inputs": {"a": JobInput(type="id")}},
        "find contains {a}, so the input must be required or have a default",
    ),
    # States and JSON paths
    ({"passed": ()}, "passed must name the states of a job that has succeeded"),
    ({"passed": ("Done", 5)}, "passed must be states, such as ('Succeeded',), not ('Done', 5)"),
    ({"failed": ("",)}, "failed must be states, such as ('Succeeded',), not ('',)"),
    ({"running": 5}, "running must be states, such as ('Succeeded',), not 5"),
    ({"failed": ("dONE",)}, "the state 'dONE' is in passed and in failed"),
    ({"warned": (" Queued",)}, "the state 'Queued' is in running and in warned"),
    ({"id": "a..b"}, "id must be names of members separated by dots, as in 'job.state', not 'a..b'"),
    ({"id": 5}, "id must be names of members separated by dots, as in 'job.state', not 5"),
    ({"state": "a[0]"}, "state must be names of members separated by dots, as in 'job.state', not 'a[0]'"),
    ({"progress": "a b"}, "progress must be names of members separated by dots, as in 'job.state', not 'a b'"),
    ({"progress": ("a",)}, "progress must be a JSON path, or two: to a number and its total"),
    ({"progress": ("a", "b", "c")}, "progress must be a JSON path, or two: to a number and its total"),
    ({"progress": 5}, "progress must be a JSON path, or two: to a number and its total"),
    ({"result": "a/b"}, "result must be names of members separated by dots, as in 'job.state', not 'a/b'"),
    ({"result": 5}, "result must be names of members separated by dots, as in 'job.state', not 5"),
    ({"messages": JobMessages(errors=("a b",))}, "messages must be names of members separated by dots"),
    ({"messages": {"errors": ["a"]}}, "messages must be JobMessages, not "),
    ({"find": {"get": "GET /things"}}, "find must be JobSearch, not "),
    # Finding
    ({"find": JobSearch(get="GET /things/{job_id}", jobs="t")}, "find contains {job_id}, which is not an input"),
    ({"find": JobSearch(get="GET /things", jobs="")}, "find must be names of members separated by dots"),
    (
        {"find": JobSearch(get="GET /things", jobs="t", same={"a": "nothing"})},
        "find compares with the input 'nothing', which the job does not have",
    ),
    ({"conflict": "ignore"}, "conflict must be 'fail' or 'adopt', not 'ignore'"),
    ({"conflict": "adopt"}, "conflict='adopt' needs find, which finds the equal job"),
    ({"repeatable": "no"}, "repeatable must be True or False, not 'no'"),
    # Inputs
    ({"inputs": ["a"]}, "inputs must be a dict of JobInput by name, not ['a'] (list)"),
    ({"inputs": {"a": "string"}}, "input 'a' must be a JobInput, not 'string' (str)"),
    ({"inputs": {"iModelId": JobInput()}}, "input 'iModelId' must be in lower case, with underscores between words"),
    ({"inputs": {"a_": JobInput()}}, "input 'a_' must be in lower case, with underscores between words"),
    ({"inputs": {5: JobInput()}}, "input 5 must be in lower case, with underscores between words"),
    ({"inputs": {"job_id": JobInput()}}, "An input cannot be named 'job_id'"),
    ({"inputs": {"a": JobInput(type="date")}}, "input 'a' has the type 'date'; expected one of string, id"),  # type: ignore[arg-type]
    ({"inputs": {"a": JobInput(place="cookie")}}, "input 'a' has the place 'cookie'; expected one of body"),  # type: ignore[arg-type]
    ({"inputs": {"a": JobInput(member="x y")}}, "member of input 'a' must be names of members separated by dots"),
    ({"inputs": {"a": JobInput(place="header", member="x:y")}}, "which is not the name of a header"),
    (
        {"inputs": {"a": JobInput(place="header", member="Authorization")}},
        "input 'a' is sent as the header 'Authorization', which every request has already",
    ),
    (
        {"inputs": {"a": JobInput(place="query", member="a&b")}},
        "input 'a' is sent as 'a&b', which is not the name of a query parameter",
    ),
    (
        {"inputs": {"a": JobInput(place="header", type="object")}},
        "input 'a' is an object, which can only be in the body",
    ),
    (
        {"inputs": {"a": JobInput(place="query", secret=True)}},
        "input 'a' is a secret, so it must not be in a URL: URLs are logged",
    ),
    ({"inputs": {"a": JobInput(secret=True, default="x")}}, "input 'a' is a secret, so it cannot have a default"),
    ({"inputs": {"a": JobInput(type="integer", default="x")}}, "a must be an integer, not 'x' (str)"),
    ({"inputs": {"a": JobInput(values=(5,))}}, "input 'a' has values that are no text: (5,)"),  # type: ignore[arg-type]
    ({"inputs": {"a": JobInput(shortest="3")}}, "input 'a' has the shortest length '3', which is not a number"),  # type: ignore[arg-type]
    ({"inputs": {"a": JobInput(place="path")}}, "input 'a' has the place 'path', but no request contains {a}"),
    (
        {"inputs": {"a": JobInput(member="x"), "b": JobInput(member="x")}},
        "the inputs 'a' and 'b' are the same member of the body, or one is in the other: x and x",
    ),
    (
        {"inputs": {"a": JobInput(member="x.y"), "b": JobInput(member="x")}},
        "the inputs 'a' and 'b' are the same member of the body, or one is in the other: x.y and x",
    ),
    (
        {"inputs": {"a": JobInput(member="x.y")}, "body": {"x": 5}},
        "input 'a' is the member x.y of the body, where body has a value already",
    ),
    (
        {"inputs": {"a": JobInput(member="x")}, "body": {"x": {"y": 5}}},
        "input 'a' is the member x of the body, where body has a value already",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))])
def test_a_definition_that_cannot_work_is_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ITwinInputError, match=re.escape(sentence)) as refusal:
        thing(**changes)
    assert str(refusal.value).startswith(f"JobDefinition {changes.get('name', 'thing')!r}: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "PUT /things?kind=a b"},
        {"start": "POST /{{a}}"},
        {"failed": ()},
        {"passed": "Done"},
        {"id": "Location"},
        {"id": "_links.self.href"},
        {"progress": ("a", "b")},
        {"messages": JobMessages(errors="error")},  # type: ignore[arg-type]
        {"cancel": "POST /cancel", "cancel_body": {"jobs": ["{job_id}"], "operation": "cancel"}},
        {"inputs": inputs("a", b=JobInput(member="x.y"), c=JobInput(member="x.z")), "body": {"x": {"w": 1}}},
        {"inputs": inputs(a=JobInput(type="index or id", default=1)), "start": "POST /{a}"},
        {"inputs": inputs(a=JobInput(type="string", required=True)), "start": "POST /things?$filter=a eq '{a}'"},
    ],
)
def test_a_definition_that_works_is_accepted(changes: dict[str, Any]) -> None:
    assert thing(**changes).name == "thing"


def test_one_path_for_messages_is_a_path_and_not_its_letters() -> None:
    assert JobMessages(errors="error", warnings=["a", "b"]) == JobMessages(  # type: ignore[arg-type]
        errors=("error",), warnings=("a", "b")
    )
