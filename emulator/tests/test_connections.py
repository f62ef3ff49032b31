from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator
from platform_client import EXPORT, MANIFEST, ROOTS, STORAGE, Api

FILES: dict[str, list[dict[str, Any]]] = {
    "storage": [{"storageFileId": "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA", "connectorType": "MSTN"}],
    "manifest": [{"sourceFileId": "f5b36238"}],
}


def body_for(kind: str, imodel: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"iModelId": imodel, "displayName": "30"} | more
    if kind in FILES:
        body["sourceFiles"] = FILES[kind]
    return body


@pytest.mark.parametrize("kind", ["storage", "manifest", "export"])
def test_lifecycle_of_a_connection(api: Api, emulator: Emulator, kind: str) -> None:
    itwin = emulator.add_itwin()
    imodel = emulator.add_imodel(itwin_id=itwin)
    root = ROOTS[kind]
    created = api.post(root, body_for(kind, imodel))
    assert created.status_code == 201
    connection = created.json()["connection"]
    assert connection == {
        "id": connection["id"],
        "displayName": "30",
        "iModelId": imodel,
        "iTwinId": itwin,
        "authenticationType": "User",
        "_links": {
            "iModel": {"href": f"{emulator.url}/imodels/{imodel}"},
            "iTwin": {"href": f"{emulator.url}/itwins/{itwin}"},
        },
    }
    assert len(connection["id"]) == (36 if kind == "export" else 43)
    assert api.get(f"{root}/{connection['id']}").json() == {"connection": connection}
    listed = api.get(f"{root}?imodelId={imodel}", headers={"Prefer": "return=representation"}).json()
    assert listed["connections"] == [connection]
    if kind != "export":
        short = api.get(f"{root}?imodelId={imodel}").json()["connections"]
        assert short == [{"id": connection["id"], "displayName": "30"}]
        changed = api.call("PUT", f"{root}/{connection['id']}", json={"authenticationType": "Service"})
        assert changed.status_code == 200
        assert changed.json()["connection"] == connection | {"authenticationType": "Service"}
    deleted = api.call("DELETE", f"{root}/{connection['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert api.get(f"{root}/{connection['id']}").status_code == 404
    assert api.get(f"{root}?imodelId={imodel}").json()["connections"] == []


def test_exports_cannot_be_changed(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection("export")
    assert api.call("PUT", f"{EXPORT}/{connection}", json={"displayName": "x"}).status_code == 404


def test_storage_lists_need_no_imodel(api: Api, emulator: Emulator) -> None:
    ids = [emulator.add_connection() for _ in range(3)]
    emulator.add_connection("manifest")
    assert [one["id"] for one in api.get(STORAGE).json()["connections"]] == ids


def test_all_kinds_of_an_imodel(api: Api, emulator: Emulator) -> None:
    ids = [emulator.add_connection(kind, imodel_id="m") for kind in ("storage", "manifest", "export")]
    emulator.add_connection()
    page = api.get("/synchronization/imodels/connections?imodelId=m").json()
    assert [one["id"] for one in page["connections"]] == ids
    assert "?imodelId=m&" in page["_links"]["self"]["href"]


def test_links_lead_to_the_imodel_and_the_itwin(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(imodel_id="m")
    links = api.get(f"{STORAGE}/{connection}").json()["connection"]["_links"]
    other_version = {"Accept": "application/vnd.bentley.itwin-platform.v2+json"}
    imodel = api.get(links["iModel"]["href"], headers=other_version).json()["iModel"]
    assert imodel["id"] == "m"
    itwin = api.get(links["iTwin"]["href"]).json()["iTwin"]
    assert itwin["id"] == imodel["iTwinId"]


def test_lifecycle_of_a_storage_source_file(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=[])
    root = f"{STORAGE}/{connection}/sourcefiles"
    created = api.post(root, {"storageFileId": "file-1", "connectorType": "REVIT"})
    assert created.status_code == 201
    file = created.json()["sourceFile"]
    assert file == {
        "id": file["id"],
        "storageFileId": "file-1",
        "connectorType": "REVIT",
        "lastKnownFileName": "samplefile",
        "_links": {"file": {"href": f"{emulator.url}/files/file-1"}},
    }
    assert api.get(f"{root}/{file['id']}").json() == {"sourceFile": file}
    short = {name: value for name, value in file.items() if name != "connectorType"}
    assert api.get(root).json()["sourceFiles"] == [short]
    assert api.get(root, headers={"Prefer": "return=representation"}).json()["sourceFiles"] == [file]
    changed = api.call("PUT", f"{root}/{file['id']}", json={"storageFileId": "file-2", "connectorType": "DWG"})
    assert changed.status_code == 200
    assert changed.json()["sourceFile"]["storageFileId"] == "file-2"
    assert api.call("DELETE", f"{root}/{file['id']}").status_code == 204
    assert api.get(root).json()["sourceFiles"] == []


def test_lifecycle_of_a_manifest_source_file(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection("manifest", files=[])
    root = f"{MANIFEST}/{connection}/sourcefiles"
    file = api.post(root, {"sourceFileId": "f5b36238"}).json()["sourceFile"]
    assert file == {"id": file["id"], "sourceFileId": "f5b36238"}
    assert api.get(root).json()["sourceFiles"] == [file]
    other = api.post(root, {"sourceFileId": "other"}).json()["sourceFile"]
    taken = api.call("PUT", f"{root}/{other['id']}", json={"sourceFileId": "f5b36238"})
    assert taken.status_code == 409
    same = api.call("PUT", f"{root}/{file['id']}", json={"sourceFileId": "f5b36238"})
    assert same.status_code == 200


def test_the_same_file_may_go_into_two_imodels(api: Api, emulator: Emulator) -> None:
    for imodel in (emulator.add_imodel(), emulator.add_imodel()):
        assert api.post(STORAGE, body_for("storage", imodel)).status_code == 201


def test_runs_work_on_files_added_meanwhile_only_the_next_time(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=1)
    for expected in (1, 2):
        run_id = emulator.start_run(connection)
        api.post(f"{STORAGE}/{connection}/sourcefiles", {"storageFileId": f"late-{expected}", "connectorType": "MSTN"})
        emulator.finish_run(connection, run_id)
        tasks = [task for job in emulator.runs(connection)[-1]["jobs"] for task in job["tasks"]]
        assert len(tasks) == expected


@pytest.mark.parametrize(
    "path", ["/synchronization/imodels/connections/authorizationInformation", "/export/authorizationinformation"]
)
def test_authorization_information(api: Api, emulator: Emulator, path: str) -> None:
    answer = api.get(f"{path}?redirectUrl=http://localhost:3000/back")
    information = answer.json()["authorizationInformation"]
    assert information["isUserAuthorized"] is False
    link = information["_links"]["authorizationUrl"]["href"]
    assert link == f"{emulator.url}/?sign-in={api.client_id}&redirectUrl=http%3A%2F%2Flocalhost%3A3000%2Fback"
    assert api.session.get(link, timeout=10).headers["Content-Type"].startswith("text/html")
    emulator.sign_in(api.client_id)
    assert api.get(path).json()["authorizationInformation"]["isUserAuthorized"] is True


def test_ids_of_connections_are_opaque(api: Api, emulator: Emulator) -> None:
    for connection in ("MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4", "-_-", "bc38cd8a-fd9f-4abf-9ad7-0c3b3d28720e"):
        emulator.add_connection(connection_id=connection)
        assert api.get(f"{STORAGE}/{connection}").json()["connection"]["id"] == connection
    with pytest.raises(ValueError, match="already"):
        emulator.add_connection(connection_id="-_-")
    with pytest.raises(ValueError, match="letters"):
        emulator.add_connection(connection_id="a/b")


@pytest.mark.parametrize("connector", ["PROSTRUCTURES", "PSEXCEL", "INTELLIPID", "SHELLEDWCSV"])
def test_connectors_that_only_clients_of_bentley_name_are_accepted(
    emulator: Emulator, api: Api, connector: str
) -> None:
    path = f"{STORAGE}/{emulator.add_connection('storage')}/sourcefiles"
    answer = api.post(path, {"storageFileId": "file", "connectorType": connector})
    assert (answer.status_code, answer.json()["sourceFile"]["connectorType"]) == (201, connector)
