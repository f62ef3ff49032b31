"""The blob endpoint, with plain requests."""

from __future__ import annotations

import base64
import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from itwin_emulator import Emulator, ManualClock
from platform_client import Api
from storage_client import BLOCK_BLOB, StorageApi, code_of, file_id_of

MEBIBYTE = 1024 * 1024


@pytest.fixture
def upload_url(storage: StorageApi) -> str:
    return storage.begin("a.dgn")["uploadUrl"]


def block_id(number: int) -> str:
    return base64.b64encode(f"{number:06d}".encode()).decode()


def put_block(storage: StorageApi, url: str, number: int, data: bytes) -> requests.Response:
    return storage.blobs.put(url, params={"comp": "block", "blockid": block_id(number)}, data=data, timeout=10)


def put_list(storage: StorageApi, url: str, *numbers: int, where: str = "Latest") -> requests.Response:
    body = "".join(f"<{where}>{block_id(number)}</{where}>" for number in numbers)
    xml = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{body}</BlockList>'
    return storage.blobs.put(url, params={"comp": "blocklist"}, data=xml, timeout=10)


def files_on_disk(emulator: Emulator) -> list[Path]:
    return list(emulator.store.storage.folder.path.iterdir())


def test_an_upload_needs_the_type_of_the_blob(storage: StorageApi, upload_url: str) -> None:
    missing = storage.blobs.put(upload_url, data=b"x", timeout=10)
    assert (missing.status_code, code_of(missing)) == (400, "MissingRequiredHeader")
    assert "<HeaderName>x-ms-blob-type</HeaderName>" in missing.text
    wrong = storage.put(upload_url, b"x", **{"x-ms-blob-type": "PageBlob"})
    assert (wrong.status_code, code_of(wrong)) == (400, "InvalidHeaderValue")
    done = storage.put(upload_url, b"x", **{"x-ms-version": "2020-04-08"})
    assert (done.status_code, done.headers["x-ms-version"]) == (201, "2020-04-08")
    assert done.headers["ETag"].startswith('"0x')
    assert done.headers["x-ms-request-id"] != missing.headers["x-ms-request-id"]


def test_a_size_must_be_announced(storage: StorageApi, upload_url: str) -> None:
    answer = storage.blobs.put(upload_url, data=iter([b"a", b"b"]), headers=BLOCK_BLOB, timeout=10)
    assert (answer.status_code, code_of(answer)) == (411, "MissingContentLengthHeader")


def test_the_digest_of_an_upload_is_checked(storage: StorageApi, upload_url: str, emulator: Emulator) -> None:
    digest = base64.b64encode(hashlib.md5(b"right").digest()).decode()
    wrong = storage.put(upload_url, b"wrong", **{"Content-MD5": digest})
    assert (wrong.status_code, code_of(wrong)) == (400, "Md5Mismatch")
    assert files_on_disk(emulator) == []
    assert storage.put(upload_url, b"wrong", **{"Content-MD5": "?"}).status_code == 400
    right = storage.put(upload_url, b"right", **{"Content-MD5": digest})
    assert (right.status_code, right.headers["Content-MD5"]) == (201, digest)


def test_a_large_upload_needs_blocks(storage: StorageApi, upload_url: str, emulator: Emulator) -> None:
    emulator.quirks.largest_put = 10
    answer = storage.put(upload_url, b"x" * 11)
    assert (answer.status_code, code_of(answer)) == (413, "RequestBodyTooLarge")
    assert "<MaxLimit>10</MaxLimit>" in answer.text
    assert storage.put(upload_url, b"x" * 10).status_code == 201


