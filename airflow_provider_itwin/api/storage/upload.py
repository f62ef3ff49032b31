"""Uploads the files of a source into a folder of iTwin Storage: only those that changed, several at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinStoppedError,
)
from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
from airflow_provider_itwin.api.storage.content_upload import (
    BLOCKS_IN_MEMORY,
    Shared,
    SourceChangedError,
)
from airflow_provider_itwin.api.storage.file_upload import FileUpload, UploadedFile
from airflow_provider_itwin.api.storage.names import check_names
from airflow_provider_itwin.api.storage.plan import Action, ChangeDetection, UploadSource, choose, plan_file
from airflow_provider_itwin.api.storage.progress import Progress, format_bytes
from airflow_provider_itwin.api.storage.stored_files import StoredFiles
from airflow_provider_itwin.api.storage.transfer import Api

log = logging.getLogger(__name__)

FILES_AT_ONCE = 4
"""Files that are uploaded at the same time."""

_MOST_FAILURES = 20
"""Failed files after which an upload stops: the reason is then hardly in the files."""


@dataclass(frozen=True, slots=True)
class FailedFile:
    """
    A file that was not uploaded.

    :param path: its path below the source
    :param error: why
    """

    path: str
    error: Exception


@dataclass(frozen=True, slots=True)
class UploadSummary:
    """
    What came of an upload.

    :param folder_id: id of the folder
    :param files: the files that are in Storage now, in the order of the source
    :param failed: the files that are not
    :param not_tried: number of files that were not tried after an error that concerns all files
    :param sent: bytes that were sent
    :param seconds: duration
    :param gone: files that an earlier upload from the same source has brought and the source no longer has: their paths, by id
    """

    folder_id: str
    files: list[UploadedFile]
    failed: list[FailedFile]
    not_tried: int
    sent: int
    seconds: float
    gone: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """Return how many files have this outcome."""
        return sum(file.outcome == outcome for file in self.files)

    @property
    def has_changes(self) -> bool:
        """Whether a file was created or updated."""
        return any(file.outcome != "unchanged" for file in self.files)


class Uploader:
    """
    Uploads the files of a source.

    :param client: performs the calls
    :param retry_budget: seconds for which temporary errors are retried
    :param change_detection: how it is decided whether a file has changed
    :param files_at_once: files that are uploaded at the same time
    """

    def __init__(
        self,
        client: Api,
        *,
        retry_budget: float,
        change_detection: ChangeDetection = "auto",
        files_at_once: int = FILES_AT_ONCE,
    ) -> None:
        self._client = client
        self._account = client.account
        self._retry_budget = retry_budget
        self._change_detection: ChangeDetection = change_detection
        self._files_at_once = files_at_once
        self.canceled = threading.Event()
        """Ends the upload when it is set; files that are not complete stay as they were."""

    def cancel(self) -> None:
        """Stop soon; files that are not complete stay as they were."""
        self.canceled.set()

    def upload(self, sources: Sequence[UploadSource], folder_id: str) -> UploadSummary:
        """
        Upload `sources` into a folder.

        :param sources: the files; folders in their paths are created where missing
        :param folder_id: id of the folder
        :raises ITwinInputError: if iTwin Storage would refuse a name; nothing is sent then
        :raises ITwinError: if the folders could not be read or created
        """
        began = self._account.clock()
        check_names(source.path for source in sources)
        stored = StoredFiles(self._client, sources, folder_id, self._retry_budget)
        stored.find_places()
        actions = {
            source.path: plan_file(source, stored.places[source.path].stored, self._change_detection)
            for source in sources
        }
        self._log_plan(sources, actions)
        total = sum(source.size for source in sources if actions[source.path] in (Action.CREATE, Action.UPDATE))
        progress = Progress("Uploaded", total, log, self._account.clock)
        transport = BlobTransport(self._account)
        shared = Shared(
            transport,
            self._account,
            self._retry_budget,
            threading.Semaphore(BLOCKS_IN_MEMORY),
            self.canceled,
            progress,
        )
        try:
            done, failed, not_tried = self._run(sources, stored, actions, shared)
            if not failed:
                stored.find_gone_in_other_folders(self.canceled)
        finally:
            transport.close()
        files = [done[source.path] for source in sources if source.path in done]
        return UploadSummary(
            folder_id, files, failed, not_tried, progress.done, self._account.clock() - began, stored.gone
        )

    def _run(
        self,
        sources: Sequence[UploadSource],
        stored: StoredFiles,
        actions: Mapping[str, Action],
        shared: Shared,
    ) -> tuple[dict[str, UploadedFile], list[FailedFile], int]:
        done: dict[str, UploadedFile] = {}
        failed: list[FailedFile] = []
        running: dict[Future[UploadedFile], UploadSource] = {}
        left = iter(sources)
        is_stopped = False
        with ThreadPoolExecutor(self._files_at_once, "itwin-upload") as pool:
            try:
                while True:
                    while not is_stopped and len(running) < self._files_at_once:
                        source = next(left, None)
                        if source is None:
                            break
                        action = actions[source.path]
                        if action is Action.KEEP:
                            done[source.path] = self._one(source, stored, action, shared)
                        else:
                            running[pool.submit(self._one, source, stored, action, shared)] = source
                    if not running:
                        break
                    for task in wait(running, return_when=FIRST_COMPLETED).done:
                        source = running.pop(task)
                        try:
                            done[source.path] = task.result()
                        except (ITwinError, SourceChangedError, OSError) as error:
                            if isinstance(error, ITwinAuthenticationError):
                                # With changed credentials, the hook does the rest.
                                raise
                            failed.append(FailedFile(source.path, error))
                            is_stopped |= not _concerns_one_file(error) or len(failed) >= _MOST_FAILURES
            except BaseException:
                self.cancel()
                raise
        if self.canceled.is_set():
            raise ITwinStoppedError("The upload was stopped; a retry uploads the rest")
        return done, failed, sum(1 for _ in left)

    def _one(self, source: UploadSource, stored: StoredFiles, action: Action, shared: Shared) -> UploadedFile:
        place = stored.places[source.path]

        def find() -> StorageItem | None:
            name = source.path.rpartition("/")[2]
            names = {name.casefold(): name}
            return choose(stored.read(place.folder_id, names), names).get(name)

        file = FileUpload(self._client, shared, source, place.folder_id, find).run(action, place.stored)
        if file.outcome != "unchanged":
            log.info("%s %s (%s)", file.outcome.capitalize(), file.path, format_bytes(file.size))
        return file

    def _log_plan(self, sources: Sequence[UploadSource], actions: Mapping[str, Action]) -> None:
        counts = {action: sum(found is action for found in actions.values()) for action in Action}
        log.info(
            "%d files (%s): %d new, %d changed, %d to compare, %d unchanged",
            len(sources),
            format_bytes(sum(source.size for source in sources)),
            counts[Action.CREATE],
            counts[Action.UPDATE],
            counts[Action.COMPARE],
            counts[Action.KEEP],
        )


def _concerns_one_file(error: Exception) -> bool:
    """Return whether other files can succeed after this error."""
    return isinstance(error, ITwinInvalidRequestError | SourceChangedError | OSError)
