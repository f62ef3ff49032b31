"""Jobs of Reality Modeling, Analysis and Conversion."""

from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from job_client import REALITY, ask, reality_body, start_reality
from platform_client import Api, error_of

pytestmark = pytest.mark.parametrize("kind", REALITY)


@pytest.fixture(autouse=True)
def _itwin(emulator: Emulator) -> None:
    emulator.add_itwin("itwin")


def job_of(api: Api, kind: str, job_id: str, part: str = "") -> dict[str, Any]:
    answer = ask(api, "GET", f"/{kind}/jobs/{job_id}{part}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(iter(answer.json().values()))
    return found


def test_a_job_goes_through_its_states(api: Api, clock: ManualClock, kind: str) -> None:
    job = start_reality(api, kind)
    assert (job["state"], job["name"], job["iTwinId"]) == ("Queued", "Nightly", "itwin")
    assert set(job["executionInfo"]) == {"createdDateTime"}
    clock.advance(5)
    progress = job_of(api, kind, job["id"], "/progress")
    assert progress == {"state": "Active", "percentage": 50}
    assert "startedDateTime" in job_of(api, kind, job["id"])["executionInfo"]
    clock.advance(5)
    done = job_of(api, kind, job["id"])
    assert done["state"] == "Success"
    assert set(done["executionInfo"]) == {"createdDateTime", "startedDateTime", "endedDateTime", "processingUnits"}
    assert job_of(api, kind, job["id"], "/progress") == {"state": "Success", "percentage": 100}
    assert job_of(api, kind, job["id"], "/messages") == {"errors": [], "warnings": []}


def test_outputs_become_ids(api: Api, kind: str) -> None:
    job = start_reality(api, kind)
    outputs = job["specifications"]["outputs"]
    assert set(outputs) == {"scene", "report"}
    assert outputs == job_of(api, kind, job["id"])["specifications"]["outputs"]
    assert len(set(outputs.values())) == 2
    exports = {"exports": [{"format": "3MX"}], "scene": True, "path": "kept"}
    specifications = {"inputs": {}, "outputs": exports}
    listed = start_reality(api, kind, specifications=specifications)["specifications"]["outputs"]
    assert listed["exports"][0]["format"] == "3MX"
    assert len(listed["exports"][0]["location"]) == len(listed["scene"]) == 36
    assert listed["path"] == "kept"


def test_a_job_fails_with_its_messages(emulator: Emulator, api: Api, clock: ManualClock, kind: str) -> None:
    emulator.plan_job(
        kind,  # type: ignore[arg-type]
        "Failed",
        times=1,
        messages=[
            {"message": "No photos.", "code": "NoPhotos", "title": "Photos", "params": ["a"]},
            {"message": "Few tie points.", "level": "warning", "code": "FewTiePoints"},
            {"message": "Not for this API.", "level": "information"},
        ],
    )
    job = start_reality(api, kind)
    clock.advance(9.8)
    assert job_of(api, kind, job["id"])["state"] == "TerminatingOnFailure"
    assert job_of(api, kind, job["id"], "/messages") == {"errors": [], "warnings": []}
    clock.advance(0.3)
    assert job_of(api, kind, job["id"])["state"] == "Failed"
    assert job_of(api, kind, job["id"], "/progress")["percentage"] < 100
    messages = job_of(api, kind, job["id"], "/messages")
    assert messages["errors"] == [
        {"code": "NoPhotos", "title": "Photos", "message": "No photos.", "params": ["a"]},
    ]
    assert [one["code"] for one in messages["warnings"]] == ["FewTiePoints"]
    clock.advance(1)
    assert start_reality(api, kind)["state"] == "Queued"


def test_an_error_is_a_message_unless_the_plan_has_messages(
    emulator: Emulator, api: Api, clock: ManualClock, kind: str
) -> None:
    emulator.plan_job(kind, "Failed", 60, error={"message": "Out of memory.", "code": "Memory"})  # type: ignore[arg-type]
    job = start_reality(api, kind)
    clock.advance(1)
    (error,) = job_of(api, kind, job["id"], "/messages")["errors"]
    assert (error["code"], error["message"]) == ("Memory", "Out of memory.")


def test_a_running_job_is_cancelled(api: Api, clock: ManualClock, kind: str) -> None:
    job = start_reality(api, kind)
    clock.advance(5)
    answer = ask(api, "DELETE", f"/{kind}/jobs/{job['id']}")
    assert (answer.status_code, answer.json()["job"]["state"]) == (200, "TerminatingOnCancel")
    again = ask(api, "DELETE", f"/{kind}/jobs/{job['id']}")
    assert again.status_code == 422
    clock.advance(0.5)
    ended = job_of(api, kind, job["id"])
    assert ended["state"] == "Cancelled"
    assert "endedDateTime" in ended["executionInfo"]
    assert job_of(api, kind, job["id"], "/progress") == {"state": "Cancelled", "percentage": 50}
    assert job_of(api, kind, job["id"], "/messages")["errors"] == []


def test_an_ended_job_cannot_be_cancelled(api: Api, clock: ManualClock, kind: str) -> None:
    job = start_reality(api, kind)
    clock.advance(10)
    answer = ask(api, "DELETE", f"/{kind}/jobs/{job['id']}")
    assert answer.status_code == 422
    assert error_of(answer)["message"] == "Cannot cancel job."
    assert job_of(api, kind, job["id"])["state"] == "Success"


@pytest.mark.parametrize(
    ("changes", "targets"),
    [
        ({"name": "ab"}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"iTwinId": None}, ["iTwinId"]),
        ({"type": None}, ["type"]),
        ({"specifications": None}, ["specifications"]),
        ({"specifications": []}, ["specifications"]),
        ({"specifications": {"inputs": "x"}}, ["specifications"]),
        ({"iTwinId": 1, "type": None, "name": ""}, ["iTwinId", "type", "name"]),
    ],
)
def test_an_invalid_body_is_rejected(api: Api, kind: str, changes: dict[str, Any], targets: list[str]) -> None:
    answer = ask(api, "POST", f"/{kind}/jobs", reality_body(kind, **changes))
    error = error_of(answer)
    assert answer.status_code == 422
    assert error["code"] == f"Invalid{kind.title().replace('-', '')}Request"
    assert [one["target"] for one in error["details"]] == targets


