from __future__ import annotations

import pytest

from itwin_emulator import Emulator
from platform_client import EXPORT, MANIFEST, STORAGE, Api, error_of


@pytest.fixture
def itwin(emulator: Emulator) -> str:
    itwin = emulator.add_itwin()
    emulator.add_imodel("model", itwin)
    emulator.add_connection("storage", "s", "model")
    emulator.add_connection("manifest", "m", "model")
    emulator.add_connection("export", "e", "model")
    return itwin


@pytest.fixture
def stranger(emulator: Emulator, itwin: str) -> Api:
    return Api(emulator.url, *emulator.add_client("service-stranger"))


def test_what_a_client_may_not_see_is_not_there(emulator: Emulator, stranger: Api) -> None:
    run = emulator.start_run("s")
    for path, code in (
        (f"{STORAGE}/s", "StorageConnectionNotFound"),
        (f"{STORAGE}/s/runs", "StorageConnectionNotFound"),
        (f"{STORAGE}/s/sourcefiles", "StorageConnectionNotFound"),
        (f"{STORAGE}/s/runs/{run}", "StorageConnectionRunNotFound"),
        (f"{MANIFEST}/m", "ManifestConnectionNotFound"),
        ("/imodels/model", "iModelNotFound"),
    ):
        answer = stranger.get(path)
        assert (answer.status_code, error_of(answer)["code"]) == (404, code)


def test_lists_are_empty(stranger: Api, itwin: str) -> None:
    for path in (STORAGE, f"{STORAGE}?imodelId=model", f"{MANIFEST}?imodelId=model"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.json()["connections"]) == (200, [])
    assert stranger.get(f"/itwins/{itwin}").status_code == 404


def test_the_export_api_says_403(emulator: Emulator, stranger: Api) -> None:
    run = emulator.start_run("e")
    for path in (f"{EXPORT}/e", f"{EXPORT}/e/runs", f"{EXPORT}/e/runs/{run}", f"{EXPORT}?imodelId=model"):
        answer = stranger.get(path)
        assert (answer.status_code, error_of(answer)["code"]) == (403, "InsufficientPermissions")


def test_an_invitation_helps(emulator: Emulator, stranger: Api, itwin: str) -> None:
    emulator.set_role("service-stranger", itwin, "reader")
    assert stranger.get(f"{STORAGE}/s").status_code == 200
    assert stranger.get(f"/itwins/{itwin}").status_code == 200
    assert stranger.start("storage", "s").status_code == 403
    assert stranger.call("PUT", f"{STORAGE}/s", json={"displayName": "mine"}).status_code == 403
    assert stranger.call("DELETE", f"{STORAGE}/s").status_code == 403
    refused = stranger.post(f"{STORAGE}/s/sourcefiles", {"storageFileId": "f", "connectorType": "MSTN"})
    assert (refused.status_code, error_of(refused)["code"]) == (403, "InsufficientPermissions")
    emulator.set_role("service-stranger", itwin, "maintainer")
    assert stranger.start("storage", "s").status_code == 202
    emulator.set_role("service-stranger", itwin, None)
    assert stranger.get(f"{STORAGE}/s").status_code == 404


def test_no_connection_in_a_foreign_imodel(stranger: Api) -> None:
    answer = stranger.post(EXPORT, {"iModelId": "model"})
    assert (answer.status_code, error_of(answer)["code"]) == (403, "InsufficientPermissions")
    unknown = stranger.post(EXPORT, {"iModelId": "nowhere"})
    assert unknown.status_code == 422
    assert error_of(unknown)["details"] == [
        {"code": "InvalidValue", "message": "Provided imodelId value is not valid.", "target": "imodelId"}
    ]


def test_wrong_roles_and_clients(emulator: Emulator, itwin: str) -> None:
    with pytest.raises(ValueError, match="owner, maintainer, reader"):
        emulator.set_role(emulator.client_id, itwin, "king")
    with pytest.raises(LookupError):
        emulator.set_role("nobody", itwin, "owner")
    with pytest.raises(LookupError):
        emulator.sign_in("nobody")
