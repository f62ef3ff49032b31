"""Operations on the files and folders of Storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.api.storage_access import (
    INVALID_COMPLETE,
    INVALID_FILE,
    INVALID_FOLDER,
    INVALID_LIST,
    INVALID_LOCK,
    INVALID_MOVE,
    changeable_file,
    changeable_folder,
    check_name_is_free,
    find_deleted,
    find_file,
    find_folder,
    find_target,
    itwin_of_query,
    move_item,
    read_names,
    serializer_of,
    signed_url,
    storage_of,
    update_names,
    writable,
)
from itwin_emulator.domain.blobs import Content
from itwin_emulator.domain.storage import Folder, Item, StoredFile
from itwin_emulator.http import errors
from itwin_emulator.http.errors import invalid_value, missing_parameter, unprocessable
from itwin_emulator.http.responses import Response

# Lists


def list_top_level(request: ApiRequest) -> Response:
    """Return the folders and files at the top of an iTwin, with a link to its root folder."""
    itwin_id, parameter = itwin_of_query(request)
    storage = storage_of(request)
    root = storage.root(itwin_id, request.store.clock.now())
    link = {"folder": {"href": request.serializer.link(f"/storage/folders/{root.id}")}}
    return _list(request, storage.children(root.id), extra_query=f"{parameter}={itwin_id}&", extra_links=link)


def list_folder(request: ApiRequest) -> Response:
    """Return the folders and files in a folder."""
    return _list(request, storage_of(request).children(find_folder(request).id))


def list_files(request: ApiRequest) -> Response:
    """Return the files in a folder."""
    items = storage_of(request).children(find_folder(request).id)
    return _list(request, [one for one in items if isinstance(one, StoredFile)], name="files")


def list_folders(request: ApiRequest) -> Response:
    """Return the folders in a folder."""
    items = storage_of(request).children(find_folder(request).id)
    return _list(request, [one for one in items if isinstance(one, Folder)], name="folders")


def search_folder(request: ApiRequest) -> Response:
    """Return the folders and files in a folder whose names match."""
    folder = find_folder(request)
    name = request.query.get("name")
    if not name:
        raise unprocessable(INVALID_LIST, missing_parameter("name"))
    found = storage_of(request).search(folder.id, name)
    return _list(request, found, extra_query=f"name={quote(name, safe='')}&")


# Folders


def get_folder(request: ApiRequest) -> Response:
    """Return a folder."""
    return _folder_response(request, find_folder(request))


def create_folder(request: ApiRequest) -> Response:
    """Create a folder in a folder."""
    parent = writable(request, find_folder(request))
    name, description = read_names(request, INVALID_FOLDER, of_file=False)
    check_name_is_free(request, parent.id, name, Folder)
    folder = storage_of(request).add_folder(
        parent.itwin_id, parent.id, name, request.client.id, request.store.clock.now(), description=description
    )
    return _folder_response(request, folder, 201)


def update_folder(request: ApiRequest) -> Response:
    """Change the name and the description of a folder."""
    folder = changeable_folder(request)
    update_names(request, folder, INVALID_FOLDER)
    return _folder_response(request, folder)


def delete_folder(request: ApiRequest) -> Response:
    """Move a folder to the recycle bin."""
    folder = changeable_folder(request)
    storage_of(request).delete(folder, request.store.clock.now())
    return Response(204)


def move_folder(request: ApiRequest) -> Response:
    """Move a folder to another folder."""
    folder = changeable_folder(request)
    target = find_target(request, folder)
    if storage_of(request).is_inside(target, folder):
        raise unprocessable(INVALID_MOVE, invalid_value("parentFolderId", "A folder cannot be moved into itself."))
    move_item(request, folder, target)
    return _folder_response(request, folder)


# Files


def create_file(request: ApiRequest) -> Response:
    """Create a file: return the URLs to upload and to complete it."""
    folder = writable(request, find_folder(request))
    name, description = read_names(request, INVALID_FILE, of_file=True)
    check_name_is_free(request, folder.id, name, StoredFile)
    file = storage_of(request).add_file(
        folder, name, request.client.id, request.store.clock.now(), description=description, file_id=None
    )
    return _upload_links(request, file)


def update_content(request: ApiRequest) -> Response:
    """Begin the upload of another content of a file."""
    file = changeable_file(request)
    if request.body.strip():
        # The documentation has a body with the name; Bentley's command line sends none.
        read_names(request, INVALID_FILE, of_file=True, required=False)
    return _upload_links(request, file)


def complete_upload(request: ApiRequest) -> Response:
    """Complete an upload: the file has the uploaded content from now on."""
    request.check_ids(INVALID_COMPLETE)
    storage = storage_of(request)
    found = storage.items.get(request.params["fileId"])
    if (
        not isinstance(found, StoredFile)
        or found.deleted is not None
        or storage.find_folder(found.parent_id or "") is None
    ):
        raise errors.file_not_found()
    file = writable(request, found, visible=errors.file_not_found)
    if file.upload_id is None:
        if request.store.quirks.complete_twice == "rejected":
            raise errors.file_not_found()
        return _file_response(request, file)
    if file.content is None:
        check_name_is_free(request, file.parent_id or "", file.display_name, StoredFile)
    _complete(request, file)
    return _file_response(request, file)


def get_file(request: ApiRequest) -> Response:
    """Return a file."""
    return _file_response(request, find_file(request))


def update_file(request: ApiRequest) -> Response:
    """Change the name and the description of a file."""
    file = changeable_file(request)
    update_names(request, file, INVALID_FILE)
    return _file_response(request, file)


def delete_file(request: ApiRequest) -> Response:
    """Move a file to the recycle bin."""
    storage_of(request).delete(changeable_file(request), request.store.clock.now())
    return Response(204)


def download_file(request: ApiRequest) -> Response:
    """Redirect to the pre-signed URL of the content of a file."""
    file = find_file(request)
    return Response(302, None, {"Location": signed_url(request, file.itwin_id, file.id, "r")})


def move_file(request: ApiRequest) -> Response:
    """Move a file to another folder."""
    file = changeable_file(request)
    move_item(request, file, find_target(request, file))
    return _file_response(request, file)


def lock_files(request: ApiRequest) -> Response:
    """Lock files of a folder: they cannot be changed until they are unlocked."""
    return _set_lock(request, locked=True)


def unlock_files(request: ApiRequest) -> Response:
    """Unlock files of a folder."""
    return _set_lock(request, locked=False)


# The recycle bin


def list_recycle_bin(request: ApiRequest) -> Response:
    """Return the deleted folders and files of an iTwin."""
    itwin_id, parameter = itwin_of_query(request)
    return _list(request, storage_of(request).recycle_bin(itwin_id), extra_query=f"{parameter}={itwin_id}&")


def purge_item(request: ApiRequest) -> Response:
    """Delete a file or a folder of the recycle bin forever."""
    storage_of(request).purge(find_deleted(request))
    return Response(204)


def restore_item(request: ApiRequest) -> Response:
    """Move a file or a folder of the recycle bin back to its folder."""
    item = find_deleted(request)
    storage = storage_of(request)
    if storage.find_folder(item.parent_id or "") is None:
        raise errors.folder_not_found()
    check_name_is_free(request, item.parent_id or "", item.display_name, type(item))
    storage.undelete(item)
    return Response(204)


# Responses


def _list(
    request: ApiRequest,
    items: Sequence[Item],
    *,
    name: str = "items",
    extra_query: str = "",
    extra_links: dict[str, Any] | None = None,
) -> Response:
    return request.page(
        name,
        items,
        serializer_of(request).item,
        INVALID_LIST,
        extra_query=extra_query,
        extra_links=extra_links,
    )


def _folder_response(request: ApiRequest, folder: Folder, status: int = 200) -> Response:
    return Response(status, {"folder": serializer_of(request).item(folder)})


def _file_response(request: ApiRequest, file: StoredFile) -> Response:
    return Response(200, {"file": serializer_of(request).item(file)})


def _upload_links(request: ApiRequest, file: StoredFile) -> Response:
    blob = storage_of(request).begin_upload(file)
    upload = signed_url(request, file.itwin_id, blob.id, request.store.quirks.upload_permissions)
    complete = request.serializer.link(f"/storage/files/{file.id}/complete")
    return Response(202, {"_links": {"uploadUrl": {"href": upload}, "completeUrl": {"href": complete}}})


def _complete(request: ApiRequest, file: StoredFile) -> None:
    storage, now = storage_of(request), request.store.clock.now()
    if storage.complete_upload(file, request.client.id, now):
        return
    if request.store.quirks.complete_without_content == "rejected":
        message = "The content of the file was not uploaded."
        raise unprocessable(INVALID_COMPLETE, invalid_value("fileId", message))
    blob = storage.begin_upload(file)
    empty = storage.folder.write(b"")
    blob.content = Content(empty.name, empty.size, empty.digest, now)
    storage.complete_upload(file, request.client.id, now)


def _set_lock(request: ApiRequest, *, locked: bool) -> Response:
    folder = writable(request, find_folder(request))
    file_ids = request.json(INVALID_LOCK).get("fileIds")
    if not isinstance(file_ids, list) or not all(isinstance(one, str) for one in file_ids):
        raise unprocessable(INVALID_LOCK, invalid_value("fileIds"))
    storage = storage_of(request)
    files = [storage.find_file(one) for one in file_ids]
    found = [file for file in files if file is not None and file.parent_id == folder.id]
    if len(found) < len(files) or not (locked or all(file.locked for file in found)):
        raise errors.file_not_found()
    for file in found:
        file.locked = locked
    serializer = serializer_of(request)
    return request.page("files", found, serializer.locked_file, INVALID_LOCK)
