"""A minimal client of Storage for the tests: uploads, downloads and lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from platform_client import Api

BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


class StorageApi:
    """Storage of one iTwin."""

    def __init__(self, api: Api, itwin_id: str) -> None:
        self.api = api
        self.itwin_id = itwin_id
        # Without the token: it must not be sent to pre-signed URLs.
        self.blobs = requests.Session()
        self.blobs.trust_env = False

    @property
    def root(self) -> str:
        links = self.api.get(f"/storage/?iTwinId={self.itwin_id}").json()["_links"]
        return str(links["folder"]["href"]).rpartition("/")[2]

    def names(self, folder_id: str | None = None) -> list[str]:
        path = f"/storage/folders/{folder_id or self.root}/list"
        return [item["displayName"] for item in self.api.get(path).json()["items"]]

    def folder(self, name: str, parent: str | None = None) -> str:
        answer = self.api.post(f"/storage/folders/{parent or self.root}/folders", {"displayName": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["folder"]["id"])

    def begin(self, name: str, folder_id: str | None = None, **body: Any) -> dict[str, str]:
        answer = self.api.post(f"/storage/folders/{folder_id or self.root}/files", {"displayName": name} | body)
        assert answer.status_code == 202, answer.text
        return links_of(answer)

    def put(self, url: str, data: bytes, **headers: str) -> requests.Response:
        return self.blobs.put(url, data=data, headers=BLOCK_BLOB | headers, timeout=30)

    def upload(self, name: str, data: bytes, folder_id: str | None = None) -> str:
        links = self.begin(name, folder_id)
        assert self.put(links["uploadUrl"], data).status_code == 201
        answer = self.api.post(links["completeUrl"])
        assert answer.status_code == 200, answer.text
        return str(answer.json()["file"]["id"])

    def begin_update(self, file_id: str) -> dict[str, str]:
        answer = self.api.post(f"/storage/files/{file_id}/updatecontent")
        assert answer.status_code == 202, answer.text
        return links_of(answer)

    def update(self, file_id: str, data: bytes) -> None:
        links = self.begin_update(file_id)
        assert self.put(links["uploadUrl"], data).status_code == 201
        assert self.api.post(links["completeUrl"]).status_code == 200

    def url(self, file_id: str) -> str:
        answer = self.api.get(f"/storage/files/{file_id}/download")
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def content(self, file_id: str) -> bytes:
        answer = self.blobs.get(self.url(file_id), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.content


def links_of(answer: requests.Response) -> dict[str, str]:
    return {name: link["href"] for name, link in answer.json()["_links"].items()}


def file_id_of(complete_url: str) -> str:
    """Return the id of a new file: the response to its creation has it in this URL only."""
    return urlsplit(complete_url).path.split("/")[3]


def code_of(answer: requests.Response) -> str:
    """Return the code of an error of the blob endpoint."""
    assert answer.headers["Content-Type"].startswith("application/xml")
    code = answer.text.partition("<Code>")[2].partition("</Code>")[0]
    assert answer.headers["x-ms-error-code"] == code
    return code
