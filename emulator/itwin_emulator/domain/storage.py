"""
Storage: the folders and files of iTwins, their uploads and their recycle bin.

A file is created by an upload that is completed. Until then a new file is invisible, and an updated file keeps its content.
"""

from __future__ import annotations

import fnmatch
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from itwin_emulator.domain import ids
from itwin_emulator.domain.blobs import Blob, BlobFolder, Content, Written

RETENTION = 30 * 24 * 3600.0
"""Seconds that a deleted file or folder stays in the recycle bin."""
MAX_NAME = 255
INVALID_CHARACTERS = frozenset('<>:"/\\|?*')
DANGEROUS_EXTENSIONS = frozenset(("bat", "cmd", "com", "dll", "exe", "msi", "ps1", "scr", "vbs"))


@dataclass(slots=True, kw_only=True)
class Item:
    """What a file and a folder have in common. Times are seconds since the epoch, without the skew of the clock."""

    id: str
    itwin_id: str
    parent_id: str | None
    """The folder that contains it; None for the root folder of an iTwin."""
    display_name: str
    description: str | None = None
    created: float
    modified: float
    created_by: str
    """Id of the client."""
    modified_by: str
    deleted: float | None = None
    """Time at which it was moved to the recycle bin."""


@dataclass(slots=True, kw_only=True)
class Folder(Item):
    """A folder."""


@dataclass(slots=True, kw_only=True)
class StoredFile(Item):
    """A file."""

    content: Content | None = None
    """None: its first upload is not completed."""
    upload_id: str | None = None
    """Id of the blob of an upload that is not completed."""
    locked: bool = False


T = TypeVar("T", bound=Item)


