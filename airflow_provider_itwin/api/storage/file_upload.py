"""
Uploads one file: creates it or replaces its content, and records the digest of the content.

Readers see the old content until the new one is complete. A crash between two requests leaves a file without a digest, which the
next upload replaces; it never leaves a digest beside a content that it does not belong to.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar, cast

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.http.messages import Call
from airflow_provider_itwin.api.models.json_types import UploadedFileDict
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage import endpoints
from airflow_provider_itwin.api.storage.blob_transport import CHUNK
from airflow_provider_itwin.api.storage.content_upload import (
    Shared,
    SourceChangedError,
    UploadUrl,
    send_content,
)
from airflow_provider_itwin.api.storage.digests import (
    LONGEST_DESCRIPTION,
    Marker,
    described,
    origin_mark,
    trusted_marker,
)
from airflow_provider_itwin.api.storage.endpoints import StoredFile, Upload
from airflow_provider_itwin.api.storage.plan import Action, UploadSource
from airflow_provider_itwin.api.storage.transfer import Api

log = logging.getLogger(__name__)

T = TypeVar("T")

Outcome = Literal["created", "updated", "unchanged"]

_READS_OF_A_CHANGING_SOURCE = 3


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """
    What became of one file.

    :param id: id of the file in iTwin Storage
    :param path: its path below the source
    :param size: its size in bytes
    :param sha256: SHA-256 of its content, as 64 hexadecimal digits
    :param outcome: ``created``, ``updated`` or ``unchanged``
    """

    id: str
    path: str
    size: int
    sha256: str
    outcome: Outcome

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.rpartition("/")[2]

    def as_dict(self) -> UploadedFileDict:
        """Return the fields and the name as JSON values."""
        return cast("UploadedFileDict", {"id": self.id, "name": self.name} | asdict(self))


@dataclass(frozen=True, slots=True)
class FileUpload:
    """
    The upload of one file.

    :param client: performs the calls
    :param shared: what the uploads of a task share
    :param source: the file to upload
    :param folder_id: id of the folder for a new file
    :param find: looks for the file in Storage once more
    """

    client: Api
    shared: Shared
    source: UploadSource
    folder_id: str
    find: Callable[[], StorageItem | None]

    def run(self, action: Action, stored: StorageItem | None) -> UploadedFile:
        """
        Do what is planned.

        :param action: what to do
        :param stored: the file in Storage; None if there is none
        :raises ITwinError: if the service did not accept the file
        :raises SourceChangedError: if the source keeps changing
        """
        marker = Marker.find(stored.description) if stored else None
        if stored is not None and marker is not None and action in (Action.KEEP, Action.COMPARE):
            if action is Action.KEEP:
                return self._result(stored, marker.sha256, "unchanged")
            try:
                if self._is_unchanged(stored, marker):
                    return self._result(stored, marker.sha256, "unchanged")
            except ITwinNotFoundError as error:
                stored = self._find_again(error)
        for attempt in range(1, _READS_OF_A_CHANGING_SOURCE + 1):
            try:
                return self._create() if stored is None else self._update(stored)
            except SourceChangedError as error:
                if attempt == _READS_OF_A_CHANGING_SOURCE:
                    raise
                log.warning("%s; reading it again", error)
            except _ExistsError as exists:
                stored = exists.file
            except ITwinNotFoundError as error:
                if stored is None or attempt == _READS_OF_A_CHANGING_SOURCE:
                    raise
                stored = self._find_again(error)
        raise ITwinProtocolError(f"{self.source.path} was neither created nor found in iTwin Storage")

    def _find_again(self, error: ITwinNotFoundError) -> StorageItem | None:
        """After a 404, look for the file: the service may accept a second one of the same name."""
        found = self.find()
        log.warning(
            "%s %s",
            error,
            "The file was deleted meanwhile; creating it" if found is None else "The file is there; trying again",
        )
        return found

    def _is_unchanged(self, stored: StorageItem, marker: Marker) -> bool:
        """Compare the digest of the source; if it is the recorded one, the next upload need not read the source again."""
        sha256 = self._digest()
        if sha256 != marker.sha256:
            return False
        if self._marker(stored.description, sha256, marker.at) == marker:
            return True
        # The list may be old, and the new time makes the digest valid for what the file contains now.
        current = self._call(endpoints.get_stored_file(stored.id or ""))
        stored.description = current.file.description
        now = trusted_marker(current.file)
        if now is None or now.sha256 != sha256:
            return False
        self._describe(current.file, sha256, current.answered_at)
        self._is_ours(self._call(endpoints.get_file(current.file.id or "")), sha256)
        return True

    def _create(self) -> UploadedFile:
        def begin() -> Upload:
            return self._call(endpoints.create_file(self.folder_id, self.source.path.rpartition("/")[2]))

        try:
            upload = begin()
        except (ITwinConflictError, ITwinInvalidRequestError) as error:
            # Whether a second file of this name is refused, and how, is not documented.
            found = self.find()
            if found is None or found.id is None:
                raise
            raise _ExistsError(found) from error
        url = UploadUrl(upload, begin)
        sha256 = self._send(url)
        stored = self._complete(url.current.file_id, None)
        self._describe(stored.file, sha256, stored.answered_at)
        return self._result(stored.file, sha256, "created")

    def _update(self, file: StorageItem) -> UploadedFile:
        file_id, name = file.id or "", file.display_name or self.source.path.rpartition("/")[2]
        if Marker.find(file.description) is not None:
            self._remove_digest(file)

        def begin() -> Upload:
            return self._call(endpoints.update_file_content(file_id, name))

        url = UploadUrl(begin(), begin)
        sha256 = self._send(url)
        before = self._call(endpoints.get_file(file_id))
        if Marker.find(before.description) is not None:
            # That of a task that uploads the file, too.
            self._remove_digest(before)
        stored = self._complete(file_id, before)
        current = self._call(endpoints.get_file(file_id))
        if self._is_ours(current, sha256, before.last_modified_date_time):
            text = file.description if current.description is None else current.description
            stored.file.description = text
            self._describe(stored.file, sha256, stored.answered_at)
            self._is_ours(self._call(endpoints.get_file(file_id)), sha256)
        return self._result(stored.file, sha256, "updated")

    def _is_ours(self, file: StorageItem, sha256: str, before: str | None = None) -> bool:
        """
        Return whether a file has our content, as far as it tells. If not, its digest is removed, whose ever it is.

        Of two tasks that upload different contents, each could write its digest beside the content of the other.

        :param before: when the file was modified before our content was completed; if that is the last time, another task had
            completed it already. None: unknown
        """
        marker = Marker.find(file.description)
        is_new = before is None or file.last_modified_date_time != before
        if is_new and file.size in (None, self.source.size) and (marker is None or marker.sha256 == sha256):
            return True
        log.warning(
            "Something else uploads %s at the same time, so it will be uploaded again next time. Let one task write a file.",
            self.source.path,
        )
        self._set_description(file, described(file.description, None))
        return False

    def _remove_digest(self, file: StorageItem) -> None:
        """From here to the new digest, a crash must not leave the old digest beside the new content."""
        text = described(file.description, None)
        try:
            changed = self._call(endpoints.describe_file(file.id or "", text))
        except (ITwinInvalidRequestError, ITwinPermissionError) as error:
            raise error.with_hint(
                f"The digest in the description of {self.source.path} could not be removed, so its content was not changed."
            ) from None
        # This was a modification, too: it must not look like that of the content.
        file.description, file.last_modified_date_time = text, changed.last_modified_date_time

    def _send(self, url: UploadUrl) -> str:
        """Send the content; return its SHA-256."""
        sha256 = send_content(self.source, url, self.shared)
        if self.source.stat() != (self.source.size, self.source.fingerprint):
            raise SourceChangedError(f"{self.source.path} changed while it was uploaded")
        return sha256

    def _complete(self, file_id: str, before: StorageItem | None) -> StoredFile:
        stored = self._completed(file_id, before)
        if stored.file.size not in (None, self.source.size):
            raise ITwinProtocolError(
                f"iTwin Storage has {stored.file.size} bytes of {self.source.path}, which has {self.source.size}"
            )
        return stored

    def _completed(self, file_id: str, before: StorageItem | None) -> StoredFile:
        """Complete an upload. After a lost response, the service may refuse to complete it again: then the file tells."""
        try:
            return self._call(endpoints.complete_file(file_id))
        except (ITwinConflictError, ITwinInvalidRequestError, ITwinNotFoundError):
            try:
                file = self._call(endpoints.get_file(file_id))
            except ITwinError:
                file = None
            if file is None or file.size != self.source.size:
                raise
            if before is not None and before.last_modified_date_time in (None, file.last_modified_date_time):
                raise
            return StoredFile(file)

    def _describe(self, file: StorageItem, sha256: str, at: datetime | None) -> None:
        """Record the digest of the content. If that is impossible, the file is uploaded again next time."""
        at = at or datetime.fromtimestamp(self.shared.account.wall(), UTC)
        text = described(file.description, self._marker(file.description, sha256, max(at, file.modified_at or at)))
        if len(text) > LONGEST_DESCRIPTION:
            log.warning(
                "The description of %s leaves no room for the digest of its content, so it will be uploaded again each time. "
                "Shorten it to %d characters.",
                self.source.path,
                LONGEST_DESCRIPTION - len(text) + len(file.description or ""),
            )
            return
        self._set_description(file, text)

    def _marker(self, description: str | None, sha256: str, at: datetime) -> Marker:
        """Return the marker for a description. If there is no room for its origin, the file is only never taken for gone."""
        source = self.source
        origin = None if source.origin is None else origin_mark(source.origin, source.path)
        marker = Marker(sha256, source.fingerprint, at, origin)
        if len(described(description, marker)) > LONGEST_DESCRIPTION:
            return replace(marker, origin=None)
        return marker

    def _set_description(self, file: StorageItem, text: str) -> None:
        if text == (file.description or "") or file.id is None:
            return
        try:
            self._call(endpoints.describe_file(file.id, text))
        except ITwinAuthenticationError:
            raise
        except (ITwinInvalidRequestError, ITwinPermissionError) as error:
            log.warning(
                "The digest of %s could not be changed, so it will be uploaded again next time: %s",
                self.source.path,
                error,
            )

    def _digest(self) -> str:
        digest = hashlib.sha256()
        with self.source.open() as stream:
            while part := stream.read(CHUNK):
                self.shared.check_canceled()
                digest.update(part)
        return digest.hexdigest()

    def _call(self, call: Call[T]) -> T:
        return self.client.call(call, self.shared.retry_budget)

    def _result(self, file: StorageItem, sha256: str, outcome: Outcome) -> UploadedFile:
        return UploadedFile(file.id or "", self.source.path, self.source.size, sha256, outcome)


class _ExistsError(Exception):
    """A file of this name exists meanwhile."""

    def __init__(self, file: StorageItem) -> None:
        super().__init__("the file exists")
        self.file = file
