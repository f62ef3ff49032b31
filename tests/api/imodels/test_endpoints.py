"""The calls of the iModels API: paths, headers, bodies, and what is refused before and after the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.imodels import endpoints
from airflow_provider_itwin.api.models.decoding import decoded
from airflow_provider_itwin.api.models.imodels import ChangesetPage, NamedVersionPage, SynchronizationInfo
from tests.api.responses import response
from tests.api.scripted_service import ScriptedService

API = "https://api.bentley.com/imodels"
V2 = "application/vnd.bentley.itwin-platform.v2+json"
CHANGESET = {"id": "c0ffee", "index": 3}
VERSION = {"id": "v1", "name": "Nightly", "changesetId": "c0ffee", "changesetIndex": 3}


def perform(call: Call[Any], *answers: Any) -> tuple[Any, ScriptedService]:
    script = ScriptedService(*answers)
    return script.play(perform_call(script.account(), call, retry_budget=0)), script


def test_a_list_of_changesets_has_its_bounds_in_the_query() -> None:
    call = endpoints.get_changesets("m1", 100, 200, "oldest first", after_index=5, last_index=9)

    _, script = perform(call, response(200, {"changesets": []}))

    assert script.lines == [f"GET {API}/m1/changesets?$top=100&$skip=200&afterIndex=5&lastIndex=9"]


def test_a_name_in_a_query_is_quoted() -> None:
    call = endpoints.get_named_versions("m1", 100, 0, "Nightly & 30 % ü")

    _, script = perform(call, response(200, {"namedVersions": []}))

    assert script.lines == [f"GET {API}/m1/namedversions?name=Nightly%20%26%2030%20%25%20%C3%BC&$top=100&$skip=0"]
    assert script.requests[0].headers["prefer"] == "return=representation"


def test_a_named_version_is_created_on_a_changeset() -> None:
    call = endpoints.create_named_version("m1", "Nightly", "C0FFEE", "Words")

    version, script = perform(call, response(201, {"namedVersion": VERSION}))

    [request] = script.requests
    assert (request.method, request.url) == ("POST", f"{API}/m1/namedversions")
    assert json.loads(request.body or b"") == {"name": "Nightly", "changesetId": "C0FFEE", "description": "Words"}
    assert (request.headers["accept"], request.headers["content-type"]) == (V2, "application/json")
    assert (version.id, version.changeset_index) == ("v1", 3)


@pytest.mark.parametrize("changeset_id", ["", "None", "a/b"])
def test_no_named_version_is_created_without_a_changeset(changeset_id: str) -> None:
    with pytest.raises(ITwinInputError, match="changeset_id"):
        endpoints.create_named_version("m1", "Nightly", changeset_id)


@pytest.mark.parametrize(
    "fields",
    [{"id": None}, {"id": "a/b"}, {"changesetId": None}, {"changesetId": "another"}, {"changesetId": 7}],
    ids=str,
)
def test_a_response_about_another_changeset_is_no_success(fields: dict[str, Any]) -> None:
    with pytest.raises(ITwinProtocolError, match="The response is a named version"):
        perform(
            endpoints.create_named_version("m1", "Nightly", "c0ffee"), response(201, {"namedVersion": VERSION | fields})
        )


@pytest.mark.parametrize("wanted", ["c0ffee", "C0FFEE", "3"])
def test_a_changeset_is_read_by_id_or_index(wanted: str) -> None:
    changeset, script = perform(endpoints.get_changeset("m1", wanted), response(200, {"changeset": CHANGESET}))

    assert changeset.id == "c0ffee"
    assert script.lines == [f"GET {API}/m1/changesets/{wanted}"]
    assert script.requests[0].headers["accept"] == V2


@pytest.mark.parametrize("fields", [{"id": "another", "index": 4}, {"id": None}], ids=str)
def test_another_changeset_than_the_requested_one_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ITwinProtocolError):
        perform(endpoints.get_changeset("m1", "c0ffee"), response(200, {"changeset": CHANGESET | fields}))


# Resources


def changeset_of(fields: dict[str, Any]) -> Any:
    [found] = decoded(json.dumps({"changesets": [fields]}).encode(), ChangesetPage).changesets or []
    return found


def test_a_changeset_has_the_documented_fields() -> None:
    changeset = changeset_of(
        {
            "id": "c0ffee",
            "displayName": "3",
            "description": "MSTN",
            "index": 3,
            "parentId": "beef",
            "creatorId": "someone",
            "pushDateTime": "2026-11-28T01:33:00.1234567Z",
            "state": "fileUploaded",
            "containingChanges": 5,
            "fileSize": 1024,
            "briefcaseId": 2,
            "groupId": "g",
            "application": {"id": "a"},
            "synchronizationInfo": {"taskId": "t", "changedFiles": ["Tower.dgn"]},
            "_links": {"self": {"href": "x"}},
        }
    )
    values = changeset.as_dict()
    assert values["push_date_time"] == "2026-11-28T01:33:00.123456+00:00"
    assert values["synchronization_info"] == {"task_id": "t", "changed_files": ["Tower.dgn"]}
    assert (values["containing_changes"], values["briefcase_id"], values["group_id"]) == (5, 2, "g")
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("nonsense", None),
        ({}, SynchronizationInfo()),
        ({"taskId": 7, "changedFiles": "x"}, SynchronizationInfo()),
        ({"taskId": "t", "changedFiles": [1]}, SynchronizationInfo(task_id="t")),
    ],
    ids=str,
)
def test_surprises_in_the_synchronization_lose_only_themselves(value: Any, expected: Any) -> None:
    changeset = changeset_of({"id": "c0ffee", "synchronizationInfo": value})
    assert (changeset.id, changeset.synchronization_info) == ("c0ffee", expected)


def test_a_named_version_has_the_documented_fields() -> None:
    page = {
        "namedVersions": [VERSION | {"createdDateTime": "2026-11-28T02:00:00Z", "state": "visible", "description": "d"}]
    }
    [version] = decoded(json.dumps(page).encode(), NamedVersionPage).named_versions or []
    values = version.as_dict()
    assert (values["changeset_id"], values["state"], values["description"]) == ("c0ffee", "visible", "d")
    assert values["created_date_time"] == "2026-11-28T02:00:00+00:00"


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00", "soon"])
def test_an_unreadable_time_is_none(text: str) -> None:
    assert changeset_of({"id": "c0ffee", "pushDateTime": text}).as_dict()["push_date_time"] is None