def test_blocks_appear_when_their_list_is_written(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    url = links["uploadUrl"]
    for number, data in ((2, b"two"), (1, b"one"), (3, b"unused")):
        assert put_block(storage, url, number, data).status_code == 201
    assert api.post(links["completeUrl"]).status_code == 422
    listed = storage.blobs.get(url, params={"comp": "blocklist", "blocklisttype": "all"}, timeout=10).text
    assert f"<UncommittedBlocks><Block><Name>{block_id(2)}</Name><Size>3</Size></Block>" in listed
    assert "<CommittedBlocks></CommittedBlocks>" in listed
    assert put_list(storage, url, 1, 2).status_code == 201
    listed = storage.blobs.get(url, params={"comp": "blocklist"}, timeout=10).text
    assert listed.count("<Block>") == 2
    assert len(files_on_disk(emulator)) == 1, "the blocks and the unused one are removed"
    assert put_block(storage, url, 4, b"four").status_code == 201
    assert put_list(storage, url, 2, 4, 1).status_code == 201
    api.post(links["completeUrl"])
    assert storage.content(file_id_of(links["completeUrl"])) == b"twofourone"


def test_wrong_blocks_and_lists_are_rejected(storage: StorageApi, upload_url: str) -> None:
    assert put_block(storage, upload_url, 1, b"one").status_code == 201
    unknown = put_list(storage, upload_url, 1, 2)
    assert (unknown.status_code, code_of(unknown)) == (400, "InvalidBlockList")
    assert code_of(put_list(storage, upload_url, 1, where="Committed")) == "InvalidBlockList"
    for identifier, code in (("no base64!", "InvalidBlockId"), ("", "InvalidBlockId"), ("YQ==", "InvalidBlobOrBlock")):
        parameters = {"comp": "block", "blockid": identifier}
        answer = storage.blobs.put(upload_url, params=parameters, data=b"x", timeout=10)
        assert (answer.status_code, code_of(answer)) == (400, code)
    no_xml = storage.blobs.put(upload_url, params={"comp": "blocklist"}, data=b"hello", timeout=10)
    assert code_of(no_xml) == "InvalidXmlDocument"


def test_ranges_and_properties(storage: StorageApi) -> None:
    url = storage.url(storage.upload("a.dgn", b"0123456789"))
    for header in ("Range", "x-ms-range"):
        part = storage.blobs.get(url, headers={header: "bytes=2-4"}, timeout=10)
        assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert storage.blobs.get(url, headers={"Range": "bytes=7-"}, timeout=10).content == b"789"
    assert storage.blobs.get(url, headers={"Range": "bytes=7-99"}, timeout=10).content == b"789"
    beyond = storage.blobs.get(url, headers={"Range": "bytes=10-"}, timeout=10)
    assert (beyond.status_code, code_of(beyond), beyond.headers["Content-Range"]) == (416, "InvalidRange", "bytes */10")
    head = storage.blobs.head(url, timeout=10)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "10", b"")
    assert head.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"0123456789").digest()).decode()
    assert head.headers["Accept-Ranges"] == "bytes"


def test_another_content_has_another_etag(storage: StorageApi) -> None:
    file_id = storage.upload("a.dgn", b"old content")
    url = storage.url(file_id)
    etag = storage.blobs.get(url, timeout=10).headers["ETag"]
    rest = {"Range": "bytes=4-", "If-Match": etag}
    assert storage.blobs.get(url, headers=rest, timeout=10).content == b"content"
    assert storage.blobs.get(url, headers={"If-None-Match": etag}, timeout=10).status_code in (304, 412)
    storage.update(file_id, b"new content")
    changed = storage.blobs.get(url, headers=rest, timeout=10)
    assert (changed.status_code, code_of(changed)) == (412, "ConditionNotMet")
    assert storage.blobs.get(url, timeout=10).content == b"new content"


def test_a_url_expires_on_the_clock_of_the_service(storage: StorageApi, clock: ManualClock) -> None:
    upload, file_id = storage.begin("b.dgn")["uploadUrl"], storage.upload("a.dgn", b"x")
    download = storage.url(file_id)
    clock.advance(3599)
    assert storage.blobs.get(download, timeout=10).status_code == 200
    clock.advance(1)
    for answer in (storage.blobs.get(download, timeout=10), storage.put(upload, b"x")):
        assert (answer.status_code, code_of(answer)) == (403, "AuthenticationFailed")
        assert "Expiry" in answer.text
    storage.api.renew()
    assert storage.content(file_id) == b"x"


def test_a_url_cannot_be_changed(storage: StorageApi, upload_url: str) -> None:
    download = storage.url(storage.upload("b.dgn", b"x"))
    for url in (
        download.replace("sp=r", "sp=rcw"),
        download.replace("sig=", "sig=x"),
        download.replace("se=2026", "se=2027"),
        download.partition("?")[0],
        upload_url.partition("?")[0] + "?" + download.partition("?")[2],
    ):
        answer = storage.blobs.get(url, timeout=10)
        assert (answer.status_code, code_of(answer)) == (403, "AuthenticationFailed"), url