@dataclass(slots=True)
class Storage:
    """The folders and files of all iTwins. The lock of the store protects it."""

    folder: BlobFolder = field(default_factory=BlobFolder)
    """Where the bytes are."""
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs pre-signed URLs."""
    items: dict[str, Item] = field(default_factory=dict)
    """Files and folders by id, also the deleted ones."""
    uploads: dict[str, Blob] = field(default_factory=dict)
    """Blobs of uploads that are not completed, and of the results of jobs, by id."""
    _children: dict[str, dict[str, Item]] = field(default_factory=dict)
    """The items of each folder, in the order of their creation."""

    # Folders and lists

    def root(self, itwin_id: str, now: float) -> Folder:
        """Return the root folder of an iTwin; it is created with the first request for it."""
        root_id = _root_id(itwin_id)
        found = self.items.get(root_id)
        if isinstance(found, Folder):
            return found
        return self.add_folder(itwin_id, None, itwin_id, "", now, folder_id=root_id)

    def remove_itwin(self, itwin_id: str) -> None:
        """Remove all folders and files of an iTwin, also the deleted ones."""
        root = self.items.get(_root_id(itwin_id))
        if root is not None:
            self.purge(root)

    def add_folder(
        self,
        itwin_id: str,
        parent_id: str | None,
        name: str,
        client_id: str,
        now: float,
        *,
        description: str | None = None,
        folder_id: str | None = None,
    ) -> Folder:
        """Create a folder."""
        return self._add(Folder, itwin_id, parent_id, name, client_id, now, description, folder_id)

    def restore(self, item: Item) -> None:
        """Add an item that exists already, from a state file."""
        self.items[item.id] = item
        if item.parent_id is not None:
            self._children.setdefault(item.parent_id, {})[item.id] = item

    def find_folder(self, folder_id: str) -> Folder | None:
        """Return a folder that is not deleted, and none of whose parents is."""
        found = self.items.get(folder_id)
        return found if isinstance(found, Folder) and self._exists(found) else None

    def find_file(self, file_id: str) -> StoredFile | None:
        """Return a file that has content, is not deleted, and none of whose parents is."""
        found = self.items.get(file_id)
        if not isinstance(found, StoredFile) or found.content is None or not self._exists(found):
            return None
        return found

    def children(self, folder_id: str) -> list[Item]:
        """Return the folders and files of a folder, folders first, without deleted and unfinished ones."""
        found = [one for one in self._children.get(folder_id, {}).values() if _is_listed(one)]
        return sorted(found, key=lambda one: isinstance(one, StoredFile))

    def search(self, folder_id: str, pattern: str) -> list[Item]:
        """Return the folders and files in a folder whose names match; ``*`` and ``?`` are wildcards, the case is ignored."""
        wanted = pattern.casefold().replace("[", "[[]")
        return [one for one in self.children(folder_id) if fnmatch.fnmatchcase(one.display_name.casefold(), wanted)]

    def find_by_name(self, folder_id: str, name: str, kind: type[Item]) -> Item | None:
        """Return the file or the folder with this name in a folder."""
        for one in self.children(folder_id):
            if isinstance(one, kind) and one.display_name == name:
                return one
        return None

    def path(self, item: Item) -> str:
        """Return the path below the root folder: ``folder/file.dgn``."""
        names = [item.display_name]
        names += [parent.display_name for parent in self._parents(item) if parent.parent_id is not None]
        return "/".join(reversed(names))

    def move(self, item: Item, target: Folder) -> None:
        """Move an item to another folder."""
        if item.parent_id is not None:
            self._children[item.parent_id].pop(item.id, None)
        item.parent_id = target.id
        self._children.setdefault(target.id, {})[item.id] = item

    def is_inside(self, folder: Folder, other: Item) -> bool:
        """Return whether a folder is another item, or inside of it."""
        return folder is other or any(parent is other for parent in self._parents(folder))

    # Content

    def add_file(
        self, folder: Folder, name: str, client_id: str, now: float, *, description: str | None, file_id: str | None
    ) -> StoredFile:
        """Create a file without content; it is invisible until it has some."""
        return self._add(StoredFile, folder.itwin_id, folder.id, name, client_id, now, description, file_id)

    def begin_upload(self, file: StoredFile) -> Blob:
        """Return the blob for the next content of a file; there is one until its upload is completed."""
        if file.upload_id is not None:
            return self.uploads[file.upload_id]
        blob = Blob(ids.opaque_id(), file.itwin_id)
        self.uploads[blob.id] = blob
        file.upload_id = blob.id
        return blob

    def complete_upload(self, file: StoredFile, client_id: str, now: float) -> bool:
        """Make the uploaded bytes the content of a file. Return False if nothing was uploaded."""
        blob = self.uploads.get(file.upload_id or "")
        if blob is None or blob.content is None:
            return False
        del self.uploads[blob.id]
        file.upload_id = None
        self.folder.remove(*(block.name for block in blob.staged.values()))
        self._replace_content(file, replace(blob.content, modified=now), client_id)
        return True

    def set_content(self, file: StoredFile, written: Written, client_id: str, now: float) -> None:
        """Set the content of a file without an upload, as another program would."""
        self._replace_content(
            file, Content(written.name, written.size, written.digest, now, md5=written.digest), client_id
        )

    def _replace_content(self, file: StoredFile, content: Content, client_id: str) -> None:
        if file.content is not None and file.content.name != content.name:
            self.folder.remove(file.content.name)
        file.content = content
        file.modified, file.modified_by = content.modified, client_id

    # The recycle bin

    def delete(self, item: Item, now: float) -> None:
        """Move an item to the recycle bin; what a folder contains goes with it."""
        item.deleted = now

    def recycle_bin(self, itwin_id: str) -> list[Item]:
        """Return the deleted items of an iTwin, without what deleted folders contain."""
        return [one for one in self.items.values() if one.itwin_id == itwin_id and one.deleted is not None]

    def find_deleted(self, item_id: str, kind: type[Item]) -> Item | None:
        """Return an item of the recycle bin."""
        found = self.items.get(item_id)
        return found if isinstance(found, kind) and found.deleted is not None else None

    def undelete(self, item: Item) -> None:
        """Move an item from the recycle bin back to its folder."""
        item.deleted = None

    def purge(self, item: Item) -> None:
        """Remove an item, all that it contains, and the bytes."""
        for child in list(self._children.get(item.id, {}).values()):
            self.purge(child)
        self._children.pop(item.id, None)
        if item.parent_id is not None:
            self._children.get(item.parent_id, {}).pop(item.id, None)
        del self.items[item.id]
        if isinstance(item, StoredFile):
            if item.content is not None:
                self.folder.remove(item.content.name)
            self._drop_upload(item)

    def purge_expired(self, now: float) -> None:
        """Remove what has been in the recycle bin for 30 days."""
        expired = [one for one in self.items.values() if one.deleted is not None and one.deleted + RETENTION <= now]
        for one in expired:
            if one.id in self.items:
                self.purge(one)

    def _add(
        self,
        kind: type[T],
        itwin_id: str,
        parent_id: str | None,
        name: str,
        client_id: str,
        now: float,
        description: str | None,
        item_id: str | None,
    ) -> T:
        item = kind(
            id=item_id or ids.opaque_id(),
            itwin_id=itwin_id,
            parent_id=parent_id,
            display_name=name,
            description=description,
            created=now,
            modified=now,
            created_by=client_id,
            modified_by=client_id,
        )
        self.restore(item)
        return item

    def _drop_upload(self, file: StoredFile) -> None:
        blob = self.uploads.pop(file.upload_id or "", None)
        if blob is not None:
            self.folder.remove(*(block.name for block in blob.staged.values()))
            if blob.content is not None:
                self.folder.remove(blob.content.name)

    def _parents(self, item: Item) -> Iterator[Item]:
        while item.parent_id is not None:
            item = self.items[item.parent_id]
            yield item

    def _exists(self, item: Item) -> bool:
        return item.deleted is None and all(parent.deleted is None for parent in self._parents(item))


def _root_id(itwin_id: str) -> str:
    return ids.derived_opaque_id("storage", itwin_id)


def _is_listed(item: Item) -> bool:
    return item.deleted is None and not (isinstance(item, StoredFile) and item.content is None)


def find_name_problem(name: str, *, of_file: bool) -> str | None:
    """Return what is wrong with a name, or None."""
    if not name.strip() or name in (".", ".."):
        return "The name must not be empty."
    if len(name) > MAX_NAME:
        return f"The name must not be longer than {MAX_NAME} characters."
    if any(sign in INVALID_CHARACTERS or ord(sign) < 32 for sign in name):
        return "The name contains invalid characters."
    if of_file and name.rpartition(".")[2].lower() in DANGEROUS_EXTENSIONS and "." in name:
        return "Files of this type could be harmful and are not accepted."
    return None