def test_a_body_that_is_no_object_is_malformed(api: Api, kind: str) -> None:
    for data in (b"", b"{", b"[]"):
        answer = api.call("POST", f"/{kind}/jobs", data=data, headers={"Accept": "*/*"})
        assert answer.status_code == 400
        assert error_of(answer)["code"] in ("MissingRequestBody", f"Invalid{kind.title().replace('-', '')}Request")


def test_a_type_of_another_api_is_rejected(api: Api, kind: str) -> None:
    other = "Objects2D" if kind == "reality-modeling" else "Production"
    answer = ask(api, "POST", f"/{kind}/jobs", reality_body(kind, type=other))
    # The types of conversions are not documented.
    assert answer.status_code == (201 if kind == "reality-conversion" else 400)


@pytest.mark.parametrize("part", ["", "/progress", "/messages"])
def test_an_unknown_job_is_not_found(api: Api, kind: str, part: str) -> None:
    other = next(one for one in REALITY if one != kind)
    elsewhere = start_reality(api, other)["id"]
    for job_id in ("x", elsewhere):
        answer = ask(api, "GET", f"/{kind}/jobs/{job_id}{part}")
        assert answer.status_code == 404
        assert error_of(answer) == {"code": "JobNotFound", "message": "Requested job is not available."}


def test_roles_count(emulator: Emulator, api: Api, kind: str) -> None:
    job = start_reality(api, kind)
    reader = Api(emulator.url, *emulator.add_client(roles={"itwin": "reader"}))
    stranger = Api(emulator.url, *emulator.add_client())
    assert ask(reader, "GET", f"/{kind}/jobs/{job['id']}").status_code == 200
    assert ask(reader, "DELETE", f"/{kind}/jobs/{job['id']}").status_code == 403
    assert ask(reader, "POST", f"/{kind}/jobs", reality_body(kind)).status_code == 403
    assert ask(stranger, "GET", f"/{kind}/jobs/{job['id']}").status_code == 404
    hidden = ask(stranger, "POST", f"/{kind}/jobs", reality_body(kind))
    assert (hidden.status_code, error_of(hidden)["code"]) == (404, "iTwinNotFound")


def test_the_version_and_the_token_are_required(api: Api, kind: str) -> None:
    assert ask(api, "GET", f"/{kind}/jobs/x", version=1).status_code == 406
    answer = api.call("GET", f"/{kind}/jobs/x", headers={"Authorization": None})
    assert (answer.status_code, error_of(answer)["code"]) == (401, "HeaderNotFound")


def test_lists_are_filtered(emulator: Emulator, api: Api, clock: ManualClock, kind: str) -> None:
    emulator.add_itwin("other")
    first = start_reality(api, kind, name="It's one")
    clock.advance(10)
    second = start_reality(api, kind, iTwinId="other")

    def ids_of(text: str, **query: str) -> list[str]:
        answer = api.get(f"/{kind}/jobs", params={"$filter": text, **query}, headers={"Accept": "*/*"})
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["jobs"]]

    assert ids_of("iTwinId eq itwin") == [first["id"]]
    assert ids_of("state eq Success or state eq 'Queued'") == [second["id"], first["id"]]
    assert ids_of("state eq Success and iTwinId eq other") == []
    assert ids_of(f"id eq {first['id']} or id eq '{second['id']}'") == [second["id"], first["id"]]
    assert ids_of(f"email eq {emulator.client_id}@apps.imsoidc.bentley.com") == [second["id"], first["id"]]
    assert ids_of("name eq 'It''s one'") == [first["id"]]
    assert ids_of(f"createdDateTime gt {first['executionInfo']['createdDateTime']}") == [second["id"]]
    assert ids_of(f"type ne {first['type']}") == []
    everywhere = emulator.add_client(everywhere=True)
    stranger = Api(emulator.url, *everywhere)
    own = stranger.get(f"/{kind}/jobs", params={"$filter": "state ne x"}, headers={"Accept": "*/*"})
    assert own.json() == {"jobs": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "state",
        "state eq",
        "state is x",
        "color eq red",
        "state eq a b",
        "state in a",
        "state in (a",
        "userId eq x",
        "id eq 'x",
    ],
)
def test_an_invalid_filter_is_rejected(api: Api, kind: str, text: str) -> None:
    answer = api.get(f"/{kind}/jobs", params={"$filter": text}, headers={"Accept": "*/*"})
    assert answer.status_code == 422
    assert error_of(answer)["details"][0]["target"] == "$filter"


