from __future__ import annotations

from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api, error_of
from storage_client import StorageApi, file_id_of


def test_a_file_is_created_in_three_steps(storage: StorageApi, api: Api, clock: ManualClock) -> None:
    folder = storage.folder("designs")
    links = storage.begin("bridge.dgn", folder, description="the bridge")
    file_id = file_id_of(links["completeUrl"])
    assert storage.put(links["uploadUrl"], b"lines").status_code == 201
    assert storage.names(folder) == []
    assert error_of(api.get(f"/storage/files/{file_id}"))["code"] == "FileNotFound"
    clock.advance(60)
    file = api.post(links["completeUrl"]).json()["file"]
    assert api.get(f"/storage/files/{file_id}").json()["file"] == file
    assert storage.names(folder) == ["bridge.dgn"]
    assert storage.content(file_id) == b"lines"
    assert file["id"] == file_id
    assert (file["size"], file["path"], file["description"]) == (5, "designs/bridge.dgn", "the bridge")
    assert file["parentFolderId"] == folder
    assert file["createdDateTime"] == "2026-05-28T20:26:40.0000000Z"
    assert file["lastModifiedDateTime"] == "2026-05-28T20:27:40.0000000Z"


def test_an_update_keeps_the_old_content_until_it_is_complete(storage: StorageApi, api: Api) -> None:
    file_id = storage.upload("a.dgn", b"old")
    links = storage.begin_update(file_id)
    storage.put(links["uploadUrl"], b"newer")
    assert storage.content(file_id) == b"old"
    assert api.get(f"/storage/files/{file_id}").json()["file"]["size"] == 3
    assert api.post(links["completeUrl"]).json()["file"]["size"] == 5
    assert storage.content(file_id) == b"newer"


def test_an_update_may_have_a_body(storage: StorageApi, api: Api) -> None:
    path = f"/storage/files/{storage.upload('a.dgn', b'old')}/updatecontent"
    assert api.post(path, {"displayName": "a.dgn"}).status_code == 202
    assert api.post(path, {"displayName": "a?.dgn"}).status_code == 422


def test_the_top_level_names_the_root_folder(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    storage.upload("a.dgn", b"")
    storage.folder("f")
    for parameter in ("iTwinId", "projectId"):
        page = api.get(f"/storage/?{parameter}=itwin&$top=1").json()
        assert [(item["type"], item["displayName"]) for item in page["items"]] == [("folder", "f")]
        assert page["_links"]["folder"]["href"] == f"{emulator.url}/storage/folders/{storage.root}"
        assert page["_links"]["next"]["href"] == f"{emulator.url}/storage?{parameter}=itwin&$skip=1&$top=1"
        last = api.get(page["_links"]["next"]["href"]).json()
        assert [(item["type"], item["displayName"]) for item in last["items"]] == [("file", "a.dgn")]
        assert "next" not in last["_links"]
        assert last["_links"]["prev"]["href"].endswith("$skip=0&$top=1")
    assert api.get(f"/storage/folders/{storage.root}").json()["folder"]["id"] == storage.root


def test_lists_have_one_kind_or_both(storage: StorageApi, api: Api) -> None:
    folder = storage.folder("f")
    storage.folder("inner", folder)
    storage.upload("a.dgn", b"", folder)
    assert storage.names(folder) == ["inner", "a.dgn"]
    files = api.get(f"/storage/folders/{folder}/files").json()["files"]
    folders = api.get(f"/storage/folders/{folder}/folders").json()["folders"]
    assert [one["displayName"] for one in files] == ["a.dgn"]
    assert [one["displayName"] for one in folders] == ["inner"]
    assert "size" not in folders[0]


def test_search_has_wildcards(storage: StorageApi, api: Api) -> None:
    for name in ("Bridge.dgn", "bridge-2.dgn", "tunnel [1].dgn"):
        storage.upload(name, b"")

    def search(name: str) -> list[str]:
        found = api.get(f"/storage/folders/{storage.root}/search", params={"name": name}).json()["items"]
        return [one["displayName"] for one in found]

    assert search("bridge*") == ["Bridge.dgn", "bridge-2.dgn"]
    assert search("bridge.dgn") == ["Bridge.dgn"]
    assert search("tunnel [1]*") == ["tunnel [1].dgn"]
    assert search("none") == []
    missing = api.get(f"/storage/folders/{storage.root}/search")
    assert (missing.status_code, error_of(missing)["details"][0]["target"]) == (422, "name")


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b.dgn", "a\\b.dgn", "a:b.dgn", "a*.dgn", "a?.dgn", '"a".dgn', "<a>", "a|b", "a\nb", "x" * 256, 7],
)
def test_invalid_names_are_rejected(storage: StorageApi, api: Api, name: Any) -> None:
    for path, code in (("files", "InvalidCreateFileRequest"), ("folders", "InvalidCreateFolderRequest")):
        answer = api.post(f"/storage/folders/{storage.root}/{path}", {"displayName": name})
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (422, code)
        assert [(one["code"], one["target"]) for one in error["details"]] == [("InvalidValue", "displayName")]
    assert storage.names() == []


