"""Clients of jobs carry whole jobs through the emulator: one that succeeds, one that fails, one that is cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import requests

from itwin_emulator import Emulator, ManualClock

from .foreign_clients import ServiceAuthorization
from .published_reality_sdk import PublishedSdk, supports
from .reality_sdk import FINAL, RealitySdk

APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "reality-modeling": ("Calibration", {"inputs": {"scene": "s", "preset": None}, "outputs": ["scene", "report"]}),
    "reality-analysis": ("Objects2D", {"inputs": {"photos": "p"}, "outputs": ["objects2D", "objects3D"]}),
    "reality-conversion": ("PointCloudConversion", {"inputs": {"pointCloud": "p"}}),
}
FOREIGN = {"stand-in": RealitySdk, "published": PublishedSdk}
CLIENTS = [(foreign, api) for foreign in FOREIGN for api in APIS if foreign != "published" or supports(api)]
SHAPES: list[tuple[str, dict[str, Any], Any, set[str]]] = [
    ("Tiling", {"scene": "s"}, ["modelingReference"], {"modelingReference"}),
    ("Constraints", {"modelingReference": "m"}, ["addedConstraintsInfo"], {"addedConstraintsInfo"}),
    ("TouchUpImport", {"modelingReference": "m", "touchUpData": "t"}, ["importInfo"], {"importInfo"}),
    ("WaterConstraints", {"modelingReference": "m", "scene": "s"}, ["constraints"], {"constraints"}),
    ("Production", {"scene": "s", "modelingReference": "m"}, {"exports": [{"format": "LAS"}]}, {"exports"}),
    (
        "Reconstruction",
        {"scene": "s"},
        {"modelingReference": True, "exports": [{"format": "3DTiles"}, {"format": "OBJ", "name": "n"}]},
        {"modelingReference", "exports"},
    ),
    ("Reconstruction", {"scene": "s"}, {"modelingReference": True, "exports": None}, {"modelingReference"}),
]


@dataclass
class Client:
    """A client of one API, and a job to start with it."""

    sdk: RealitySdk
    api: str

    def submit(self, name: str | None = None) -> Any:
        kind, specifications = APIS[self.api]
        return self.sdk.submit(kind, specifications, name)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(params=CLIENTS)
def client(emulator: Emulator, request: pytest.FixtureRequest) -> Client:
    foreign, api = request.param
    return Client(FOREIGN[foreign](emulator.url, api, emulator.add_itwin(), _token(emulator)), api)


def _token(emulator: Emulator) -> Any:
    return ServiceAuthorization(emulator.url, emulator.client_id, emulator.client_secret).access_token


def test_a_reality_job_succeeds(client: Client, clock: ManualClock) -> None:
    sdk = client.sdk
    started = client.submit()
    job = started.good
    seen = []
    while sdk.progress(job.id).good[0] not in FINAL:
        seen.append(sdk.progress(job.id).good[1])
        clock.advance(2)
    done = sdk.get(job.id).good
    assert (started.status, done.state, done.name) == (201, "Success", None)
    outputs = done.outputs
    assert isinstance(outputs, str) if client.api == "reality-conversion" else len(outputs) == 2
    assert seen == sorted(seen)
    assert done.started is not None
    assert done.ended is not None
    assert done.created <= done.started < done.ended
    assert done.units
    assert sdk.messages(job.id).good == {"errors": [], "warnings": []}


def test_a_reality_job_fails(client: Client, emulator: Emulator, clock: ManualClock) -> None:
    message = {"message": 'Invalid. ("%1")', "title": "Invalid", "code": "InputData_Invalid", "params": ["Scene"]}
    emulator.plan_job(client.api, "Failed", messages=[message])  # type: ignore[arg-type]
    job = client.submit("Night").good
    clock.advance(10)
    assert client.sdk.progress(job.id).good[0] == "Failed"
    assert client.sdk.messages(job.id).good == {"errors": [message], "warnings": []}


def test_a_reality_job_is_cancelled(client: Client, clock: ManualClock) -> None:
    sdk = client.sdk
    job = client.submit("Night").good
    clock.advance(5)
    assert sdk.cancel(job.id).good.state == "TerminatingOnCancel"
    clock.advance(1)
    assert sdk.get(job.id).good.state == "Cancelled"
    again = sdk.cancel(job.id)
    assert (again.status, len(again.bad.details)) == (422, 1)


def test_reality_jobs_are_listed_page_by_page(client: Client) -> None:
    started = [client.submit("Night").good.id for _ in range(5)]
    found, page = [], client.sdk.jobs(f"iTwinId eq {client.sdk.itwin}", 1).good
    while True:
        found.append([one.id for one in page.jobs])
        if page.following is None:
            break
        page = client.sdk.jobs(f"iTwinId eq {client.sdk.itwin}", 1, page.following).good
    assert [len(one) for one in found] == [2, 2, 1]
    assert sorted(one for ids in found for one in ids) == sorted(started)


def test_errors_of_reality_jobs_have_a_code(client: Client, emulator: Emulator) -> None:
    sdk = client.sdk
    short = client.submit("ab")
    assert (short.status, short.bad.details[0]["target"]) == (422, "name")
    for call in (sdk.get, sdk.progress, sdk.messages, sdk.cancel):
        unknown = call("00000000-0000-4000-8000-000000000000")
        assert (unknown.status, unknown.bad.code) == (404, "JobNotFound")
    job = client.submit().good
    reader, secret = emulator.add_client(roles={sdk.itwin: "reader"})
    sdk.token = ServiceAuthorization(emulator.url, reader, secret).access_token
    assert sdk.get(job.id).good.state == "Queued"
    for refused in (client.submit(), sdk.cancel(job.id)):
        assert (refused.status, refused.bad.code) == (403, "InsufficientPermissions")
    sdk.token = lambda: "Bearer x"
    assert sdk.get(job.id).status == 401
    sdk.itwin = "nowhere"
    sdk.token = _token(emulator)
    assert (client.submit().status, client.submit().bad.code) == (404, "iTwinNotFound")


def test_a_preference_for_less_does_not_shorten_reality_jobs(client: Client) -> None:
    job = client.submit().good
    absent = client.sdk.reality_data()
    assert (absent.status, absent.bad.code) == (501, "NotEmulated")
    assert client.sdk.get(job.id).good.id == job.id
    assert len(client.sdk.jobs(f"iTwinId eq {client.sdk.itwin}", 2).good.jobs) == 1


@pytest.mark.parametrize("client", [one for one in CLIENTS if one[1] == "reality-modeling"], indirect=True)
@pytest.mark.parametrize(("kind", "inputs", "outputs", "names"), SHAPES)
def test_outputs_have_the_shapes_of_their_types(
    client: Client, kind: str, inputs: dict[str, Any], outputs: Any, names: set[str]
) -> None:
    job = client.sdk.submit(kind, {"inputs": inputs, "outputs": outputs, "options": {}}, "Shape").good
    assert set(job.outputs) == names


@pytest.mark.parametrize("api", APIS)
def test_older_clients_double_a_slash(emulator: Emulator, api: str) -> None:
    client = Client(RealitySdk(emulator.url, api, emulator.add_itwin(), _token(emulator), slash="//"), api)
    job = client.submit().good
    assert client.sdk.progress(job.id).good == ("Queued", 0)
    assert client.sdk.messages(job.id).good == {"errors": [], "warnings": []}
    assert client.sdk.cancel(job.id).good.state == "TerminatingOnCancel"


def test_a_sample_of_transformations_reads_the_configuration_from_a_link(
    emulator: Emulator, clock: ManualClock
) -> None:
    for imodel in ("source", "target"):
        emulator.add_imodel(imodel)
    configuration = emulator.add_transformation_configuration("source", "target")
    headers = {
        "Authorization": f"Bearer {emulator.make_token(emulator.client_id)}",
        "Accept": "application/vnd.bentley.itwin-platform.v2+json",
    }
    base = f"{emulator.url}/transformations"
    # The path of the documentation ends with a slash, that of the sample does not.
    for path, ending in ((base, "Succeeded"), (f"{base}/", "Failed"), (base, "Aborted")):
        emulator.plan_job("transformation", "Failed" if ending == "Failed" else None)
        body = {"configurationId": configuration}
        one = requests.post(path, json=body, headers=headers, timeout=10).json()["transformation"]
        assert one["_links"]["configuration"]["href"].split("/")[-1] == configuration
        if ending == "Aborted":
            requests.delete(f"{base}/{one['id']}", headers=headers, timeout=10).raise_for_status()
        clock.advance(10)
        done = requests.get(f"{base}/{one['id']}", headers=headers, timeout=10).json()["transformation"]
        assert done["status"] == ending
        assert bool(done["errorMessage"]) == (ending == "Failed")
        assert (done["lastTargetChangesetPushed"] is not None) == (ending == "Succeeded")