def test_a_url_to_read_cannot_write(storage: StorageApi, emulator: Emulator) -> None:
    file_id = storage.upload("a.dgn", b"x")
    answer = storage.put(storage.url(file_id), b"y")
    assert (answer.status_code, code_of(answer)) == (403, "AuthorizationPermissionMismatch")
    assert storage.content(file_id) == b"x"
    emulator.quirks.upload_permissions = "cw"
    upload = storage.begin_update(file_id)["uploadUrl"]
    assert storage.put(upload, b"y").status_code == 201
    assert code_of(storage.blobs.get(upload, timeout=10)) == "AuthorizationPermissionMismatch"


def test_a_token_must_not_be_sent_to_a_url(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    download = storage.url(storage.upload("a.dgn", b"x"))
    upload = storage.begin("b.dgn")["uploadUrl"]
    assert emulator.token_leaks() == []
    for answer in (api.get(download), api.call("PUT", upload, data=b"x", headers=BLOCK_BLOB)):
        assert (answer.status_code, code_of(answer)) == (403, "AuthenticationFailed")
    assert [leak.operation for leak in emulator.token_leaks()] == ["get-blob", "put-blob"]
    reported = api.control("GET", "/leaks").json()
    assert (reported["count"], [leak["method"] for leak in reported["entries"]]) == (2, ["GET", "PUT"])
    assert api.token not in str(reported)


def test_the_log_has_no_signature(storage: StorageApi, emulator: Emulator) -> None:
    file_id = storage.upload("a.dgn", b"x")
    url = storage.url(file_id)
    storage.blobs.get(url, timeout=10)
    signature = url.partition("sig=")[2]
    assert signature not in str(list(emulator.request_log))
    assert [one.operation for one in emulator.request_log if one.path.startswith("/blobs/")] == ["put-blob", "get-blob"]
    sizes = [one.body_size for one in emulator.request_log if one.operation == "put-blob"]
    assert sizes == [1]


def test_a_completed_upload_cannot_be_written_again(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    storage.put(links["uploadUrl"], b"x")
    api.post(links["completeUrl"])
    answer = storage.put(links["uploadUrl"], b"y")
    assert (answer.status_code, code_of(answer)) == (404, "BlobNotFound")
    assert len(files_on_disk(emulator)) == 1


def test_unknown_paths_and_verbs_have_xml_errors(storage: StorageApi, emulator: Emulator, upload_url: str) -> None:
    for method, url, status in (
        ("GET", f"{emulator.url}/blobs", 404),
        ("GET", f"{emulator.url}/blobs/itwin/nobody", 403),
        ("DELETE", upload_url, 405),
        ("PUT", f"{upload_url}&comp=page", 400),
        ("GET", upload_url, 404),
    ):
        answer = storage.blobs.request(method, url, timeout=10)
        assert answer.status_code == status
        assert code_of(answer)


def test_large_files_need_little_memory(storage: StorageApi, emulator: Emulator) -> None:
    size = 96 * MEBIBYTE
    links = storage.begin("large.dgn")

    def zeros() -> Iterator[bytes]:
        for _ in range(96):
            yield bytes(MEBIBYTE)

    tracemalloc.start()
    answer = storage.blobs.put(links["uploadUrl"], data=_Body(zeros(), size), headers=BLOCK_BLOB, timeout=60)
    assert answer.status_code == 201
    with storage.blobs.get(links["uploadUrl"], stream=True, timeout=60) as stream:
        received = sum(len(part) for part in stream.iter_content(MEBIBYTE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == size
    assert peak < 24 * MEBIBYTE, f"{peak / MEBIBYTE:.0f} MiB"
    assert emulator.store.storage.folder.path.exists()


class _Body:
    """A body of a known size that is never whole in memory."""

    def __init__(self, parts: Iterator[bytes], size: int) -> None:
        self._parts = parts
        self.len = size

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def read(self, size: int = -1) -> bytes:
        return next(self._parts, b"")
