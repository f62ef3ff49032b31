"""What the operations on Storage have in common: finding items, checking roles and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.api.storage_serializer import StorageSerializer
from itwin_emulator.domain import ids
from itwin_emulator.domain.storage import Folder, Item, Storage, StoredFile, find_name_problem
from itwin_emulator.http import errors, sas
from itwin_emulator.http.errors import ApiError, invalid_value, missing_parameter, missing_property, unprocessable

INVALID_FILE = "InvalidCreateFileRequest"
INVALID_FOLDER = "InvalidCreateFolderRequest"
INVALID_LIST = "InvalidStorageRequest"
INVALID_MOVE = "InvalidMoveRequest"
INVALID_LOCK = "InvalidLockFilesRequest"
INVALID_COMPLETE = "InvalidCompleteFileRequest"

_I = TypeVar("_I", bound=Item)


def storage_of(request: ApiRequest) -> Storage:
    """Return Storage as of now: with the outputs of ended export runs, without what is too long in the recycle bin."""
    storage = request.store.storage
    request.store.collect_export_outputs()
    storage.purge_expired(request.store.clock.now())
    return storage


def role_in(request: ApiRequest, itwin_id: str) -> str | None:
    """Return the role of the client in an iTwin, or None."""
    if request.client.everywhere:
        return "owner"
    itwin = request.store.itwins.get(itwin_id)
    return None if itwin is None else itwin.members.get(request.client.id)


def itwin_of_query(request: ApiRequest) -> tuple[str, str]:
    """Return the iTwin that the query names, and the parameter for the links."""
    parameter = "iTwinId" if "itwinid" in request.query or "projectid" not in request.query else "projectId"
    itwin_id = request.query.get(parameter.lower())
    if itwin_id is None:
        raise unprocessable(INVALID_LIST, missing_parameter("iTwinId"))
    given = [name for name in ("iTwinId", "projectId") if name.lower() in request.query]
    details = [invalid_value(name) for name in given if not ids.is_valid(request.query[name.lower()])]
    if details:
        raise unprocessable(INVALID_LIST, *details)
    if itwin_id not in request.store.itwins or role_in(request, itwin_id) is None:
        raise errors.itwin_not_found()
    return itwin_id, parameter


def find_folder(request: ApiRequest) -> Folder:
    """Return the folder in the path."""
    request.check_ids(INVALID_LIST)
    folder = storage_of(request).find_folder(request.params["folderId"])
    if folder is None or role_in(request, folder.itwin_id) is None:
        raise errors.folder_not_found()
    return folder


def changeable_folder(request: ApiRequest) -> Folder:
    """Return the folder in the path if the client may change it."""
    folder = writable(request, find_folder(request))
    if folder.parent_id is None:
        raise unprocessable(INVALID_FOLDER, invalid_value("folderId", "The root folder cannot be changed."))
    return folder


def find_file(request: ApiRequest) -> StoredFile:
    """Return the file in the path."""
    request.check_ids(INVALID_LIST)
    file = storage_of(request).find_file(request.params["fileId"])
    if file is None or role_in(request, file.itwin_id) is None:
        raise errors.file_not_found()
    return file


def changeable_file(request: ApiRequest) -> StoredFile:
    """Return the file in the path if the client may change it."""
    file = writable(request, find_file(request))
    if file.locked:
        raise errors.file_locked()
    return file


def find_deleted(request: ApiRequest) -> Item:
    """Return the file or folder of the recycle bin in the path if the client may change it."""
    request.check_ids(INVALID_LIST)
    of_file = "fileId" in request.params
    kind: type[Item] = StoredFile if of_file else Folder
    item = storage_of(request).find_deleted(request.params["fileId" if of_file else "folderId"], kind)
    missing = errors.file_not_found if of_file else errors.folder_not_found
    if item is None:
        raise missing()
    return writable(request, item, visible=missing)


def writable(request: ApiRequest, item: _I, *, visible: Callable[[], ApiError] | None = None) -> _I:
    """
    Return an item if the client may change it.

    :param visible: makes the error for a client without any role in the iTwin; None: this is checked already
    """
    role = role_in(request, item.itwin_id)
    if role is None and visible is not None:
        raise visible()
    if role in (None, "reader"):
        raise errors.insufficient_permissions()
    return item


def read_names(request: ApiRequest, code: str, *, of_file: bool, required: bool = True) -> tuple[str, str | None]:
    """
    Return the name and the description in the body.

    :param required: whether there must be a name; without one it is empty
    """
    body = request.json(code)
    name, description = body.get("displayName"), body.get("description")
    details = []
    if name is None:
        if required:
            details.append(missing_property("displayName", "create or update a file or folder"))
    elif not isinstance(name, str):
        details.append(invalid_value("displayName"))
    else:
        problem = find_name_problem(name, of_file=of_file)
        details += [] if problem is None else [invalid_value("displayName", problem)]
    if description is not None and not isinstance(description, str):
        details.append(invalid_value("description"))
    if details:
        raise unprocessable(code, *details)
    return name or "", description


def check_name_is_free(
    request: ApiRequest, folder_id: str, name: str, kind: type[Item], itself: Item | None = None
) -> None:
    """Raise a 409 if another file or folder has the name and the quirk does not accept that."""
    allowed = request.store.quirks.same_name
    if allowed == "accepted" or (allowed == "files" and kind is StoredFile):
        return
    other = storage_of(request).find_by_name(folder_id, name, kind)
    if other is not None and other is not itself:
        raise errors.name_exists(of_file=kind is StoredFile)


def update_names(request: ApiRequest, item: Item, code: str) -> None:
    """Change the name and the description of an item, as far as the body has them."""
    is_file = isinstance(item, StoredFile)
    name, description = read_names(request, code, of_file=is_file, required=False)
    if name:
        check_name_is_free(request, item.parent_id or "", name, type(item), item)
        item.display_name = name
    if "description" in request.json(code):
        item.description = description
    _touch(request, item)


def find_target(request: ApiRequest, item: Item) -> Folder:
    """Return the folder that an item is to be moved to."""
    folder_id = request.json(INVALID_MOVE).get("parentFolderId")
    if folder_id is None:
        raise unprocessable(INVALID_MOVE, missing_property("parentFolderId", "move a file or folder"))
    if not isinstance(folder_id, str) or not ids.is_valid(folder_id):
        raise unprocessable(INVALID_MOVE, invalid_value("parentFolderId"))
    target = storage_of(request).find_folder(folder_id)
    if target is None or target.itwin_id != item.itwin_id:
        raise errors.folder_not_found()
    return target


def move_item(request: ApiRequest, item: Item, target: Folder) -> None:
    """Move an item to another folder."""
    check_name_is_free(request, target.id, item.display_name, type(item), item)
    storage_of(request).move(item, target)
    _touch(request, item)


def signed_url(request: ApiRequest, itwin_id: str, blob_id: str, permissions: str) -> str:
    """Return a pre-signed URL, valid from now on."""
    expires = request.store.clock.service_time() + request.store.quirks.url_lifetime
    return sas.signed_url(request.origin, request.store.storage.key, itwin_id, blob_id, permissions, expires)


def serializer_of(request: ApiRequest) -> StorageSerializer:
    """Return the serializer of files and folders for a response."""
    base = request.serializer
    return StorageSerializer(base.now, base.skew, base.origin, base.quirks, request.store.storage)


def _touch(request: ApiRequest, item: Item) -> None:
    item.modified, item.modified_by = request.store.clock.now(), request.client.id