def test_every_file_and_folder_says_what_it_is(storage: StorageApi, api: Api) -> None:
    folder_id, file_id = storage.folder("f"), storage.upload("a.dgn", b"1")
    for path, name in ((f"/storage/folders/{folder_id}", "folder"), (f"/storage/files/{file_id}", "file")):
        assert api.get(path).json()[name]["type"] == name
        assert api.call("PATCH", path, json={"description": "d"}).json()[name]["type"] == name
    assert api.get(f"/storage/folders/{storage.root}/files").json()["files"][0]["type"] == "file"
    assert api.get(f"/storage/folders/{storage.root}/folders").json()["folders"][0]["type"] == "folder"
    made = api.post(f"/storage/folders/{storage.root}/folders", {"displayName": "g"})
    assert made.json()["folder"]["type"] == "folder"


def test_dangerous_types_are_rejected(storage: StorageApi, api: Api) -> None:
    answer = api.post(f"/storage/folders/{storage.root}/files", {"displayName": "setup.EXE"})
    assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidCreateFileRequest")
    assert "harmful" in error_of(answer)["details"][0]["message"]
    storage.folder("setup.exe")


def test_a_name_and_a_body_are_required(storage: StorageApi, api: Api) -> None:
    path = f"/storage/folders/{storage.root}/files"
    assert error_of(api.post(path, {}))["details"][0]["code"] == "MissingRequiredProperty"
    assert error_of(api.post(path))["code"] == "MissingRequestBody"


def test_names_of_every_language_are_kept(storage: StorageApi, api: Api) -> None:
    name = "Brücke №5 (Entwurf) 桥.dgn"
    file_id = storage.upload(name, b"x")
    assert storage.names() == [name]
    assert api.get(f"/storage/files/{file_id}").json()["file"]["path"] == name


def test_a_second_file_with_the_name_is_another_file(storage: StorageApi, api: Api) -> None:
    first, second = storage.upload("a.dgn", b"1"), storage.upload("a.dgn", b"2")
    assert first != second
    assert storage.names() == ["a.dgn", "a.dgn"]
    assert (storage.content(first), storage.content(second)) == (b"1", b"2")
    storage.folder("f")
    answer = api.post(f"/storage/folders/{storage.root}/folders", {"displayName": "f"})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "FolderExists")


