"""What an upload has to do: compares the files of a source with the files in iTwin Storage. Nothing here reads or sends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Literal

from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage.digests import trusted_marker
from airflow_provider_itwin.api.storage.folders import oldest

ChangeDetection = Literal["auto", "digest", "always"]
"""How it is decided whether a file has changed; see :func:`plan_file`."""


@dataclass(frozen=True, slots=True)
class UploadSource:
    """
    A file to upload, on a disk or in an object store.

    :param path: its path below the source, with ``/`` between folders
    :param size: its size in bytes
    :param fingerprint: changes when the file changes: made of size, time and entity tag, without reading the file
    :param open: opens the content for reading
    :param stat: returns size and fingerprint once more, to notice a change during the upload
    :param address: its path on the disk, or its URL in the object store, for lineage; None: unknown
    :param origin: identifies the source that it was found in; None: unknown, so that no other file counts as gone from it
    """

    path: str
    size: int
    fingerprint: str
    open: Callable[[], BinaryIO]
    stat: Callable[[], tuple[int, str]]
    address: str | None = None
    origin: str | None = None


class Action(StrEnum):
    """What to do with a file."""

    CREATE = "create"
    UPDATE = "update"
    COMPARE = "compare"
    """Read the file, and update it if its digest is another one."""
    KEEP = "keep"


def plan_file(file: UploadSource, stored: StorageItem | None, change_detection: ChangeDetection) -> Action:
    """
    Return what to do with a file.

    ``auto``: a file is unchanged if its size and its fingerprint are the recorded ones. If only the fingerprint differs, its
    content is compared. ``digest``: the content is compared whenever the size is the same. ``always``: every file is uploaded.
    A file that was modified in Storage since it was uploaded, or that has no digest, is uploaded again.

    :param stored: the file of this name in Storage; None if there is none
    """
    if stored is None:
        return Action.CREATE
    marker = trusted_marker(stored)
    if change_detection == "always" or marker is None or stored.size not in (None, file.size):
        return Action.UPDATE
    if change_detection == "auto" and marker.source == file.fingerprint:
        return Action.KEEP
    return Action.COMPARE


def choose(entries: Collection[StorageItem], names: Mapping[str, str]) -> dict[str, StorageItem]:
    """
    Return the file in Storage for each name; of several with one name, the one that was created first.

    :param entries: files of one folder
    :param names: the wanted names, by their case-folded form
    """
    by_name: dict[str, list[StorageItem]] = {}
    for entry in entries:
        name = names.get((entry.display_name or "").casefold())
        if name is not None and not entry.is_folder:
            by_name.setdefault(name, []).append(entry)
    chosen = {}
    for name, same in by_name.items():
        first = oldest([entry for entry in same if entry.display_name == name] or same)
        if first is not None:
            chosen[name] = first
    return chosen
