"""Faults of uploads and downloads."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from itwin_emulator import Emulator
from itwin_emulator.http.faults import FaultKind
from platform_client import Api
from storage_client import StorageApi, file_id_of

DATA = bytes(range(256)) * 4096 * 3
"""Three MiB."""


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_status_has_an_xml_error(storage: StorageApi, emulator: Emulator, status: int) -> None:
    url = storage.begin("a.dgn")["uploadUrl"]
    emulator.fail("put-blob", status=status)
    answer = storage.put(url, DATA)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/xml")
    assert "<Error><Code>" in answer.text
    assert storage.put(url, DATA).status_code == 201
    assert [(one.status, one.fault) for one in emulator.request_log if one.operation == "put-blob"] == [
        (status, "status"),
        (201, None),
    ]


def test_a_processed_upload_can_be_answered_with_an_error(storage: StorageApi, api: Api, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    emulator.fail("put-blob", status=500, processed=True)
    assert storage.put(links["uploadUrl"], DATA).status_code == 500
    assert api.post(links["completeUrl"]).status_code == 200
    assert storage.content(file_id_of(links["completeUrl"])) == DATA


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "reset-body"])
def test_an_upload_can_be_cut(storage: StorageApi, api: Api, emulator: Emulator, kind: FaultKind) -> None:
    links = storage.begin("a.dgn")
    emulator.fail("put-blob", kind=kind)
    with pytest.raises(requests.ConnectionError):
        storage.put(links["uploadUrl"], DATA)
    uploaded = kind == "reset-after"
    assert api.post(links["completeUrl"]).status_code == (200 if uploaded else 422)
    assert len(list(emulator.store.storage.folder.path.iterdir())) == uploaded, "no torn file is left"


def read_until_cut(storage: StorageApi, url: str) -> int:
    """Return the number of bytes that arrive before the connection ends."""
    received = 0
    with storage.blobs.get(url, stream=True, timeout=10) as answer:
        assert answer.headers["Content-Length"] == str(len(DATA))
        try:
            for part in answer.iter_content(65536):
                received += len(part)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return received
    raise AssertionError("the download was not cut")


def test_a_download_can_be_truncated(storage: StorageApi, emulator: Emulator) -> None:
    url = storage.url(storage.upload("a.dgn", DATA))
    for kind in ("truncate", "reset-body"):
        emulator.fail("get-blob", kind=kind)
        received = read_until_cut(storage, url)
        assert received <= len(DATA) // 2
        rest = storage.blobs.get(url, headers={"Range": f"bytes={received}-"}, timeout=10)
        assert rest.content == DATA[received:]


def test_transfers_can_be_slow(storage: StorageApi, emulator: Emulator) -> None:
    links = storage.begin("a.dgn")
    for operation in ("put-blob", "get-blob"):
        emulator.fail(operation, kind="slow-body", seconds=0.3)
    began = time.monotonic()
    assert storage.put(links["uploadUrl"], DATA).status_code == 201
    uploaded = time.monotonic()
    assert storage.blobs.get(links["uploadUrl"], timeout=10).content == DATA
    assert uploaded - began >= 0.2
    assert time.monotonic() - uploaded >= 0.2


def test_other_kinds_apply_to_downloads(storage: StorageApi, emulator: Emulator) -> None:
    url = storage.url(storage.upload("a.dgn", b"content"))
    emulator.fail("get-blob", kind="html")
    assert storage.blobs.get(url, timeout=10).status_code == 502
    emulator.fail("get-blob", kind="short-length")
    assert storage.blobs.get(url, timeout=10).content == b"con"
    emulator.fail("*", status=503, after=1)
    assert storage.blobs.get(url, timeout=10).status_code == 200
    assert storage.blobs.get(url, timeout=10).status_code == 503


def test_a_client_that_gives_up_leaves_nothing(storage: StorageApi, emulator: Emulator) -> None:
    parts = urlsplit(storage.begin("a.dgn")["uploadUrl"])
    head = (
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nx-ms-blob-type: BlockBlob\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"x" * 10)
    deadline = time.monotonic() + 10
    while emulator.request_log[-1].operation != "put-blob" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert emulator.request_log[-1].status is None
    assert list(emulator.store.storage.folder.path.iterdir()) == []
