"""Diff jobs of the Changed Elements API."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from itwin_emulator import Emulator, ManualClock
from job_client import ask
from platform_client import Api, error_of

DIFF = "/changedelements/diff"
SCOPE = "iTwinId=itwin&iModelId=model"


@pytest.fixture(autouse=True)
def changesets(emulator: Emulator) -> list[str]:
    emulator.add_imodel("model", "itwin")
    return emulator.push_changesets("model", 5)


def body(**changes: Any) -> dict[str, Any]:
    plan = {"strategy": "VersionCompare"}
    given = {"iTwinId": "itwin", "iModelId": "model", "startChangeset": 2, "endChangeset": 4, "diffingPlan": plan}
    return {name: value for name, value in (given | changes).items() if value is not None}


def start(api: Api, **changes: Any) -> dict[str, Any]:
    answer = ask(api, "POST", DIFF, body(**changes), version=3)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()["job"]
    return job


def get(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    answer = ask(api, "GET", f"{DIFF}/{job['jobId']}?{SCOPE}", version=3)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["job"]
    return found


def test_a_job_ends_with_a_signed_url(emulator: Emulator, api: Api, clock: ManualClock, changesets: list[str]) -> None:
    job = start(api)
    assert job == {
        "jobId": job["jobId"],
        "status": "Queued",
        "iTwinId": "itwin",
        "iModelId": "model",
        "startChangesetIndex": 2,
        "endChangesetIndex": 4,
        "startChangesetId": changesets[1],
        "endChangesetId": changesets[3],
        "diffingPlan": {"strategy": "VersionCompare"},
    }
    clock.advance(5)
    started = get(api, job)
    assert (started["status"], started["completedAgents"], started["totalAgents"]) == ("Started", 2, 4)
    clock.advance(5)
    done = get(api, job)
    assert done["status"] == "Completed"
    content = requests.get(done["href"], timeout=10).json()["changedElements"]
    assert len(content["elements"]) == len(content["opcodes"]) == len(content["type"]) == 12
    assert set(content["opcodes"]) == {9, 18, 23}
    assert emulator.token_leaks() == []
    assert requests.get(done["href"], headers={"Authorization": "Bearer x"}, timeout=10).status_code == 403
    assert len(emulator.token_leaks()) == 1
    clock.advance(3700)
    assert requests.get(done["href"], timeout=10).status_code == 403
    api.renew()
    assert requests.get(get(api, job)["href"], timeout=10).status_code == 200


def test_a_job_fails_with_an_error_object(emulator: Emulator, api: Api, clock: ManualClock) -> None:
    emulator.plan_job("changed-elements", "Failed", 60, error={"message": "Too large.", "code": "DiffTooLarge"})
    job = start(api)
    clock.advance(1)
    failed = get(api, job)
    assert (failed["status"], failed["error"]) == ("Failed", {"code": "DiffTooLarge", "message": "Too large."})
    assert "href" not in failed


def test_changesets_have_ids_and_indexes(api: Api, changesets: list[str]) -> None:
    by_id = start(api, startChangeset=changesets[0], endChangeset=changesets[4].upper())
    assert (by_id["startChangesetIndex"], by_id["endChangesetIndex"]) == (1, 5)
    older = body(startChangeset=None, endChangeset=None, startChangesetIndex=1, endChangesetIndex=1)
    assert ask(api, "POST", DIFF, older, version=3).status_code == 202


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"iTwinId": None}, "iTwinId"),
        ({"iModelId": 5}, "iModelId"),
        ({"startChangeset": None}, "startChangeset"),
        ({"startChangeset": 0}, "startChangeset"),
        ({"endChangeset": 6}, "endChangeset"),
        ({"endChangeset": "a" * 40}, "endChangeset"),
        ({"endChangeset": "2"}, "endChangeset"),
        ({"endChangeset": True}, "endChangeset"),
        ({"startChangeset": 5}, "startChangeset"),
        ({"endChangeset": None, "endChangesetIndex": "a" * 40}, "endChangesetIndex"),
        ({"endChangesetIndex": 0}, "endChangesetIndex"),
        ({"diffingPlan": None}, "diffingPlan"),
        ({"diffingPlan": {}}, "diffingPlan"),
        ({"diffingPlan": {"strategy": "Quick"}}, "diffingPlan"),
        ({"diffingPlan": {"pipeline": []}}, "diffingPlan"),
        ({"diffingPlan": {"pipeline": [{}], "strategy": "Full"}}, "diffingPlan"),
    ],
)
def test_an_invalid_body_is_rejected(api: Api, changes: dict[str, Any], target: str) -> None:
    answer = ask(api, "POST", DIFF, body(**changes), version=3)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "InvalidChangedElementsRequest")
    assert [one["target"] for one in error["details"]] == [target]


def test_a_body_that_is_no_object_is_rejected(api: Api) -> None:
    assert ask(api, "POST", DIFF, [], version=3).status_code == 400
    assert ask(api, "POST", DIFF, version=3).status_code == 400


def test_equal_jobs_are_a_conflict_until_the_first_is_deleted(api: Api, clock: ManualClock) -> None:
    job = start(api)
    conflict = ask(api, "POST", DIFF, body(startChangeset=None, startChangesetIndex=2), version=3)
    assert (conflict.status_code, error_of(conflict)["code"]) == (409, "DiffJobAlreadyExists")
    start(api, diffingPlan={"pipeline": [{"step": "x"}]})
    clock.advance(10)
    href = get(api, job)["href"]
    for _ in range(2):
        assert ask(api, "DELETE", f"{DIFF}/{job['jobId']}?{SCOPE}", version=3).status_code == 204
    answer = ask(api, "GET", f"{DIFF}/{job['jobId']}?{SCOPE}", version=3)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "DiffJobNotFound")
    assert requests.get(href, timeout=10).status_code == 404
    start(api)


def test_lists_are_filtered(api: Api, changesets: list[str]) -> None:
    first = start(api)
    second = start(api, startChangeset=1, diffingPlan={"strategy": "Basic"})

    def listed(query: str) -> list[str]:
        answer = ask(api, "GET", f"{DIFF}?{SCOPE}&{query}", version=3)
        assert answer.status_code == 200, answer.text
        return [one["jobId"] for one in answer.json()["jobs"]]

    assert listed("") == [second["jobId"], first["jobId"]]
    assert listed("startChangesetIndex=2&endChangesetIndex=4") == [first["jobId"]]
    assert listed(f"startChangeset={changesets[0]}") == [second["jobId"]]
    assert listed("diffingStrategy=versioncompare") == [first["jobId"]]
    assert listed("endChangeset=1") == []
    summary = ask(api, "GET", f"{DIFF}?{SCOPE}&startChangeset=1", version=3).json()["jobs"][0]
    assert summary["diffingStrategy"] == "basic"
    assert "diffingPlan" not in summary


@pytest.mark.parametrize(
    "query",
    ["startChangeset=x", f"startChangesetIndex={'9' * 5000}", "endChangesetIndex=0", "diffingStrategy=x", "iTwinId="],
)
def test_an_invalid_query_is_rejected(api: Api, query: str) -> None:
    answer = ask(api, "GET", f"{DIFF}?{SCOPE}&{query}", version=3)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "InvalidChangedElementsRequest")


def test_the_query_of_a_job_is_required(api: Api) -> None:
    job = start(api)
    for path in (f"{DIFF}/{job['jobId']}", f"{DIFF}/{job['jobId']}?iTwinId=itwin", f"{DIFF}/a b?{SCOPE}"):
        assert ask(api, "GET", path, version=3).status_code == 400
    other = f"{DIFF}/{job['jobId']}?iTwinId=other&iModelId=model"
    assert ask(api, "GET", other, version=3).status_code == 403
    assert ask(api, "GET", f"{DIFF}/{job['jobId']}?{SCOPE}", version=2).status_code == 406


def test_roles_count(emulator: Emulator, api: Api) -> None:
    job = start(api)
    reader = Api(emulator.url, *emulator.add_client(roles={"itwin": "reader"}))
    stranger = Api(emulator.url, *emulator.add_client())
    # Reading is enough, as the documentation says.
    start(reader, startChangeset=1)
    for method, path in (("GET", f"{DIFF}/{job['jobId']}"), ("DELETE", f"{DIFF}/{job['jobId']}"), ("GET", DIFF)):
        assert ask(stranger, method, f"{path}?{SCOPE}", version=3).status_code == 403
    assert ask(stranger, "POST", DIFF, body(), version=3).status_code == 403
    assert get(api, job)["status"] == "Queued"


def test_a_scripted_404_has_the_code_of_the_api(emulator: Emulator, api: Api) -> None:
    job = start(api)
    emulator.fail("get-diff-job", status=404)
    answer = ask(api, "GET", f"{DIFF}/{job['jobId']}?{SCOPE}", version=3)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "DiffJobNotFound")
