"""Creating a named version once: lost responses, and every kind of conflict."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinConflictError,
    ITwinInputError,
    ITwinNamedVersionExistsError,
    ITwinPermissionError,
)
from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.imodels.named_version import NamedVersionResult, create_named_version
from tests.api.responses import SILENCE, error, response
from tests.api.scripted_service import ScriptedService

API = "https://api.bentley.com/imodels/m1/namedversions"
POST = f"POST {API}"
BY_NAME = f"GET {API}?name=Nightly&$top=100&$skip=0"
ALL = f"GET {API}?$top=100&$skip=0"

OURS = {"id": "v1", "name": "Nightly", "changesetId": "c0ffee", "changesetIndex": 3}
RENAMED = OURS | {"id": "v2", "name": "Milestone"}
ELSEWHERE = OURS | {"id": "v3", "changesetId": "beef", "changesetIndex": 2}
ON_BASELINE = OURS | {"id": "v4", "changesetId": None, "changesetIndex": 0}

EXISTS = error(409, "NamedVersionExists", "Named Version with the same name already exists.")
ON_CHANGESET = error(409, "NamedVersionOnChangesetExists", "Named Version already exists for the Changeset.")
NO_CODE = response(409)


def created(fields: dict[str, Any] = OURS) -> Response:
    return response(201, {"namedVersion": fields})


def listed(*versions: dict[str, Any]) -> Response:
    return response(200, {"namedVersions": list(versions), "_links": {}})


def create(script: ScriptedService, **arguments: Any) -> NamedVersionResult:
    return script.play(create_named_version(script.account(), "m1", "Nightly", "c0ffee", **arguments))


def test_a_named_version_is_created_with_one_request() -> None:
    script = ScriptedService(created())

    result = create(script)

    assert (result.version.id, result.created) == ("v1", True)
    assert script.lines == [POST]
    assert result.as_dict()["created"]


@pytest.mark.parametrize(
    "lost", [SILENCE, response(500), response(502, b"<html>"), response(201, b'{"namedVer')], ids=str
)
def test_after_a_lost_response_the_name_is_looked_up_before_the_request_is_repeated(lost: Any) -> None:
    script = ScriptedService(lost, listed(OURS))

    result = create(script)

    assert (result.version.id, result.created) == ("v1", False)
    assert script.lines == [POST, BY_NAME]


@pytest.mark.parametrize("found", [(), (ELSEWHERE | {"name": "Nightly 2"},)], ids=["nothing", "another name"])
def test_a_request_that_did_not_arrive_is_repeated(found: Any) -> None:
    script = ScriptedService(SILENCE, listed(*found), created())

    assert create(script).created
    assert script.lines == [POST, BY_NAME, POST]


def test_a_rate_limit_is_no_lost_response() -> None:
    script = ScriptedService(error(429, "RateLimitExceeded", retry_after="1"), created())

    assert create(script).created
    assert script.lines == [POST, POST]


@pytest.mark.parametrize("conflict", [EXISTS, ON_CHANGESET, NO_CODE], ids=["name", "changeset", "no code"])
@pytest.mark.parametrize("if_named", ["use", "fail"])
def test_our_name_on_our_changeset_is_a_success_whatever_the_conflict_is_called(
    conflict: Response, if_named: Any
) -> None:
    script = ScriptedService(conflict, listed(OURS))

    result = create(script, if_named=if_named)

    assert (result.version.id, result.created) == ("v1", False)


@pytest.mark.parametrize("spelling", [{"name": "NIGHTLY"}, {"changesetId": "C0FFEE"}, {"name": " Nightly "}], ids=str)
def test_letter_case_and_blanks_do_not_matter(spelling: dict[str, Any]) -> None:
    script = ScriptedService(EXISTS, listed(OURS | spelling))

    assert create(script).version.id == "v1"


def test_a_service_that_ignores_the_name_in_the_query_is_understood() -> None:
    others = [{"id": f"w{number}", "name": f"Other {number}", "changesetId": f"d{number}"} for number in range(100)]
    script = ScriptedService(EXISTS, listed(*others), listed(OURS))

    assert create(script).version.id == "v1"
    assert script.lines[1:] == [BY_NAME, BY_NAME.replace("$skip=0", "$skip=100")]


@pytest.mark.parametrize("conflict", [EXISTS, NO_CODE], ids=["name", "no code"])
@pytest.mark.parametrize("other", [ELSEWHERE, ON_BASELINE], ids=["elsewhere", "baseline"])
def test_our_name_on_another_changeset_is_an_error_that_names_both(conflict: Response, other: dict[str, Any]) -> None:
    script = ScriptedService(conflict, listed(other), listed(other))

    with pytest.raises(ITwinNamedVersionExistsError) as caught:
        create(script)

    text = str(caught.value)
    assert "Named version 'Nightly' was not created on changeset c0ffee of iModel m1" in text
    place = "changeset beef (index 2)" if other is ELSEWHERE else "the state before all changesets"
    assert f"this name belongs to {place}, as named version {other['id']}" in text
    assert "Choose a name that differs between runs" in text


@pytest.mark.parametrize("conflict", [ON_CHANGESET, NO_CODE], ids=["changeset", "no code"])
def test_another_name_on_our_changeset_is_used_with_a_warning(
    conflict: Response, caplog: pytest.LogCaptureFixture
) -> None:
    script = ScriptedService(conflict, listed(), listed(ELSEWHERE | {"name": "x"}, RENAMED))

    with caplog.at_level(logging.WARNING):
        result = create(script)

    assert (result.version.id, result.created) == ("v2", False)
    assert script.lines == [POST, BY_NAME, ALL]
    assert "changeset c0ffee of iModel m1 already has the named version 'Milestone' (v2)" in caplog.text


def test_another_name_on_our_changeset_is_an_error_on_request() -> None:
    script = ScriptedService(ON_CHANGESET, listed(), listed(RENAMED))

    with pytest.raises(ITwinNamedVersionExistsError, match="already has the named version 'Milestone'"):
        create(script, if_named="fail")


def test_the_code_decides_if_both_the_name_and_the_changeset_are_taken() -> None:
    script = ScriptedService(ON_CHANGESET, listed(ELSEWHERE), listed(ELSEWHERE, RENAMED))
    assert create(script).version.id == "v2"

    script = ScriptedService(EXISTS, listed(ELSEWHERE), listed(ELSEWHERE, RENAMED))
    with pytest.raises(ITwinNamedVersionExistsError, match="this name belongs to changeset beef"):
        create(script)


@pytest.mark.parametrize("conflict", [EXISTS, error(409, "AnotherUserPushing")], ids=["name", "something else"])
def test_a_conflict_that_the_lists_do_not_explain_can_be_retried(conflict: Response) -> None:
    script = ScriptedService(conflict, listed(), listed())

    with pytest.raises(ITwinConflictError, match="lists neither this name nor a named version of this changeset"):
        create(script)


def test_a_conflict_without_a_code_is_looked_up_even_without_retries() -> None:
    script = ScriptedService(NO_CODE, listed(OURS))

    assert create(script, retry_budget=0.0).version.id == "v1"


def test_a_refusal_is_not_looked_up() -> None:
    script = ScriptedService(error(403, "InsufficientPermissions"))

    with pytest.raises(ITwinPermissionError):
        create(script)


def test_a_hostile_name_of_the_service_is_shown_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    script = ScriptedService(
        ON_CHANGESET, listed(), listed(RENAMED | {"name": "a\nb\x1b[31m sig=MARKER " + "x" * 9999})
    )

    with caplog.at_level(logging.WARNING):
        create(script)

    [record] = caplog.records
    assert "MARKER" not in record.getMessage()
    assert len(record.getMessage()) < 700


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "x" * 256},
        {"name": ""},
        {"changeset_id": ""},
        {"imodel_id": "a/b"},
        {"description": "x" * 256},
        {"if_named": "rename"},
    ],
    ids=str,
)
def test_invalid_input_sends_nothing(arguments: dict[str, Any]) -> None:
    script = ScriptedService()
    given = {"imodel_id": "m1", "name": "Nightly", "changeset_id": "c0ffee"} | arguments

    with pytest.raises(ITwinInputError):
        script.play(create_named_version(script.account(), **given))
