"""The endpoints of the Storage API: one function for each documented operation, which returns the :class:`Call` to perform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Response, server_time
from airflow_provider_itwin.api.models.decoding import decoded
from airflow_provider_itwin.api.models.storage import (
    FileEnvelope,
    FolderEnvelope,
    StorageItem,
    StoragePage,
    TopLevelPage,
    UploadEnvelope,
)
from airflow_provider_itwin.api.models.validation import checked_id, known_id

_JSON = {"content-type": "application/json"}
_CREATED = frozenset({200, 201, 202})

ACCEPT_FILE = "application/vnd.bentley.itwin-platform.v1+octet-stream"
"""What the download of a file asks for."""


@dataclass(frozen=True, slots=True)
class Upload:
    """
    An upload that the service has accepted.

    :param file_id: id of the file
    :param url: the pre-signed URL to write the content to. It is a secret, and not part of the ``repr``
    """

    file_id: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file as the service returned it.

    :param file: the file
    :param answered_at: the time of the response by the service's clock; None if it is missing
    """

    file: StorageItem
    answered_at: datetime | None = None


def get_root_folder(itwin_id: str) -> Call[str]:
    """``get-top-level-folders-and-files-by-itwin``; returns the id of the root folder."""
    return Call(
        "get-top-level-folders-and-files-by-itwin",
        "GET",
        "/storage/",
        _root_folder,
        query=(("iTwinId", checked_id(itwin_id, "itwin_id")), ("$top", "1"), ("$skip", "0")),
    )


def _root_folder(response: Response) -> str:
    link = decoded(response.body, TopLevelPage).links.folder
    root = known_id(_last_segment(link.href)) if link else None
    if root is None:
        raise ITwinProtocolError("The response does not name the root folder of the iTwin's storage")
    return root


def get_folder(folder_id: str) -> Call[StorageItem]:
    """``get-folder``."""
    return Call("get-folder", "GET", _path("folders", checked_id(folder_id, "folder_id")), _folder)


def get_folder_content(folder_id: str, top: int, skip: int) -> Call[StoragePage]:
    """``get-folders-and-files-in-folder``."""
    return Call(
        "get-folders-and-files-in-folder",
        "GET",
        _path("folders", checked_id(folder_id, "folder_id"), "list"),
        lambda response: decoded(response.body, StoragePage),
        query=(("$top", str(top)), ("$skip", str(skip))),
    )


def create_folder(parent_id: str, name: str) -> Call[StorageItem]:
    """``create-folder``."""
    path = _path("folders", checked_id(parent_id, "folder_id"), "folders")
    return _with_body("create-folder", "POST", path, {"displayName": name}, _folder)


def create_file(folder_id: str, name: str, description: str | None = None) -> Call[Upload]:
    """``create-file``; the file exists once its content is complete."""
    body = {"displayName": name} | ({"description": description} if description else {})
    path = _path("folders", checked_id(folder_id, "folder_id"), "files")
    return _with_body("create-file", "POST", path, body, _upload)


def update_file_content(file_id: str, name: str) -> Call[Upload]:
    """``update-file-content``; the old content stays until the new one is complete."""
    path = _path("files", checked_id(file_id, "file_id"), "updatecontent")
    return _with_body(
        "update-file-content", "POST", path, {"displayName": name}, lambda response: _upload(response, file_id)
    )


def complete_file(file_id: str) -> Call[StoredFile]:
    """``complete-file-upload``; makes the uploaded content visible."""
    path = _path("files", checked_id(file_id, "file_id"), "complete")
    return Call("complete-file-upload", "POST", path, _stored, accepts=_CREATED)


def get_file(file_id: str) -> Call[StorageItem]:
    """``get-file``."""
    path = _path("files", checked_id(file_id, "file_id"))
    return Call("get-file", "GET", path, lambda response: _stored(response).file)


def get_stored_file(file_id: str) -> Call[StoredFile]:
    """``get-file``, with the time of the response."""
    return Call("get-file", "GET", _path("files", checked_id(file_id, "file_id")), _stored)


def describe_file(file_id: str, description: str) -> Call[StorageItem]:
    """``update-file``; replaces the description."""
    path = _path("files", checked_id(file_id, "file_id"))
    return _with_body(
        "update-file", "PATCH", path, {"description": description}, lambda response: _stored(response).file
    )


def download_file(file_id: str) -> Call[str]:
    """``download-file``; returns the pre-signed URL of the content, which is a secret."""
    path = _path("files", checked_id(file_id, "file_id"), "download")
    return Call(
        "download-file",
        "GET",
        path,
        _download_url,
        headers={"accept": ACCEPT_FILE},
        accepts=frozenset({302, 303, 307}),
    )


def _download_url(response: Response) -> str:
    url = response.headers.get("location")
    if not url:
        raise ITwinProtocolError("The response has no Location with the URL of the file's content")
    return url


def _folder(response: Response) -> StorageItem:
    folder = decoded(response.body, FolderEnvelope).folder
    if known_id(folder.id) is None:
        raise ITwinProtocolError("The response is a folder without a valid id")
    return folder


def _stored(response: Response) -> StoredFile:
    file = decoded(response.body, FileEnvelope).file
    if known_id(file.id) is None:
        raise ITwinProtocolError("The response is a file without a valid id")
    return StoredFile(file, server_time(response))


def _upload(response: Response, file_id: str | None = None) -> Upload:
    """Read the links of an upload. A new file's id is only part of the link: ``.../storage/files/{id}/complete``."""
    links = decoded(response.body, UploadEnvelope).links
    url = links.upload_url.href if links.upload_url else None
    if file_id is None:
        segments = _segments(links.complete_url.href if links.complete_url else None)
        file_id = known_id(segments[-2]) if segments[-1:] == ["complete"] and len(segments) > 1 else None
    if not url or file_id is None:
        raise ITwinProtocolError("The response has no URL for the upload, or does not name the file")
    return Upload(file_id, url)


def _last_segment(url: str | None) -> str | None:
    segments = _segments(url)
    return segments[-1] if segments else None


def _segments(url: str | None) -> list[str]:
    try:
        return [unquote(segment) for segment in urlsplit(url or "").path.split("/") if segment]
    except ValueError:
        return []


def _path(*segments: str) -> str:
    return "/".join(["/storage", *(quote(segment, safe="") for segment in segments)])


def _with_body(operation: str, method: str, path: str, body: Mapping[str, Any], read: Any) -> Call[Any]:
    return Call(operation, method, path, read, headers=_JSON, body=msgspec.json.encode(body), accepts=_CREATED)
