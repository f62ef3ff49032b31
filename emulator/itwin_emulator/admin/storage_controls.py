"""The controls of Storage: folders and files that come from no client. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from itwin_emulator.admin import stored_files
from itwin_emulator.domain.store import Store


@dataclass(frozen=True, slots=True)
class StorageControls:
    """
    The controls of the folders and files in Storage.

    :param on_change: called after a change of the store
    """

    store: Store
    on_change: Callable[[], None]

    def add_folder(self, itwin_id: str, path: str) -> str:
        """Add the folders of a path to the Storage of an iTwin, and return the id of the last one."""
        self.store.add_itwin(itwin_id)
        added = stored_files.add_folders(self.store, itwin_id, path).id
        self.on_change()
        return added

    def add_file(
        self,
        itwin_id: str,
        path: str,
        text: str | None = None,
        size: int | None = None,
        file_id: str | None = None,
        description: str | None = None,
    ) -> str:
        """
        Add a file to the Storage of an iTwin, and return its id.

        :param path: path below the root folder; its folders are created
        :param size: size of a generated content, instead of the text
        :param file_id: None: derived from the name, so that files of connections with this name have it, too
        """
        self.store.add_itwin(itwin_id)
        added = stored_files.add_file(self.store, itwin_id, path, text, size, file_id, description).id
        self.on_change()
        return added

    def set_file_content(self, file_id: str, text: str | None = None, size: int | None = None) -> None:
        """
        Change the content of a stored file, as another program would.

        :param size: size of a generated content, instead of the text
        """
        stored_files.set_content(self.store, file_id, text, size)
        self.on_change()

    def stored_files(self) -> list[dict[str, Any]]:
        """Return the files in Storage with their sizes and MD5 digests."""
        return stored_files.describe(self.store)
