"""The operations of the Storage API."""

from __future__ import annotations

from itwin_emulator.api import storage
from itwin_emulator.spec.operation import PAGED, Handler, Operation

_FOLDER = "/folders/{folderId}"
_FILE = "/files/{fileId}"
_DELETED_FOLDER = f"/recyclebin{_FOLDER}"
_DELETED_FILE = f"/recyclebin{_FILE}"
_ITWIN = ("iTwinId", "projectId", *PAGED)
_READ = (404, 422)
_CHANGE = (403, 404, 409, 422)
_CREATE, _NAME, _MOVE, _LOCK = "storage-create-body", "storage-name-body", "storage-move-body", "storage-lock-body"
_UPLOAD, _ONE_FILE, _ONE_FOLDER = "storage-upload-response", "storage-file-response", "storage-folder-response"
_TOP_LEVEL, _ITEMS = "storage-top-level-page", "storage-items-page"
_FILES, _FOLDERS = "storage-files-page", "storage-folders-page"


def _get(identifier: str, path: str, handler: Handler, response: str, query: tuple[str, ...] = ()) -> Operation:
    """Return an operation that reads; ``path`` is relative to the root of the API."""
    return Operation(
        identifier, "GET", f"/storage{path}", handler, api="Storage", response=(response,), query=query, errors=_READ
    )


def _change(
    method: str,
    identifier: str,
    path: str,
    handler: Handler,
    response: str | None = None,
    body: str | None = None,
    *,
    status: int = 200,
    body_required: bool = True,
) -> Operation:
    """Return an operation that changes something; ``path`` is relative to the root of the API."""
    return Operation(
        identifier,
        method,
        f"/storage{path}",
        handler,
        api="Storage",
        status=204 if response is None else status,
        response=() if response is None else (response,),
        body=body,
        errors=_CHANGE,
        body_required=body_required,
    )


STORAGE_OPERATIONS: tuple[Operation, ...] = (
    _get("get-top-level-folders-and-files-by-itwin", "", storage.list_top_level, _TOP_LEVEL, _ITWIN),
    # Folders
    _get("get-folders-and-files-in-folder", f"{_FOLDER}/list", storage.list_folder, _ITEMS, PAGED),
    _get("get-files-in-folder", f"{_FOLDER}/files", storage.list_files, _FILES, PAGED),
    _get("get-folders-in-folder", f"{_FOLDER}/folders", storage.list_folders, _FOLDERS, PAGED),
    _get(
        "search-for-folders-and-files-in-folder",
        f"{_FOLDER}/search",
        storage.search_folder,
        _ITEMS,
        ("name*", *PAGED),
    ),
    _get("get-folder", _FOLDER, storage.get_folder, _ONE_FOLDER),
    _change("POST", "create-folder", f"{_FOLDER}/folders", storage.create_folder, _ONE_FOLDER, _CREATE, status=201),
    _change("PATCH", "update-folder", _FOLDER, storage.update_folder, _ONE_FOLDER, _NAME),
    _change("DELETE", "delete-folder", _FOLDER, storage.delete_folder),
    _change("POST", "move-folder", f"{_FOLDER}/move", storage.move_folder, _ONE_FOLDER, _MOVE),
    _change("POST", "lock-files-in-folder", f"{_FOLDER}/lock", storage.lock_files, _FILES, _LOCK),
    _change("POST", "unlock-files-in-folder", f"{_FOLDER}/unlock", storage.unlock_files, _FILES, _LOCK),
    # Files
    _change("POST", "create-file", f"{_FOLDER}/files", storage.create_file, _UPLOAD, _CREATE, status=202),
    _change(
        "POST",
        "update-file-content",
        f"{_FILE}/updatecontent",
        storage.update_content,
        _UPLOAD,
        _NAME,
        status=202,
        body_required=False,
    ),
    _change("POST", "complete-file-upload", f"{_FILE}/complete", storage.complete_upload, _ONE_FILE),
    _get("get-file", _FILE, storage.get_file, _ONE_FILE),
    _change("PATCH", "update-file", _FILE, storage.update_file, _ONE_FILE, _NAME),
    _change("DELETE", "delete-file", _FILE, storage.delete_file),
    Operation(
        "download-file",
        "GET",
        f"/storage{_FILE}/download",
        storage.download_file,
        api="Storage",
        status=302,
        errors=_READ,
    ),
    _change("POST", "move-file", f"{_FILE}/move", storage.move_file, _ONE_FILE, _MOVE),
    # The recycle bin
    _get("get-folders-and-files-in-recycle-bin", "/recyclebin", storage.list_recycle_bin, _ITEMS, _ITWIN),
    _change("DELETE", "delete-file-from-recycle-bin", _DELETED_FILE, storage.purge_item),
    _change("DELETE", "delete-folder-from-recycle-bin", _DELETED_FOLDER, storage.purge_item),
    _change("POST", "restore-file", f"{_DELETED_FILE}/restore", storage.restore_item),
    _change("POST", "restore-folder", f"{_DELETED_FOLDER}/restore", storage.restore_item),
)
