"""Every response has the documented schema: of every operation, in every phase of a run, in full and as a summary."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.spec.operations import OPERATIONS

from . import contract
from .conftest import EXPORT, MANIFEST, ROOTS, RUN_BODIES, START, STORAGE, Witness
from .live_jobs import live_jobs

KINDS = ("storage", "manifest", "export")
RESULTS = ("Success", "Error", "PartialSuccess", "Skipped", "Canceled", "TimedOut", "Undetermined")
EVERY_STATE = ("NotStarted", "Idle", "Queued", "WaitingToExecute", "WaitingToRetry", "Executing", "Finalizing")
FILES: dict[str, dict[str, Any]] = {
    "storage": {"storageFileId": "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA", "connectorType": "MSTN"},
    "manifest": {"sourceFileId": "f5b36238"},
}


def test_the_table_of_schemas_has_every_operation() -> None:
    assert set(contract.SCHEMAS) == {operation.id for operation in OPERATIONS}


def test_every_operation(witness: Witness, emulator: Emulator, clock: ManualClock) -> None:
    for kind in KINDS:
        live(witness, emulator, kind)
    ask = witness.ask
    imodel = emulator.store.imodels["m-storage"]
    live_imodels(witness, emulator, imodel.id)
    live_storage(witness, imodel.itwin_id)
    live_itwins(witness)
    live_jobs(witness, emulator, clock)
    for prefer in (None, "representation"):
        ask("GET", f"/synchronization/imodels/connections?imodelId={imodel.id}", prefer=prefer)
    ask("GET", "/synchronization/imodels/connections/authorizationinformation?redirectUrl=https://localhost/")
    ask("GET", "/export/authorizationinformation?redirectUrl=https://localhost/")
    ask("GET", "/.well-known/openid-configuration")
    ask("GET", "/.well-known/openid-configuration/jwks")
    form = f"grant_type=client_credentials&client_id={emulator.client_id}&client_secret=wrong".encode()
    token = {"Content-Type": "application/x-www-form-urlencoded"}
    for secret, status in ((b"wrong", 400), (b"emulator%2Bsecret%2Fof%3Dnobody", 200)):
        data = form.replace(b"wrong", secret)
        answer = witness.session.post(f"{emulator.url}/connect/token", data=data, headers=token, timeout=10)
        assert answer.status_code == status
        witness.judge(answer)
    # A download redirects to the content.
    fruitful = {operation for operation, status, _ in witness.seen if status < 303}
    assert fruitful == set(contract.SCHEMAS)
    in_full = {operation for operation, status, whole in witness.seen if whole and status == 200}
    assert in_full == {name for name, schemas in contract.SCHEMAS.items() if len(schemas) > 1}


def live_itwins(witness: Witness) -> None:
    """Do with an iTwin whatever there is to do."""
    ask = witness.ask
    body = {"class": "Endeavor", "subClass": "Project", "displayName": "Harbor", "latitude": 1.5}
    path = f"/itwins/{ask('POST', '/itwins/', body).json()['iTwin']['id']}"
    for prefer in (None, "minimal", "representation"):
        ask("GET", "/itwins/?subClass=Project&$top=1", prefer=prefer)
    ask("GET", path)
    gis = {
        "class": "GeographicInformationSystem",
        "subClass": "UrlTemplate",
        "uri": "https://example.com/{z}/{x}/{y}.png",
    }
    made = ask("POST", f"{path}/repositories", gis | {"options": {"minimumLevel": 1}}).json()["repository"]["id"]
    ask("GET", f"{path}/repositories")
    ask("GET", f"{path}/repositories/{made}")
    ask("PATCH", f"{path}/repositories/{made}", {"displayName": "Map", "authentication": {"type": "Header"}})
    ask("DELETE", f"{path}/repositories/{made}")
    ask("PATCH", path, {"displayName": "Port"})
    ask("DELETE", path)


def live_imodels(witness: Witness, emulator: Emulator, imodel: str) -> None:
    """Do with an iModel whatever there is to do."""
    ask, path = witness.ask, f"/imodels/{imodel}"
    connection = emulator.add_connection(imodel_id=imodel)
    emulator.finish_run(connection, emulator.start_run(connection))
    emulator.push_changesets(imodel)
    itwin = emulator.store.imodels[imodel].itwin_id
    version = ask("POST", f"{path}/namedversions", {"name": "v", "changesetId": emulator.changesets(imodel)[0]["id"]})
    versions = f"{path}/namedversions/{version.json()['namedVersion']['id']}"
    for prefer in (None, "minimal", "representation"):
        ask("GET", f"/imodels?iTwinId={itwin}", prefer=prefer)
        for one in ("changesets", "namedversions", "users"):
            ask("GET", f"{path}/{one}", prefer=prefer)
    group = ask("GET", f"{path}/changesetgroups").json()["changesetGroups"][0]["id"]
    for one in ("", "/operations/create", f"/changesetgroups/{group}", "/users/me", "/permissions"):
        ask("GET", path + one)
    for one in ("/changesets/1", "/changesets/2", "/changesets/0/checkpoint", "/briefcases/checkpoint"):
        ask("GET", path + one)
    ask("GET", versions)
    ask("GET", f"{versions}/checkpoint")
    ask("PATCH", versions, {"state": "hidden"})
    query = f"iTwinId={itwin}&iModelId={imodel}"
    ask("PUT", "/changedelements/tracking", {"enable": True, "iTwinId": itwin, "iModelId": imodel})
    ends = [one["id"] for one in emulator.changesets(imodel)]
    for one in ("tracking?", "changesets?", f"comparison?startChangesetId={ends[0]}&endChangesetId={ends[0]}&"):
        ask("GET", f"/changedelements/{one}{query}")
    extent = {"southWest": {"latitude": 1, "longitude": 2}, "northEast": {"latitude": 3, "longitude": 4.5}}
    made = ask("POST", "/imodels", {"iTwinId": itwin, "name": "new", "extent": extent}).json()["iModel"]["id"]
    ask("PATCH", f"/imodels/{made}", {"description": "d"})
    for verb in ("clone", "fork"):
        copied = ask("POST", f"{path}/{verb}", {"iTwinId": itwin, "name": verb})
        ask("GET", copied.headers["Location"] + "/operations/create")
    ask("DELETE", f"/imodels/{made}")


def live_storage(witness: Witness, itwin: str) -> None:
    """Do with Storage whatever there is to do."""
    ask, deleted = witness.ask, "/storage/recyclebin"
    root = ask("GET", f"/storage/?iTwinId={itwin}").json()["_links"]["folder"]["href"].rpartition("/")[2]
    folders = [
        ask("POST", f"/storage/folders/{root}/folders", {"displayName": name, "description": "d"}).json()["folder"][
            "id"
        ]
        for name in ("one", "two")
    ]
    files = [upload(witness, root, name) for name in ("a.dgn", "b.dgn")]
    for path in ("", "/list", "/files", "/folders", "/search?name=*"):
        ask("GET", f"/storage/folders/{root}{path}")
    for verb in ("lock", "unlock"):
        ask("POST", f"/storage/folders/{root}/{verb}", {"fileIds": files})
    ask("PATCH", f"/storage/folders/{folders[0]}", {"displayName": "new"})
    ask("POST", f"/storage/folders/{folders[0]}/move", {"parentFolderId": folders[1]})
    file = f"/storage/files/{files[0]}"
    ask("GET", file)
    ask("GET", f"{file}/download")
    ask("PATCH", file, {"description": "other"})
    ask("POST", f"{file}/updatecontent")
    ask("POST", f"{file}/move", {"parentFolderId": folders[1]})
    for path in (f"folders/{folders[0]}", f"files/{files[1]}"):
        ask("DELETE", f"/storage/{path}")
        ask("GET", f"{deleted}?iTwinId={itwin}")
        ask("POST", f"{deleted}/{path}/restore")
        ask("DELETE", f"/storage/{path}")
        ask("DELETE", f"{deleted}/{path}")


def upload(witness: Witness, folder: str, name: str) -> str:
    """Create a file and return its id."""
    links = witness.ask("POST", f"/storage/folders/{folder}/files", {"displayName": name}).json()["_links"]
    headers = {"x-ms-blob-type": "BlockBlob"}
    assert witness.session.put(links["uploadUrl"]["href"], data=b"x", headers=headers, timeout=10).status_code == 201
    complete = links["completeUrl"]["href"]
    return str(witness.ask("POST", complete).json()["file"]["id"])


def live(witness: Witness, emulator: Emulator, kind: str) -> None:
    """Create a connection and do with it whatever there is to do."""
    root, imodel = ROOTS[kind], emulator.add_imodel(f"m-{kind}")
    body = {"iModelId": imodel, "displayName": "30", "authenticationType": "Service"}
    ask = witness.ask
    one = ask("POST", root, body | ({"sourceFiles": [FILES[kind]]} if kind in FILES else {})).json()["connection"]
    path = f"{root}/{one['id']}"
    ask("GET", path)
    assert "lastRun" not in one["_links"]
    location = ask("POST", f"{path}/{START[kind]}", RUN_BODIES[kind]).headers["Location"]
    assert ask("POST", f"{path}/{START[kind]}", RUN_BODIES[kind]).headers["Location"] == location
    ask("GET", location)
    assert ask("GET", path).json()["connection"]["_links"]["lastRun"]["href"] == location
    preferences = (None,) if kind == "export" else (None, "minimal", "representation")
    for prefer in preferences:
        ask("GET", f"{path}/runs", prefer=prefer)
        ask("GET", f"{root}?imodelId={imodel}&$top=1", prefer=prefer)
    emulator.finish_run(one["id"])
    if kind in FILES:
        files = f"{path}/sourcefiles"
        field = next(iter(FILES[kind]))
        added = ask("POST", files, FILES[kind] | {field: "another"}).json()["sourceFile"]
        for prefer in preferences if kind == "storage" else (None,):
            ask("GET", f"{files}?$top=1&$skip=1", prefer=prefer)
        ask("GET", f"{files}/{added['id']}")
        ask("PUT", f"{files}/{added['id']}", FILES[kind] | {field: "third"})
        ask("DELETE", f"{files}/{added['id']}")
        ask("PUT", path, {"displayName": "31"})
    ask("DELETE", path)
    assert ask("GET", path).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_every_phase_of_a_run(witness: Witness, emulator: Emulator, clock: ManualClock, kind: str) -> None:
    runs = {}
    for result in RESULTS:
        connection = emulator.add_connection(kind, imodel_id=f"m-{result}", files=5)  # type: ignore[arg-type]
        states = [(state, 1.0) for state in EVERY_STATE]
        error = {"errorKey": "UserNotAuthenticated", "description": "User is not authenticated."}
        emulator.plan_run(
            connection, result, 60 * 70, warnings=7, states=states, error=error if result == "TimedOut" else None
        )
        started = witness.ask("POST", f"{ROOTS[kind]}/{connection}/{START[kind]}", RUN_BODIES[kind])
        runs[result] = (f"{ROOTS[kind]}/{connection}", started.headers["Location"])
    # Seven states of ten seconds each: at the beginning and in the middle of each of them, and after the end.
    seen = set()
    for _ in range(16):
        for result, (path, location) in runs.items():
            run = witness.ask("GET", location).json()["run"]
            agrees(run, result, kind)
            seen.add(run["state"])
            in_full = witness.ask("GET", f"{path}/runs", prefer="representation" if kind != "export" else None).json()
            assert in_full["runs"] == [run]
            if kind != "export":
                brief = witness.ask("GET", f"{path}/runs").json()["runs"]
                assert brief == [{name: run[name] for name in ("id", "state", "result")}]
        clock.advance(5)
    assert seen == {*EVERY_STATE, "Completed"}


def agrees(run: dict[str, Any], result: str, kind: str) -> None:
    """Fail unless the fields of a run are consistent."""
    over = run["state"] == "Completed"
    assert run["result"] == (result if over else "Undetermined")
    assert ("endDateTime" in run) == over
    assert bool(run["jobs"]) == (run["state"] in ("Executing", "Finalizing", "Completed"))
    assert ("phase" in run) == (kind != "export")
    assert ("error" in run) == (over and result == "TimedOut" and kind != "export")
    parts = [part for job in run["jobs"] for part in (job, *job["tasks"])]
    for part in parts:
        assert ("endDateTime" in part) == (part["state"] == "Completed")
        assert ("startDateTime" in part) == (part["state"] != "Queued")
        assert part["result"] == "Undetermined" or part["state"] == "Completed"
    moments = [part[name] for part in (run, *parts) for name in ("startDateTime", "endDateTime") if name in part]
    assert min(moments) >= run["startDateTime"]
    assert not over or max(moments) == run["endDateTime"]
    if over and result in RESULTS[1:3]:
        assert any("error" in part for part in parts)


@pytest.mark.parametrize(("status", "kind"), list(itertools.product((401, 403, 404, 409, 422, 429), KINDS)))
def test_refusals(witness: Witness, emulator: Emulator, status: int, kind: str) -> None:
    emulator.add_itwin("elsewhere")
    emulator.add_client("service-reader", "secret")
    connection = emulator.add_connection(kind, imodel_id="m")  # type: ignore[arg-type]
    path = f"{ROOTS[kind]}/{connection}/{START[kind]}"
    match status:
        case 401:
            witness.token = None
        case 403:
            witness.token = emulator.make_token("service-reader")
        case 404:
            path = path.replace(connection, "nobody")
        case 409:
            emulator.store._starting.add("m")
            emulator.quirks.slow_start = 0.01
        case 422:
            path = path.replace(connection, "no id")
        case 429:
            emulator.limit_rate(per_minute=0)
    answer = witness.ask("POST", path, RUN_BODIES[kind])
    assert answer.status_code == status
    assert status != 429 or int(answer.headers["Retry-After"]) > 0


def test_a_path_of_nothing(witness: Witness) -> None:
    assert witness.ask("GET", "/synchronization/imodels/paperconnections").status_code == 404
    assert witness.ask("PATCH", STORAGE).status_code == 404


@pytest.mark.parametrize(("root", "size"), [(STORAGE, 100), (MANIFEST, 100), (EXPORT, 50)])
def test_pages(witness: Witness, emulator: Emulator, root: str, size: int) -> None:
    kind = next(name for name, value in ROOTS.items() if value == root)
    for _ in range(size + 5):
        emulator.add_connection(kind, imodel_id="m", files=0)  # type: ignore[arg-type]
    first = witness.ask("GET", f"{root}?imodelId=m").json()
    assert len(first["connections"]) == size
    assert set(first["_links"]) == {"self", "next"}
    second = witness.ask("GET", first["_links"]["next"]["href"]).json()
    assert len(second["connections"]) == 5
    assert set(second["_links"]) == {"self", "prev"}
