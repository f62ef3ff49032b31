"""The blob endpoint with Azure's own Python client, unchanged."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import Api
from storage_client import StorageApi, file_id_of


def load(name: str) -> Any:
    """Import a module of the client. On a build server nothing is left out."""
    return import_module(name) if os.getenv("CI") == "true" else pytest.importorskip(name)


exceptions = load("azure.core.exceptions")
azure = load("azure.storage.blob")

KIBIBYTE = 1024
SMALL: dict[str, Any] = {"max_single_put_size": 64 * KIBIBYTE, "max_block_size": 16 * KIBIBYTE}
"""Sizes that make the client upload in blocks."""


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def client(url: str, **options: Any) -> Any:
    return azure.BlobClient.from_blob_url(url, retry_total=0, **options)


@pytest.mark.parametrize("size", [0, 1, 64 * KIBIBYTE, 200 * KIBIBYTE + 1])
def test_uploads_of_every_size(storage: StorageApi, api: Api, emulator: Emulator, size: int) -> None:
    data = os.urandom(size)
    links = storage.begin("a.dgn")
    result = client(links["uploadUrl"], **SMALL).upload_blob(data, overwrite=True)
    assert result["etag"].startswith('"0x')
    assert api.post(links["completeUrl"]).json()["file"]["size"] == size
    file_id = file_id_of(links["completeUrl"])
    assert client(storage.url(file_id)).download_blob().readall() == data
    used = {entry.operation for entry in emulator.request_log}
    assert ("put-block-list" in used) == (size > 64 * KIBIBYTE)
    assert emulator.token_leaks() == []


def test_a_download_in_ranges(storage: StorageApi) -> None:
    data = os.urandom(100 * KIBIBYTE)
    url = storage.url(storage.upload("a.dgn", data))
    ranged = client(url, max_single_get_size=32 * KIBIBYTE, max_chunk_get_size=16 * KIBIBYTE)
    assert ranged.download_blob(max_concurrency=2).readall() == data
    assert ranged.download_blob(offset=10, length=20).readall() == data[10:30]
    assert ranged.download_blob(validate_content=True).readall() == data


def test_properties(storage: StorageApi) -> None:
    url = storage.url(storage.upload("a.dgn", b"12345"))
    properties = client(url).get_blob_properties()
    assert (properties.size, properties.blob_type) == (5, azure.BlobType.BLOCKBLOB)
    assert bytes(properties.content_settings.content_md5).hex() == "827ccb0eea8a706c4c34a16891f84e7b"
    assert client(url).exists()


def test_blocks_and_their_list(storage: StorageApi) -> None:
    blob = client(storage.begin("a.dgn")["uploadUrl"])
    for name in ("b1", "b2", "b3"):
        blob.stage_block(name, name.encode(), validate_content=True)
    committed, uncommitted = blob.get_block_list("all")
    assert (committed, [block.id for block in uncommitted]) == ([], ["b1", "b2", "b3"])
    blob.commit_block_list([azure.BlobBlock("b3"), azure.BlobBlock("b1")])
    committed, uncommitted = blob.get_block_list("all")
    assert ([(block.id, block.size) for block in committed], uncommitted) == ([("b3", 2), ("b1", 2)], [])
    assert blob.download_blob().readall() == b"b3b1"


def test_errors_have_the_exceptions_of_the_client(storage: StorageApi, clock: ManualClock) -> None:
    upload = storage.begin("a.dgn")["uploadUrl"]
    file_id = storage.upload("b.dgn", b"x")
    download = storage.url(file_id)
    with pytest.raises(exceptions.ResourceNotFoundError) as missing:
        client(upload).download_blob()
    assert missing.value.error_code == azure.StorageErrorCode.BLOB_NOT_FOUND
    with pytest.raises(exceptions.HttpResponseError) as refused:
        client(download).upload_blob(b"y", overwrite=True)
    assert refused.value.error_code == "AuthorizationPermissionMismatch"
    client(upload).upload_blob(b"y")
    with pytest.raises(exceptions.ResourceExistsError):
        client(upload).upload_blob(b"z")
    clock.advance(3600)
    with pytest.raises(exceptions.ClientAuthenticationError) as expired:
        client(download).download_blob()
    assert expired.value.error_code == azure.StorageErrorCode.AUTHENTICATION_FAILED


def test_a_file_from_disk(storage: StorageApi, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "model.dgn"
    path.write_bytes(os.urandom(300 * KIBIBYTE))
    links = storage.begin("a.dgn")
    with path.open("rb") as file:
        client(links["uploadUrl"], **SMALL).upload_blob(file, overwrite=True, max_concurrency=2)
    api.post(links["completeUrl"])
    with (tmp_path / "copy.dgn").open("wb") as copy:
        client(storage.url(file_id_of(links["completeUrl"]))).download_blob().readinto(copy)
    assert (tmp_path / "copy.dgn").read_bytes() == path.read_bytes()


def test_a_change_during_a_download_is_noticed(storage: StorageApi) -> None:
    file_id = storage.upload("a.dgn", b"a" * 4 * KIBIBYTE)
    stream = client(storage.url(file_id), max_single_get_size=KIBIBYTE, max_chunk_get_size=KIBIBYTE).download_blob()
    storage.update(file_id, b"b" * 4 * KIBIBYTE)
    with pytest.raises(exceptions.ResourceModifiedError):
        stream.readall()
