"""Files and folders of Storage as JSON data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain import ids
from itwin_emulator.domain.storage import Item, Storage, StoredFile


@dataclass(frozen=True, slots=True)
class StorageSerializer(Serializer):
    """Serializes files and folders for one request."""

    storage: Storage

    def item(self, item: Item) -> dict[str, Any]:
        """Return a file or a folder. It says everywhere what it is; in the documentation, it does so in lists of both only."""
        entity: dict[str, Any] = {"type": "file" if isinstance(item, StoredFile) else "folder"}
        entity["id"] = item.id
        entity["displayName"] = item.display_name
        if item.description is not None:
            entity["description"] = item.description
        entity["path"] = self.storage.path(item)
        if isinstance(item, StoredFile):
            entity["size"] = 0 if item.content is None else item.content.size
            if item.locked:
                entity["isFileLocked"] = True
        entity["lastModifiedByDisplayName"] = item.modified_by
        entity["createdDateTime"] = self.date(item.created)
        entity["lastModifiedDateTime"] = self.date(item.modified)
        links = {
            "createdBy": {"href": self._member(item, item.created_by)},
            "lastModifiedBy": {"href": self._member(item, item.modified_by)},
        }
        if item.parent_id is not None:
            entity["parentFolderId"] = item.parent_id
            links["parentFolder"] = {"href": self.link(f"/storage/folders/{item.parent_id}")}
        entity["_links"] = links
        return self.apply_quirks(entity)

    def locked_file(self, file: StoredFile) -> dict[str, Any]:
        """Return a file with its lock, even if it has none."""
        return self.item(file) | {"isFileLocked": file.locked}

    def _member(self, item: Item, client_id: str) -> str:
        return self.link(f"/accesscontrol/itwins/{item.itwin_id}/members/{ids.derived_guid('member', client_id)}")
