"""Storage in the state file: folders, files and pending exports. The bytes are in a folder beside the file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from itwin_emulator.admin import validation
from itwin_emulator.domain.blobs import Blob, Content
from itwin_emulator.domain.storage import Folder, Storage, StoredFile
from itwin_emulator.domain.store import Store


def blob_folder(state_file: Path) -> Path:
    """Return the folder for the bytes of a state file."""
    return state_file.with_name(f"{state_file.name}.blobs")


def dump(store: Store) -> dict[str, Any]:
    """Return the state of Storage. Blocks that no list has committed are left out."""
    storage = store.storage
    return {
        "key": base64.b64encode(storage.key).decode(),
        "folders": [asdict(one) for one in storage.items.values() if isinstance(one, Folder)],
        "files": [asdict(one) for one in storage.items.values() if isinstance(one, StoredFile)],
        "uploads": [asdict(one) | {"staged": {}} for one in storage.uploads.values()],
        "pending_exports": store.export_outputs.pending_ids(),
    }


def restore(store: Store, data: Mapping[str, Any]) -> None:
    """Restore a dumped state into an empty store; the connections and their runs must be restored already."""
    storage = store.storage
    storage.key = base64.b64decode(data["key"])
    for one in data["folders"]:
        storage.restore(validation.build(Folder, one, "folder"))
    for one in data["files"]:
        storage.restore(validation.build(StoredFile, one, "file"))
    for one in data["uploads"]:
        blob = validation.build(Blob, one, "upload")
        storage.uploads[blob.id] = blob
    pending = set(data["pending_exports"])
    for connection in store.connections.values():
        for run in connection.runs:
            if run.id in pending:
                store.export_outputs.expect(run)
    storage.folder.remove_others(_names(storage))


def _names(storage: Storage) -> set[str]:
    contents: list[Content | None] = [one.content for one in storage.items.values() if isinstance(one, StoredFile)]
    contents += [blob.content for blob in storage.uploads.values()]
    return {content.name for content in contents if content is not None}