def test_a_second_file_with_the_name_is_rejected_by_a_quirk(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    emulator.quirks.same_name = "rejected"
    file_id = storage.upload("c.dgn", b"1")
    storage.upload("a.dgn", b"1")
    storage.folder("f")
    assert api.call("PATCH", f"/storage/files/{file_id}", json={"displayName": "a.dgn"}).status_code == 409
    for path, name, code in (("files", "a.dgn", "FileExists"), ("folders", "f", "FolderExists")):
        answer = api.post(f"/storage/folders/{storage.root}/{path}", {"displayName": name})
        assert (answer.status_code, error_of(answer)["code"]) == (409, code)
    storage.begin("b.dgn")
    storage.upload("b.dgn", b"an upload that nobody completes holds no name")


def test_a_second_folder_with_the_name_is_accepted_by_a_quirk(storage: StorageApi, emulator: Emulator) -> None:
    emulator.quirks.same_name = "accepted"
    assert storage.folder("f") != storage.folder("f")
    storage.upload("a.dgn", b"1")
    storage.upload("a.dgn", b"2")
    assert storage.names() == ["f", "f", "a.dgn", "a.dgn"]


def test_completing_twice_is_a_quirk(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    storage.put(links["uploadUrl"], b"1")
    assert [api.post(links["completeUrl"]).status_code for _ in range(2)] == [200, 200]
    emulator.quirks.complete_twice = "rejected"
    answer = api.post(links["completeUrl"])
    assert (answer.status_code, error_of(answer)["code"]) == (404, "FileNotFound")


def test_completing_without_an_upload_is_a_quirk(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    answer = api.post(links["completeUrl"])
    assert (answer.status_code, error_of(answer)["code"]) == (422, "InvalidCompleteFileRequest")
    assert storage.names() == []
    emulator.quirks.complete_without_content = "empty"
    assert api.post(links["completeUrl"]).json()["file"]["size"] == 0
    assert storage.names() == ["a.dgn"]


def test_names_and_descriptions_can_be_changed(storage: StorageApi, api: Api) -> None:
    file_id, folder_id = storage.upload("a.dgn", b""), storage.folder("f")
    for path, name in ((f"/storage/files/{file_id}", "file"), (f"/storage/folders/{folder_id}", "folder")):
        changed = api.call("PATCH", path, json={"displayName": "c", "description": "text"}).json()[name]
        assert (changed["displayName"], changed["description"]) == ("c", "text")
        described = api.call("PATCH", path, json={"description": "other"}).json()[name]
        assert (described["displayName"], described["description"]) == ("c", "other")
    harmful = api.call("PATCH", f"/storage/files/{file_id}", json={"displayName": "c.exe"})
    assert error_of(harmful)["code"] == "InvalidCreateFileRequest"


def test_items_can_be_moved(storage: StorageApi, api: Api) -> None:
    outer, other = storage.folder("outer"), storage.folder("other")
    inner = storage.folder("inner", outer)
    file_id = storage.upload("a.dgn", b"", inner)
    moved = api.post(f"/storage/files/{file_id}/move", {"parentFolderId": other}).json()["file"]
    assert (moved["path"], storage.names(inner)) == ("other/a.dgn", [])
    folder = api.post(f"/storage/folders/{other}/move", {"parentFolderId": inner}).json()["folder"]
    assert folder["path"] == "outer/inner/other"
    assert api.get(f"/storage/files/{file_id}").json()["file"]["path"] == "outer/inner/other/a.dgn"
    circle = api.post(f"/storage/folders/{outer}/move", {"parentFolderId": other})
    assert (circle.status_code, error_of(circle)["code"]) == (422, "InvalidMoveRequest")
    nowhere = api.post(f"/storage/files/{file_id}/move", {"parentFolderId": "nowhere"})
    assert (nowhere.status_code, error_of(nowhere)["code"]) == (404, "FolderNotFound")


def test_locked_files_cannot_be_changed(storage: StorageApi, api: Api) -> None:
    file_id, root = storage.upload("a.dgn", b""), storage.root
    locked = api.post(f"/storage/folders/{root}/lock", {"fileIds": [file_id]}).json()["files"]
    assert [one["isFileLocked"] for one in locked] == [True]
    assert api.get(f"/storage/folders/{root}/files").json()["files"][0]["isFileLocked"] is True
    path = f"/storage/files/{file_id}"
    for answer in (
        api.post(f"{path}/updatecontent"),
        api.call("DELETE", path),
        api.call("PATCH", path, json={"displayName": "b.dgn"}),
    ):
        assert (answer.status_code, error_of(answer)["code"]) == (409, "FileLocked")
    assert api.get(path).status_code == 200
    unlocked = api.post(f"/storage/folders/{root}/unlock", {"fileIds": [file_id]}).json()["files"]
    assert [one["isFileLocked"] for one in unlocked] == [False]
    assert api.call("DELETE", path).status_code == 204
    for method in ("lock", "unlock"):
        assert api.post(f"/storage/folders/{root}/{method}", {"fileIds": ["nobody"]}).status_code == 404


def test_the_root_folder_cannot_be_changed(storage: StorageApi, api: Api) -> None:
    path = f"/storage/folders/{storage.root}"
    assert api.call("DELETE", path).status_code == 422
    assert api.call("PATCH", path, json={"displayName": "x"}).status_code == 422


def test_what_does_not_exist_is_not_found(storage: StorageApi, api: Api) -> None:
    for path, code in (
        ("/storage/files/nobody", "FileNotFound"),
        ("/storage/files/nobody/download", "FileNotFound"),
        ("/storage/folders/nobody", "FolderNotFound"),
        ("/storage/folders/nobody/list", "FolderNotFound"),
        (f"/storage/folders/{storage.upload('a', b'')}", "FolderNotFound"),
        ("/storage/?iTwinId=nobody", "iTwinNotFound"),
    ):
        answer = api.get(path)
        assert (answer.status_code, error_of(answer)["code"]) == (404, code)
    assert error_of(api.get("/storage/"))["details"][0]["target"] == "iTwinId"


def test_roles_decide_who_reads_and_who_writes(storage: StorageApi, emulator: Emulator) -> None:
    file_id = storage.upload("a.dgn", b"x")
    client = Api(emulator.url, *emulator.add_client("service-stranger"))
    path = f"/storage/files/{file_id}"
    assert error_of(client.get(path))["code"] == "FileNotFound"
    assert error_of(client.get("/storage/?iTwinId=itwin"))["code"] == "iTwinNotFound"
    assert client.call("DELETE", path).status_code == 404
    emulator.set_role("service-stranger", "itwin", "reader")
    assert client.get(path).status_code == 200
    assert client.get(f"{path}/download").status_code == 302
    for refused in (
        client.call("DELETE", path),
        client.post(f"{path}/updatecontent"),
        client.post(f"{path}/complete"),
        client.post(f"/storage/folders/{storage.root}/files", {"displayName": "b"}),
        client.post(f"/storage/folders/{storage.root}/folders", {"displayName": "b"}),
    ):
        assert (refused.status_code, error_of(refused)["code"]) == (403, "InsufficientPermissions")
    emulator.set_role("service-stranger", "itwin", "maintainer")
    assert client.call("DELETE", path).status_code == 204


def test_download_accepts_its_own_media_type(storage: StorageApi, api: Api) -> None:
    path = f"/storage/files/{storage.upload('a', b'')}/download"
    accept = "application/vnd.bentley.itwin-platform.v1+octet-stream"
    assert api.get(path, headers={"Accept": accept}).status_code == 302


def test_rate_limits_and_faults_apply(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    root = storage.root
    emulator.fail("create-file", status=503)
    assert api.post(f"/storage/folders/{root}/files", {"displayName": "a"}).status_code == 503
    emulator.limit_rate(per_minute=0)
    answer = api.get(f"/storage/folders/{root}")
    assert (answer.status_code, answer.headers["ITwinPlatform-RateLimited-API"]) == (429, "Storage")


def test_the_storage_of_an_itwin_is_deleted_with_it(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    file_id = storage.upload("a.dgn", b"1", storage.folder("f"))
    deleted = storage.upload("b.dgn", b"2")
    assert api.call("DELETE", f"/storage/files/{deleted}").status_code == 204
    storage.begin("c.dgn")
    root, url = storage.root, storage.url(file_id)
    assert api.call("DELETE", f"/itwins/{storage.itwin_id}").status_code == 204
    for path in (f"/storage/files/{file_id}", f"/storage/folders/{root}", f"/storage/?iTwinId={storage.itwin_id}"):
        assert api.get(path).status_code == 404
    assert storage.blobs.get(url, timeout=10).status_code == 404
    assert emulator.store.storage.items == {}
    assert list(emulator.store.storage.folder.path.iterdir()) == []
