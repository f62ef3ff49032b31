"""Folders and files that scenarios and the control API put into Storage, without an upload."""

from __future__ import annotations

from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.blobs import Written
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.storage import Folder, StoredFile, find_name_problem
from itwin_emulator.domain.store import Store

OTHER_PROGRAM = "emulator"
"""The client that such files seem to come from."""


def add_folders(store: Store, itwin_id: str, path: str) -> Folder:
    """
    Add the folders of a path below the root folder, and return the last one.

    :raises ValueError: a name is invalid
    """
    now = store.clock.now()
    with store.lock:
        folder = store.storage.root(itwin_id, now)
        for name in filter(None, path.split("/")):
            problem = find_name_problem(name, of_file=False)
            if problem is not None:
                raise ValueError(f"folder {name!r}: {problem}")
            found = store.storage.find_by_name(folder.id, name, Folder)
            if not isinstance(found, Folder):
                found = store.storage.add_folder(itwin_id, folder.id, name, OTHER_PROGRAM, now)
            folder = found
        return folder


def add_file(
    store: Store,
    itwin_id: str,
    path: str,
    text: str | None,
    size: int | None,
    file_id: str | None = None,
    description: str | None = None,
) -> StoredFile:
    """
    Add a file at a path below the root folder.

    :param size: size of a generated content, instead of the text
    :param file_id: None: derived from the name, as for files of connections
    :raises ValueError: the name is invalid, or the id exists
    """
    folder_path, _, name = path.rpartition("/")
    problem = find_name_problem(name, of_file=True)
    if problem is not None:
        raise ValueError(f"file {name!r}: {problem}")
    with store.lock:
        key = file_id or ids.derived_id("file", name)
        if not ids.is_valid(key):
            raise ValueError(f"file id {key!r}: only letters, digits, '-' and '_', at most 128 of them")
        if key in store.storage.items:
            raise ValueError(f"file id {key!r} exists already; set another id for {path!r}")
        folder = add_folders(store, itwin_id, folder_path)
        now = store.clock.now()
        file = store.storage.add_file(folder, name, OTHER_PROGRAM, now, description=description, file_id=key)
        store.storage.set_content(file, _write(store, path, text, size), OTHER_PROGRAM, now)
        return file


def set_content(store: Store, file_id: str, text: str | None, size: int | None) -> None:
    """
    Change the content of a file, as another program would.

    :raises LookupError: no such file
    """
    with store.lock:
        file = store.storage.find_file(file_id)
        if file is None:
            raise LookupError(f"no file {file_id!r}")
        written = _write(store, store.storage.path(file), text, size)
        store.storage.set_content(file, written, OTHER_PROGRAM, store.clock.now())


def describe(store: Store, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the files in Storage, without deleted and unfinished ones."""
    with store.lock:
        store.collect_export_outputs()
        storage = store.storage
        found = (storage.find_file(one) for one in list(storage.items))
        return [
            {
                "id": file.id,
                "iTwinId": file.itwin_id,
                "path": storage.path(file),
                "size": file.content.size,
                "digest": file.content.digest,
                "modified": timestamp(file.modified + store.clock.skew),
                "modifiedBy": file.modified_by,
            }
            for file in found
            if file is not None and file.content is not None
        ][:limit]


def _write(store: Store, path: str, text: str | None, size: int | None) -> Written:
    folder = store.storage.folder
    return folder.write((text or "").encode()) if size is None else folder.write_sized(size, path)
