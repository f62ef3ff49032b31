"""The Transformations API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from itwin_emulator import Emulator, ManualClock
from job_client import TRANSFORMATIONS, ask
from platform_client import Api, error_of

QUEUEING = {"Enable-Transformation-Queueing": "true"}


@pytest.fixture(autouse=True)
def _configuration(emulator: Emulator) -> None:
    emulator.add_imodel("source", "itwin")
    emulator.add_imodel("target", "itwin")
    emulator.add_transformation_configuration("source", "target", "configuration")


def start(api: Api, configuration: str = "configuration", headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = ask(api, "POST", TRANSFORMATIONS, {"configurationId": configuration}, headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["transformation"]
    return found


def get(api: Api, one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ask(api, "GET", TRANSFORMATIONS + one["id"]).json()["transformation"]
    return found


def test_a_transformation_pushes_a_changeset_to_its_target(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    (pushed,) = emulator.push_changesets("source")
    one = start(api)
    assert one["sourceChangeset"] == {"id": pushed, "index": 1}
    assert one["_links"]["configuration"]["href"].endswith("/transformations/configurations/configuration")
    statuses = []
    for _ in range(10):
        statuses.append(get(api, one)["status"])
        clock.advance(1)
    assert list(dict.fromkeys(statuses)) == ["Created", "Initializing", "Started"]
    done = get(api, one)
    assert (done["status"], done["errorMessage"]) == ("Succeeded", "")
    assert done["processedEntityCount"] == done["totalEntityCount"] > 0
    (changeset,) = emulator.changesets("target")
    assert done["lastTargetChangesetPushed"] == {"id": changeset["id"], "index": 1}
    assert changeset["pushDateTime"] == done["finishedDateTime"]
    start(api)
    clock.advance(10)
    assert len(emulator.changesets("target")) == 2


def test_a_transformation_fails(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.plan_job("transformation", "Failed", 60, error={"message": "No view.", "code": "17"})
    one = start(api)
    assert (one["errorMessage"], one["errorCode"], one["finishedDateTime"]) == ("", 0, None)
    clock.advance(1)
    failed = get(api, one)
    assert (failed["status"], failed["errorMessage"], failed["errorCode"]) == ("Failed", "No view.", 17)
    assert failed["lastTargetChangesetPushed"] is None
    assert emulator.changesets("target") == []
    assert report(emulator, api, one)["error"] == "No view."


def report(emulator: Emulator, api: Api, one: dict[str, Any]) -> dict[str, Any]:
    answer = ask(api, "GET", f"{TRANSFORMATIONS}{one['id']}/report")
    href = answer.json()["report"]["_links"]["download"]["href"]
    found: dict[str, Any] = requests.get(href, timeout=10).json()
    assert requests.get(href, headers={"Authorization": "Bearer x"}, timeout=10).status_code == 403
    assert len(emulator.token_leaks()) == 1
    assert "sig" not in str([entry.path for entry in emulator.request_log])
    return found


def test_the_report_is_behind_a_signed_url(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    one = start(api)
    early = ask(api, "GET", f"{TRANSFORMATIONS}{one['id']}/report")
    assert (early.status_code, error_of(early)["code"]) == (404, "ReportNotFound")
    clock.advance(10)
    assert report(emulator, api, one)["status"] == "Succeeded"


def test_an_ongoing_transformation_is_aborted(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    one = start(api)
    clock.advance(5)
    answer = ask(api, "DELETE", TRANSFORMATIONS + one["id"])
    assert (answer.status_code, answer.json()["transformation"]["status"]) == (200, "Aborted")
    clock.advance(10)
    aborted = get(api, one)
    assert aborted["status"] == "Aborted"
    assert aborted["processedEntityCount"] < aborted["totalEntityCount"]
    assert emulator.changesets("target") == []
    again = ask(api, "DELETE", TRANSFORMATIONS + one["id"])
    assert (again.status_code, error_of(again)["code"]) == (422, "InvalidTransformationsRequest")


def test_one_transformation_at_a_time_for_a_target(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.add_imodel("another", "itwin")
    emulator.add_transformation_configuration("another", "target", "same-target")
    emulator.add_transformation_configuration("source", "another", "other-target")
    start(api)
    conflict = ask(api, "POST", TRANSFORMATIONS, {"configurationId": "same-target"})
    assert (conflict.status_code, error_of(conflict)["target"]) == (409, "configurationId")
    start(api, "other-target")
    clock.advance(10)
    start(api, "same-target")


def test_a_queued_transformation_waits(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    first = start(api)
    second = start(api, headers=QUEUEING)
    third = start(api, headers=QUEUEING)
    assert second["status"] == "Created"
    emulator.quirks.queued_transformation = "Queued"
    clock.advance(9)
    assert [get(api, one)["status"] for one in (first, second, third)] == ["Started", "Queued", "Queued"]
    clock.advance(6)
    assert [get(api, one)["status"] for one in (first, second, third)] == ["Succeeded", "Started", "Queued"]
    ask(api, "DELETE", TRANSFORMATIONS + second["id"])
    assert get(api, third)["status"] == "Created"
    clock.advance(10)
    assert [get(api, one)["status"] for one in (first, second, third)] == ["Succeeded", "Aborted", "Succeeded"]


def test_lists_are_of_a_configuration_or_a_target(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    first = start(api)
    clock.advance(10)
    second = start(api)

    def listed(query: str, prefer: str = "minimal") -> list[dict[str, Any]]:
        answer = ask(api, "GET", f"{TRANSFORMATIONS}?{query}", headers={"Prefer": f"return={prefer}"})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["transformations"]
        return found

    assert [one["id"] for one in listed("configurationId=configuration")] == [second["id"], first["id"]]
    assert [one["id"] for one in listed("targetIModelId=target&OrderBy=createdDateTime")] == [first["id"], second["id"]]
    assert listed("targetIModelId=target&Status=Succeeded") == [{"id": first["id"], "status": "Succeeded"}]
    assert listed("targetIModelId=source") == []
    assert listed("targetIModelId=target&$top=1", "representation")[0]["_links"]["configuration"]
    for query in ("", "Status=Succeeded", "configurationId=x&Status=New", "configurationId=x&OrderBy=name"):
        answer = ask(api, "GET", f"{TRANSFORMATIONS}?{query}")
        assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidTransformationsRequest")


@pytest.mark.parametrize("body", [{}, {"configurationId": 5}, {"configurationId": ""}, [], None])
def test_an_invalid_body_is_rejected(api: Api, body: Any) -> None:
    answer = ask(api, "POST", TRANSFORMATIONS, body)
    assert answer.status_code == 422
    assert error_of(answer)["code"] in ("InvalidTransformationsRequest", "MissingRequestBody")


def test_the_queueing_header_is_checked(api: Api) -> None:
    headers = {"Enable-Transformation-Queueing": "perhaps"}
    answer = ask(api, "POST", TRANSFORMATIONS, {"configurationId": "configuration"}, headers)
    assert answer.status_code == 422


def test_unknown_ids_are_not_found(api: Api) -> None:
    for path in ("x", "x/report"):
        answer = ask(api, "GET", TRANSFORMATIONS + path)
        assert (answer.status_code, error_of(answer)["code"]) == (404, "TransformationNotFound")
    for answer in (
        ask(api, "POST", TRANSFORMATIONS, {"configurationId": "x"}),
        ask(api, "GET", f"{TRANSFORMATIONS}configurations/x"),
    ):
        assert (answer.status_code, error_of(answer)["code"]) == (404, "ConfigurationNotFound")


def test_a_configuration_is_returned(api: Api) -> None:
    found = ask(api, "GET", f"{TRANSFORMATIONS}configurations/configuration").json()["configuration"]
    assert found["_links"]["targetIModel"]["href"].endswith("/imodels/target")


def test_roles_count(emulator: Emulator, api: Api) -> None:
    one = start(api)
    reader = Api(emulator.url, *emulator.add_client(roles={"itwin": "reader"}))
    stranger = Api(emulator.url, *emulator.add_client())
    assert ask(reader, "GET", TRANSFORMATIONS + one["id"]).status_code == 200
    assert ask(reader, "DELETE", TRANSFORMATIONS + one["id"]).status_code == 403
    assert ask(reader, "POST", TRANSFORMATIONS, {"configurationId": "configuration"}).status_code == 403
    assert ask(stranger, "GET", TRANSFORMATIONS + one["id"]).status_code == 404
    assert ask(stranger, "POST", TRANSFORMATIONS, {"configurationId": "configuration"}).status_code == 404
    assert ask(api, "GET", TRANSFORMATIONS + one["id"], version=1).status_code == 406


def test_a_deleted_target_is_no_problem(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    one = start(api)
    assert api.call("DELETE", "/imodels/target", headers={"Accept": "*/*"}).status_code == 204
    clock.advance(10)
    assert get(api, one)["status"] == "Succeeded"
    assert get(api, one)["lastTargetChangesetPushed"] is None


def test_a_queue_can_be_long(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.plan_job("transformation", duration=60)
    first = start(api, headers=QUEUEING)
    previous = emulator.store.jobs.jobs[first["id"]]
    for number in range(3000):
        previous = replace(previous, id=f"{number:036x}", previous=previous)
    emulator.store.jobs.add(previous)
    assert get(api, {"id": previous.id})["status"] == "Created"
    clock.advance(3000.5)
    assert get(api, {"id": previous.id})["status"] == "Started"
