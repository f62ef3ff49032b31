"""Definitions of jobs: what their states mean, and their JSON form."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_itwin import jobs
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from tests.api.jobs.job_apis import USUAL, inputs, thing

SHIPPED = [one for one in vars(jobs).values() if isinstance(one, JobDefinition)]
EACH_SHIPPED = pytest.mark.parametrize("job", SHIPPED, ids=[one.name for one in SHIPPED])
SETTINGS = settings(max_examples=100, deadline=None, derandomize=True, database=None)

FULL = thing(
    start="POST /things/{itwin_id}?kind={kind}",
    inputs=inputs(
        "itwin_id",
        kind=JobInput(values=("A", "B"), default="A", place="query"),
        limit=JobInput(type="integer", default=5, member="options.limit", shortest=1, help="how many"),
        token=JobInput(secret=True, required=True, place="header", member="X-Token"),
    ),
    version="v2",
    body={"options": {"fast": True}, "list": [1, "a", None]},
    progress=("thing.done", "thing.total"),
    details="GET /things/{job_id}/all?itwin={itwin_id}",
    messages=JobMessages(get="GET /things/{job_id}/messages", errors=("errors",), warnings=("warnings", "logs")),
    result="GET /things/{job_id}/report",
    cancel="POST /things/cancel",
    cancel_body={"ids": ["{job_id}"]},
    find=JobSearch(get="GET /things?itwin={itwin_id}", jobs="things", same={"kind": "kind"}),
    conflict="adopt",
    repeatable=True,
    url="https://developer.bentley.com/",
)

TEXTS = st.text("abcdefgh", min_size=1, max_size=6)
JSON_PATHS = st.lists(TEXTS, min_size=1, max_size=3).map(".".join)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
DEFINITIONS = st.builds(
    thing,
    name=TEXTS,
    version=st.sampled_from(["v1", "v2", "v10"]),
    state=JSON_PATHS,
    id=JSON_PATHS | st.just("Location"),
    progress=st.none() | JSON_PATHS | st.tuples(JSON_PATHS, JSON_PATHS),
    running=st.lists(st.text("qrstuvw", min_size=1), max_size=3).map(tuple),
    body=st.dictionaries(st.text("xyz", min_size=1, max_size=3), JSON, max_size=3),
    inputs=st.dictionaries(
        TEXTS,
        st.builds(
            JobInput,
            type=st.sampled_from(["string", "id", "integer", "object"]),
            required=st.booleans(),
            shortest=st.integers(0, 5),
            help=st.text(max_size=20),
        ),
        max_size=3,
    ),
    messages=st.none() | st.builds(JobMessages, errors=st.lists(JSON_PATHS, max_size=2).map(tuple)),
    find=st.none() | st.builds(JobSearch, get=st.just("GET /things?$filter=a eq 'b'"), jobs=JSON_PATHS, id=JSON_PATHS),
    repeatable=st.booleans(),
)


def through_json(job: JobDefinition) -> JobDefinition:
    """Return a definition as a trigger of another process gets it."""
    return JobDefinition.from_dict(json.loads(json.dumps(job.as_dict(), allow_nan=False)))


@pytest.mark.parametrize("job", [*SHIPPED, FULL, thing()], ids=lambda one: one.name)
def test_a_definition_survives_json(job: JobDefinition) -> None:
    assert through_json(job) == job
    assert pickle.loads(pickle.dumps(job)) == job


@SETTINGS
@given(DEFINITIONS)
def test_any_definition_survives_json(job: JobDefinition) -> None:
    again = through_json(job)

    assert again == job
    assert again.as_dict() == job.as_dict()


@EACH_SHIPPED
def test_equal_definitions_are_one_object(job: JobDefinition) -> None:
    assert through_json(job) is through_json(replace(job))
    assert JobDefinition.from_dict(dict(reversed(job.as_dict().items()))) is through_json(job)
    assert through_json(job) is not through_json(replace(job, repeatable=not job.repeatable))


def test_definitions_that_differ_in_a_switch_only_are_different() -> None:
    one, other = thing(body={"a": 1}), thing(body={"a": True})

    assert json.dumps(through_json(one).as_dict()) != json.dumps(through_json(other).as_dict())


@EACH_SHIPPED
def test_the_definition_of_a_later_version_is_read_as_far_as_it_is_known(job: JobDefinition) -> None:
    def grown(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {**{name: grown(one) for name, one in value.items()}, "added_later": {"a": [1]}}

    stored = job.as_dict()
    later = {**stored, "added_later": 5, "inputs": {name: grown(one) for name, one in stored["inputs"].items()}}
    for name in ("messages", "find"):
        if name in stored:
            later[name] = {**stored[name], "added_later": None}

    assert JobDefinition.from_dict(later) == JobDefinition.from_dict(stored)


@pytest.mark.parametrize("name", ["name", "start", "poll", "id", "state", "passed", "failed"])
def test_a_stored_definition_that_lacks_a_part_is_refused(name: str) -> None:
    stored = thing().as_dict()
    del stored[name]

    with pytest.raises(ITwinInputError, match=f"incomplete or unreadable.*'{name}'"):
        JobDefinition.from_dict(stored)


@pytest.mark.parametrize("stored", [None, 5, "thing", [], [["name", "x"]], {}, {1: 2, "a": 3}])
def test_anything_else_is_no_definition(stored: Any) -> None:
    with pytest.raises(ITwinInputError):
        JobDefinition.from_dict(stored)


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from([*USUAL, "inputs", "messages", "find", "progress", "body", "result", "cancel"]), JSON
    )
)
def test_any_stored_values_are_a_definition_or_refused(changes: dict[str, Any]) -> None:
    try:
        job = JobDefinition.from_dict({**thing().as_dict(), **changes})
    except ITwinInputError:
        return
    assert through_json(job) == job


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("Done", "passed"),
        ("DONE", "passed"),
        (" done\n", "passed"),
        ("canceled", "failed"),
        ("pARTIAL", "warned"),
        ("queued", "running"),
        ("Cancelled", None),
        ("", None),
        (None, None),
        ("Done!", None),
    ],
)
def test_states_are_compared_without_case(state: str | None, outcome: str | None) -> None:
    assert thing().outcome_of(state) == outcome


def test_blanks_around_the_states_of_a_definition_do_not_matter() -> None:
    assert thing(passed=[" Done "]).outcome_of("done") == "passed"


def test_the_inputs_of_requests_after_the_start_are_stored() -> None:
    assert FULL.stored_inputs == ("itwin_id",)
    assert jobs.DIFF.stored_inputs == ("itwin_id", "imodel_id")
    assert jobs.TRANSFORMATION.stored_inputs == ()


def test_the_value_of_no_secret_is_in_a_stored_definition() -> None:
    assert FULL.as_dict()["inputs"]["token"] == {
        "required": True,
        "secret": True,
        "place": "header",
        "member": "X-Token",
    }
