from __future__ import annotations

from itwin_emulator import Emulator, ManualClock
from platform_client import Api, error_of
from storage_client import StorageApi

BIN = "/storage/recyclebin"
DAY = 24 * 3600


def deleted(api: Api) -> list[str]:
    return [item["displayName"] for item in api.get(f"{BIN}?iTwinId=itwin").json()["items"]]


def test_a_deleted_file_can_be_restored(storage: StorageApi, api: Api) -> None:
    folder = storage.folder("f")
    file_id = storage.upload("a.dgn", b"content", folder)
    assert api.call("DELETE", f"/storage/files/{file_id}").status_code == 204
    for path in ("", "/download"):
        assert error_of(api.get(f"/storage/files/{file_id}{path}"))["code"] == "FileNotFound"
    assert (storage.names(folder), deleted(api)) == ([], ["a.dgn"])
    assert api.get(f"{BIN}?projectId=itwin").json()["items"][0]["type"] == "file"
    assert api.post(f"{BIN}/files/{file_id}/restore").status_code == 204
    assert (storage.names(folder), deleted(api), storage.content(file_id)) == (["a.dgn"], [], b"content")


def test_a_folder_takes_its_content_with_it(storage: StorageApi, api: Api) -> None:
    outer = storage.folder("outer")
    inner = storage.folder("inner", outer)
    file_id = storage.upload("a.dgn", b"content", inner)
    url = storage.url(file_id)
    assert api.call("DELETE", f"/storage/folders/{outer}").status_code == 204
    assert deleted(api) == ["outer"]
    for path in (f"/storage/folders/{inner}", f"/storage/folders/{outer}", f"/storage/files/{file_id}"):
        assert api.get(path).status_code == 404
    assert storage.blobs.get(url, timeout=10).status_code == 404
    assert api.post(f"{BIN}/folders/{outer}/restore").status_code == 204
    assert storage.content(file_id) == b"content"


def test_a_file_is_restored_only_to_a_folder_that_exists(storage: StorageApi, api: Api) -> None:
    folder = storage.folder("f")
    file_id = storage.upload("a.dgn", b"", folder)
    api.call("DELETE", f"/storage/files/{file_id}")
    api.call("DELETE", f"/storage/folders/{folder}")
    answer = api.post(f"{BIN}/files/{file_id}/restore")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "FolderNotFound")


def test_a_name_that_is_taken_prevents_restoring(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    emulator.quirks.same_name = "rejected"
    first = storage.upload("a.dgn", b"1")
    api.call("DELETE", f"/storage/files/{first}")
    storage.upload("a.dgn", b"2")
    answer = api.post(f"{BIN}/files/{first}/restore")
    assert (answer.status_code, error_of(answer)["code"]) == (409, "FileExists")


def test_the_bin_can_be_emptied(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    folder = storage.folder("f")
    inside, single = storage.upload("a.dgn", b"", folder), storage.upload("b.dgn", b"")
    api.call("DELETE", f"/storage/folders/{folder}")
    api.call("DELETE", f"/storage/files/{single}")
    assert api.call("DELETE", f"{BIN}/files/{inside}").status_code == 404, "only the folder is in the bin"
    assert api.call("DELETE", f"{BIN}/files/{single}").status_code == 204
    assert api.call("DELETE", f"{BIN}/folders/{folder}").status_code == 204
    assert deleted(api) == []
    assert api.post(f"{BIN}/files/{single}/restore").status_code == 404
    assert list(emulator.store.storage.folder.path.iterdir()) == []


def test_after_thirty_days_it_is_gone(storage: StorageApi, api: Api, clock: ManualClock) -> None:
    file_id = storage.upload("a.dgn", b"")
    api.call("DELETE", f"/storage/files/{file_id}")
    clock.advance(30 * DAY - 1)
    api.renew()
    assert deleted(api) == ["a.dgn"]
    clock.advance(1)
    assert deleted(api) == []
    assert api.post(f"{BIN}/files/{file_id}/restore").status_code == 404


def test_readers_cannot_restore(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    file_id = storage.upload("a.dgn", b"")
    api.call("DELETE", f"/storage/files/{file_id}")
    reader = Api(emulator.url, *emulator.add_client("service-reader", roles={"itwin": "reader"}))
    assert reader.post(f"{BIN}/files/{file_id}/restore").status_code == 403
    assert reader.call("DELETE", f"{BIN}/files/{file_id}").status_code == 403
    stranger = Api(emulator.url, *emulator.add_client("service-stranger"))
    assert stranger.post(f"{BIN}/files/{file_id}/restore").status_code == 404
