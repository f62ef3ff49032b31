"""What iTwin Storage has below the folder of an upload: where each file belongs, and the files that are gone from the source."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinError
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.api.storage.digests import Marker, origin_mark, trusted_marker
from airflow_provider_itwin.api.storage.folders import choose_folder, content_pages, ensure_folder, read_content
from airflow_provider_itwin.api.storage.plan import UploadSource, choose
from airflow_provider_itwin.api.storage.transfer import Api

log = logging.getLogger(__name__)

MOST_LISTS = 100
"""Pages of folders that the source does not have, at most: each has up to 100 files and folders."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a file belongs.

    :param folder_id: id of the folder
    :param stored: the file in Storage; None if there is none
    """

    folder_id: str
    stored: StorageItem | None


class StoredFiles:
    """
    The files and folders in Storage below the folder of an upload.

    :param client: performs the calls
    :param sources: the files to upload
    :param folder_id: id of the folder
    :param retry_budget: seconds for which temporary errors are retried
    """

    def __init__(self, client: Api, sources: Sequence[UploadSource], folder_id: str, retry_budget: float) -> None:
        self.places: dict[str, Place] = {}
        self.gone: dict[str, str] = {}
        """Files that an upload from the same source has brought and the source no longer has: their paths, by id."""
        self._client = client
        self._retry_budget = retry_budget
        self._ids = {"": folder_id}
        self._paths = {source.path.casefold() for source in sources}
        self._origins = {source.origin for source in sources if source.origin is not None}
        self._others: deque[tuple[str, Pages[StorageItem]]] = deque()
        """Folders that the source does not have."""
        # By folder: the names of the files, by their case-folded form, and the names of the folders.
        self._files: dict[str, dict[str, str]] = {"": {}}
        self._folders: dict[str, set[str]] = {}
        for source in sources:
            folder, _, name = source.path.rpartition("/")
            self._files.setdefault(folder, {})[name.casefold()] = name
        for folder in {inner for outer in self._files for inner in _parents(outer) if inner}:
            parent, _, name = folder.rpartition("/")
            self._folders.setdefault(parent, set()).add(name)

    def find_places(self) -> None:
        """
        Find where each file belongs, and create missing folders.

        :raises ITwinError: if a folder could not be read or created
        """
        created: set[str] = set()
        for folder in sorted({parent for name in self._files for parent in _parents(name)}):
            wanted = self._files.get(folder, {})
            content = [] if folder in created else self.read(self._ids[folder], wanted)
            found = choose(content, wanted)
            for name in wanted.values():
                self.places[_joined(folder, name)] = Place(self._ids[folder], found.get(name))
            created |= self._find_folders(folder, [entry for entry in content if entry.is_folder])
            self._note(folder, content)

    def read(self, folder_id: str, wanted: Mapping[str, str]) -> list[StorageItem]:
        """Return the folders in a folder, the wanted files, and those that an upload has brought."""
        return self._client.run_flow(
            read_content(
                self._client.account,
                folder_id,
                lambda entry: (
                    entry.is_folder
                    or (entry.display_name or "").casefold() in wanted
                    or Marker.find(entry.description) is not None
                ),
                self._retry_budget,
            )
        )

    def find_gone_in_other_folders(self, canceled: threading.Event) -> None:
        """
        Look for gone files in the folders that the source does not have, too.

        They can belong to others, and be many: :data:`MOST_LISTS` pages are read, one of each folder in turn. An error ends the
        search, not the upload.

        :param canceled: ends the search when it is set
        :raises ITwinAuthenticationError: if the service refuses the credentials
        """
        for _ in range(MOST_LISTS if self._origins else 0):
            if not self._others or canceled.is_set():
                return
            folder, pages = self._others.popleft()
            try:
                entries = self._client.run_flow(pages.next_page(self._client.account))
            except ITwinAuthenticationError:
                raise
            except ITwinError as error:
                log.warning("The folder %s was not searched for files that are gone: %s", folder, error)
                if error.transient:
                    return
                continue
            self._note(folder, entries)
            if not pages.is_done:
                self._others.append((folder, pages))
        if self._others:
            log.warning(
                "Files that are gone are not noticed in %d folders that the source does not have: %d lists of such folders were "
                "read, and more are not. Upload into a folder of your own.",
                len(self._others),
                MOST_LISTS,
            )

    def _find_folders(self, parent: str, content: Collection[StorageItem]) -> set[str]:
        """Find or create the folders of the source in a folder; return those that were created."""
        created = set()
        for name in sorted(self._folders.get(parent, ())):
            folder = _joined(parent, name)
            found = choose_folder(content, name)
            if found is not None and found.id is not None:
                self._ids[folder] = found.id
                continue
            self._ids[folder], is_new = self._client.run_flow(
                ensure_folder(self._client.account, self._ids[parent], name, self._retry_budget)
            )
            if is_new:
                log.info("Created the folder %s", folder)
                created.add(folder)
        return created

    def _note(self, folder: str, entries: Iterable[StorageItem]) -> None:
        """Note the gone files in a folder, and the folders that the source does not have."""
        needed = {self._ids[_joined(folder, name)] for name in self._folders.get(folder, ())}
        for entry in entries:
            path = _joined(folder, entry.display_name or "")
            if entry.id is None or known_id(entry.id) is None:
                continue
            if entry.is_folder:
                if entry.id not in needed:
                    self._others.append((path, content_pages(entry.id, self._retry_budget)))
            elif path.casefold() not in self._paths and self._is_ours(entry, path):
                self.gone[entry.id] = path

    def _is_ours(self, entry: StorageItem, path: str) -> bool:
        """Return whether a file still is what an upload from the same source has brought to this path."""
        marker = trusted_marker(entry)
        return marker is not None and marker.origin in {origin_mark(origin, path) for origin in self._origins}


def _parents(folder: str) -> Iterator[str]:
    """Yield a folder and all folders that contain it, the top (the empty path) included."""
    yield ""
    parts = folder.split("/") if folder else []
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
