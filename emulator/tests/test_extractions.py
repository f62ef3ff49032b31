"""Extractions of the Grouping and Mapping API."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api, error_of

ROOT = "/grouping-and-mapping/datasources/imodel-mappings"
EXTRACTIONS = f"{ROOT}/extractions"


@pytest.fixture(autouse=True)
def _imodel(emulator: Emulator) -> None:
    emulator.add_imodel("model", "itwin")


def start(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post(EXTRACTIONS, {"iModelId": "model", "mappings": [{"id": "beams"}], **changes})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["extraction"]
    return found


def test_an_extraction_goes_through_its_states(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    one = start(api)
    assert (one["state"], one["startedOn"]) == ("Queued", "2026-05-28T20:26:40+00:00")
    assert one["_links"]["status"]["href"].endswith(f"{EXTRACTIONS}/{one['id']}")
    clock.advance(5)
    assert api.get(one["_links"]["status"]["href"]).json()["extraction"]["state"] == "Running"
    logs = api.get(one["_links"]["logs"]["href"]).json()
    assert [entry["state"] for entry in logs["logs"]] == ["Queued", "Running"]
    clock.advance(5)
    assert api.get(f"{EXTRACTIONS}/{one['id']}").json()["extraction"]["state"] == "Succeeded"
    last = api.get(f"{EXTRACTIONS}/{one['id']}/logs").json()["logs"][-1]
    assert last == {
        "state": "Succeeded",
        "dateTime": "2026-05-28T20:26:50+00:00",
        "contextType": "IModel",
        "contextId": "model",
        "level": "Information",
        "category": "StateChange",
        "message": "Completed.",
    }


def test_logs_have_pages(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    messages = [{"message": f"Group {number}.", "level": "warning", "title": "GroupQuery"} for number in range(4)]
    emulator.plan_job("extraction", "PartiallySucceeded", 0, messages=messages)
    one = start(api)
    url: str | None = f"{EXTRACTIONS}/{one['id']}/logs?$top=3"
    pages = []
    while url is not None:
        page = api.get(url).json()
        pages.append(page["logs"])
        assert page["_links"]["self"]["href"]
        url = page["_links"].get("next", {}).get("href")
        assert url is None or "$continuationToken=" in url
    assert [len(page) for page in pages] == [3, 3, 1]
    entries = [entry for page in pages for entry in page]
    assert [(entry["level"], entry["category"]) for entry in entries[2:6]] == [("Warning", "GroupQuery")] * 4
    assert entries[-1]["state"] == "PartiallySucceeded"
    for query in ("$top=0", "$top=1001", "$continuationToken=x"):
        assert api.get(f"{EXTRACTIONS}/{one['id']}/logs?{query}").status_code == 422


def test_a_failed_extraction_says_why(emulator: Emulator, api: Api) -> None:
    emulator.plan_job("extraction", "Failed", 0, error="The query is invalid.")
    one = start(api)
    last = api.get(f"{EXTRACTIONS}/{one['id']}/logs").json()["logs"][-1]
    assert (last["state"], last["level"], last["message"]) == ("Failed", "Error", "The query is invalid.")
    assert api.get(f"{ROOT}/beams/extractions/{one['id']}/cdm").status_code == 404


def test_extracted_data_is_in_partitions(api: Api, clock: ManualClock) -> None:
    one = start(api)
    cdm = f"{ROOT}/beams/extractions/{one['id']}/cdm"
    early = api.get(cdm)
    assert (early.status_code, error_of(early)["code"]) == (404, "ExtractedDataNotFound")
    clock.advance(10)
    model = api.get(cdm).json()
    (entity,) = model["entities"]
    assert (entity["$type"], entity["name"]) == ("LocalEntity", "beams")
    (partition,) = entity["partitions"]
    answer = api.get(f"{cdm}/partitions", params={"location": partition["location"]})
    assert answer.headers["Content-Type"] == "text/csv"
    assert len(answer.text.splitlines()[0].split(",")) == len(entity["attributes"])
    assert api.get(f"{cdm}/partitions", params={"location": "x"}).status_code == 404
    assert api.get(f"{cdm}/partitions").status_code == 422
    assert api.get(f"{ROOT}/columns/extractions/{one['id']}/cdm").status_code == 404


def test_lists_are_of_an_imodel_or_a_mapping(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.push_changesets("model")
    first = start(api)
    clock.advance(10)
    second = start(api, mappings=[{"id": "beams"}, {"id": "columns"}], ecInstanceIds=["0x1"])
    listed = api.get(f"{EXTRACTIONS}?iModelId=model&$top=1").json()
    assert [one["id"] for one in listed["extractions"]] == [second["id"]]
    following = api.get(listed["_links"]["next"]["href"]).json()
    assert [one["id"] for one in following["extractions"]] == [first["id"]]
    assert "next" not in following["_links"]
    of_mapping = api.get(f"{ROOT}/beams/extractions").json()["extractions"]
    assert [(one["extractionId"], one["changesetIndex"]) for one in of_mapping] == [(first["id"], 1)]
    assert api.get(of_mapping[0]["_links"]["cdm"]["href"]).status_code == 200
    assert api.get(EXTRACTIONS).status_code == 422
    assert error_of(api.get(f"{EXTRACTIONS}?iModelId=x"))["code"] == "iModelNotFound"


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"iModelId": None}, "iModelId"),
        ({"mappings": None}, "mappings"),
        ({"mappings": []}, "mappings"),
        ({"mappings": [{"id": 1}]}, "mappings"),
        ({"mappings": ["beams"]}, "mappings"),
        ({"ecInstanceIds": "0x1"}, "ecInstanceIds"),
        ({"changesetId": 1}, "changesetId"),
    ],
)
def test_an_invalid_body_is_rejected(api: Api, changes: dict[str, Any], target: str) -> None:
    answer = api.post(EXTRACTIONS, {"iModelId": "model", "mappings": [{"id": "beams"}], **changes})
    assert answer.status_code == 422
    assert [one["target"] for one in error_of(answer)["details"]] == [target]


def test_a_changeset_must_exist(emulator: Emulator, api: Api) -> None:
    (changeset,) = emulator.push_changesets("model")
    start(api, changesetId=changeset)
    for unknown in ("a" * 40, "1"):
        body = {"iModelId": "model", "mappings": [{"id": "beams"}], "changesetId": unknown}
        answer = api.post(EXTRACTIONS, body)
        assert (answer.status_code, error_of(answer)["code"]) == (404, "ChangesetNotFound")


def test_roles_and_unknown_ids(emulator: Emulator, api: Api) -> None:
    one = start(api)
    reader = Api(emulator.url, *emulator.add_client(roles={"itwin": "reader"}))
    stranger = Api(emulator.url, *emulator.add_client())
    assert reader.get(f"{EXTRACTIONS}/{one['id']}").status_code == 200
    assert reader.post(EXTRACTIONS, {"iModelId": "model", "mappings": [{"id": "b"}]}).status_code == 403
    hidden = stranger.get(f"{EXTRACTIONS}/{one['id']}")
    for answer in (hidden, api.get(f"{EXTRACTIONS}/x"), api.get(f"{EXTRACTIONS}/x/logs")):
        assert (answer.status_code, error_of(answer)["code"]) == (404, "ExtractionNotFound")
    missing = api.call("DELETE", f"{EXTRACTIONS}/{one['id']}")
    assert missing.status_code == 404
    assert error_of(missing)["code"] == "ResourceNotFound"
