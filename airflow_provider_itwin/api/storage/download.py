"""
Download a file of iTwin Storage, and survive cut connections, expired URLs and changes of the file.

The service redirects to a pre-signed URL. That is a secret, and is requested without our token. A cut transfer resumes with a
range; what is received becomes the target only when it is whole and the file has not changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast

from airflow_provider_itwin.api.errors import ITwinFileExistsError, ITwinProtocolError
from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.models.json_types import DownloadedFileDict
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.digests import trusted_marker
from airflow_provider_itwin.api.storage.endpoints import get_file
from airflow_provider_itwin.api.storage.progress import Progress, format_bytes
from airflow_provider_itwin.api.storage.targets import FileVersion, Part, Target
from airflow_provider_itwin.api.storage.transfer import Api, StartOver, Transfer, check_stopped

log = logging.getLogger(__name__)

MOST_STARTS = 3
"""How often a download begins, at most."""


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """
    A downloaded file.

    :param file_id: id of the file in iTwin Storage
    :param name: its name there; None if the service does not report it
    :param path: where it is now
    :param size: its bytes
    :param sha256: its SHA-256, in hex digits
    """

    file_id: str
    name: str | None
    path: str
    size: int
    sha256: str

    def as_dict(self) -> DownloadedFileDict:
        """Return the fields as JSON values."""
        return cast("DownloadedFileDict", asdict(self))


class Download:
    """
    The download of one file.

    :param api: the client of the API
    :param blobs: requests the content
    :param file_id: id of the file
    :param target_for: returns where a file with this name is written
    :param overwrite: whether an existing target is replaced
    :param retry_budget: seconds for which temporary errors are retried while no content arrives
    :param stopped: ends the download early when it is set
    """

    def __init__(
        self,
        api: Api,
        blobs: BlobTransport,
        file_id: str,
        target_for: Callable[[str | None, str], Target],
        *,
        overwrite: bool = True,
        retry_budget: float,
        stopped: threading.Event | None = None,
    ) -> None:
        self._api, self._blobs, self._file_id, self._target_for = api, blobs, file_id, target_for
        self._overwrite, self._retry_budget = overwrite, retry_budget
        self._stopped = stopped or threading.Event()
        self._account = api.account

    def run(self) -> DownloadedFile:
        """
        Download the file.

        :raises ITwinError: if the download failed; nothing was changed under the name of the target
        :raises ITwinInputError: if the path is not that of a file, or the name of the file cannot be used
        """
        reason = ""
        for start in range(MOST_STARTS):
            file = self._get_file()
            target = self._target_for(file.display_name, self._file_id)
            existing = target.existing_size()
            if existing is not None and not self._overwrite:
                return self._kept(file, target, existing)
            version = FileVersion(self._file_id, file.last_modified_date_time, _size_of(file))
            with target.open_part(version) as part:
                try:
                    self._receive(version, file, part, target)
                    self._verify(version, file, part)
                    part.commit()
                except StartOver as again:
                    reason = str(again)
                    part.discard()
                else:
                    return DownloadedFile(self._file_id, _name(file), target.address, part.received, part.sha256)
            if start + 1 < MOST_STARTS:
                log.warning("The download of %s starts over: %s", self._what(file), reason)
                stopping.pause(self._stopped, backoff(start + 1, self._account.chance()))
        raise ITwinProtocolError(
            f"The download of {self._what(file)} began {MOST_STARTS} times and never got the whole file: {reason}",
            hint="If something writes the file all the time, download it later.",
        )

    def _get_file(self) -> StorageItem:
        check_stopped(self._stopped, f"file {self._file_id}", 0)
        return self._api.call(get_file(self._file_id), self._retry_budget)

    def _kept(self, file: StorageItem, target: Target, existing: int) -> DownloadedFile:
        """Return the existing target if it is the file."""
        size = _size_of(file)
        if existing != size:
            raise ITwinFileExistsError(
                f"{target.shown} exists and has {existing} bytes; {self._what(file)} has {size}",
                hint="Use overwrite=True to replace it.",
            )
        digest = target.existing_sha256()
        expected = _expected_digest(file)
        if expected not in (None, digest):
            raise ITwinFileExistsError(
                f"{target.shown} exists with the size of {self._what(file)}, but with another SHA-256: {digest} instead of "
                f"{expected}",
                hint="Use overwrite=True to replace it.",
            )
        log.info("%s exists and has the size of %s; it is not downloaded again", target.shown, self._what(file))
        return DownloadedFile(self._file_id, _name(file), target.address, existing, digest)

    def _receive(self, version: FileVersion, file: StorageItem, part: Part, target: Target) -> None:
        """Receive what is missing."""
        what = self._what(file)
        if part.received:
            log.info(
                "Resuming the download of %s to %s after %d of %d bytes",
                what,
                target.shown,
                part.received,
                version.size,
            )
        else:
            log.info("Downloading %s (%s) to %s", what, format_bytes(version.size), target.shown)
        progress = Progress(f"{what}:", version.size - part.received, log, self._account.clock)
        Transfer(
            self._api,
            self._blobs,
            version,
            what,
            part,
            progress,
            retry_budget=self._retry_budget,
            stopped=self._stopped,
        ).run()
        log.info("Received %s (%s/s)", what, format_bytes(progress.rate()))

    def _verify(self, version: FileVersion, file: StorageItem, part: Part) -> None:
        """Check that the part is the file as it is now."""
        current = self._get_file()
        if (current.last_modified_date_time, current.size) != (version.modified, file.size):
            raise StartOver("the file was modified during the download")
        expected = _expected_digest(file)
        if expected not in (None, part.sha256):
            raise StartOver(f"the content has the SHA-256 {part.sha256} instead of {expected}")

    def _what(self, file: StorageItem) -> str:
        return f"file {_name(file)!r} ({self._file_id})" if file.display_name else f"file {self._file_id}"


def _size_of(file: StorageItem) -> int:
    if file.size is None or file.size < 0:
        raise ITwinProtocolError(
            f"The service does not report the size of file {file.id}, so a download cannot be checked"
        )
    return file.size


def _name(file: StorageItem) -> str | None:
    return None if file.display_name is None else excerpt(file.display_name, 300)


def _expected_digest(file: StorageItem) -> str | None:
    """Return the SHA-256 that the description of a file records for its present content; None if it records none."""
    marker = trusted_marker(file)
    return marker.sha256 if marker else None