def test_only_conversions_have_the_operator_in(api: Api, kind: str) -> None:
    job = start_reality(api, kind)
    text = f"id in ('{job['id']}', x) and iTwinId eq itwin"
    answer = api.get(f"/{kind}/jobs", params={"$filter": text}, headers={"Accept": "*/*"})
    if kind == "reality-conversion":
        assert [one["id"] for one in answer.json()["jobs"]] == [job["id"]]
    else:
        assert answer.status_code == 422


def test_a_filter_is_required(api: Api, kind: str) -> None:
    answer = ask(api, "GET", f"/{kind}/jobs")
    assert (answer.status_code, error_of(answer)["details"][0]["code"]) == (422, "MissingRequiredParameter")


def test_pages_have_continuation_tokens(api: Api, kind: str) -> None:
    started = [start_reality(api, kind)["id"] for _ in range(5)]
    url: str | None = f"/{kind}/jobs?$filter=iTwinId eq itwin&$top=2"
    found: list[str] = []
    pages = 0
    while url is not None:
        page = api.get(url, headers={"Accept": "*/*"}).json()
        found += [one["id"] for one in page["jobs"]]
        pages += 1
        url = page.get("_links", {}).get("next", {}).get("href")
    assert (sorted(found), pages) == (sorted(started), 3)
    for query in ("$top=1", "$top=1001", "$top=x", "continuationToken=nonsense", "continuationToken=%C3%BC"):
        assert api.get(f"/{kind}/jobs?$filter=iTwinId eq itwin&{query}", headers={"Accept": "*/*"}).status_code == 422


def test_states_and_progress_are_scripted(emulator: Emulator, api: Api, clock: ManualClock, kind: str) -> None:
    emulator.plan_job(
        kind,  # type: ignore[arg-type]
        "Vanished",
        600,
        states=[("Pondering", 0.5), ("Active", 0.5)],
        progress=[0, 40, 40, 7],
    )
    job = start_reality(api, kind)
    seen = []
    for _ in range(5):
        progress = job_of(api, kind, job["id"], "/progress")
        seen.append((progress["state"], progress["percentage"]))
        clock.advance(2.5)
    assert seen == [("Pondering", 0), ("Pondering", 40), ("Active", 40), ("Active", 7), ("Vanished", 7)]


def test_secrets_in_inputs_are_hidden(emulator: Emulator, api: Api, kind: str) -> None:
    inputs = {
        "accessToken": "s3cret-1",
        "list": ["https://x.example/blob?sig=s3cret-2", "Bearer s3cret-3"],
        "header": "eyJhbGciOi.s3cret-4.x",
        "scene": "kept",
    }
    job = start_reality(api, kind, specifications={"inputs": inputs})
    assert job["specifications"]["inputs"]["scene"] == "kept"
    assert job["specifications"]["inputs"]["list"][0] == "https://x.example/blob?***"
    listed = api.get(f"/{kind}/jobs?$filter=iTwinId eq itwin", headers={"Accept": "*/*"}).text
    control = api.control("GET", "/jobs").text + api.control("GET", "/dashboard").text
    for text in (str(job), listed, control, str(emulator.jobs()), str(list(emulator.request_log))):
        assert "s3cret" not in text


def test_faults_know_the_operations(emulator: Emulator, api: Api, kind: str) -> None:
    emulator.fail(f"{kind}-jobs-get", status=503)
    job = start_reality(api, kind)
    path = f"/{kind}/jobs/{job['id']}"
    assert [ask(api, "GET", path).status_code for _ in range(2)] == [503, 200]
    emulator.limit_rate(per_minute=0)
    answer = ask(api, "GET", path)
    assert (answer.status_code, error_of(answer)["code"]) == (429, "RateLimitExceeded")
    assert answer.headers["ITwinPlatform-RateLimited-Operation"] == f"{kind}-jobs-get"


def test_inputs_can_be_nested_deeply(emulator: Emulator, api: Api, kind: str) -> None:
    nested: Any = "s3cret"
    for _ in range(400):
        nested = [nested]
    secrets = {"token": ["s3cret"], "password": {"value": "s3cret"}, "secret": 5, "tokens": None}
    job = start_reality(api, kind, specifications={"inputs": {"deep": nested, **secrets}})
    inputs = job["specifications"]["inputs"]
    assert "s3cret" not in str(inputs)
    assert (inputs["secret"], inputs["tokens"]) == ("***", None)
