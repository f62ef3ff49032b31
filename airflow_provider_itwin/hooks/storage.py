"""The part of the hook that works with iTwin Storage: folders, uploads, downloads, the source files of a connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from os import PathLike
from threading import Event
from typing import TYPE_CHECKING, Literal

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.api.runs import endpoints as runs
from airflow_provider_itwin.api.storage import endpoints
from airflow_provider_itwin.hooks.base import ITwinBaseHook
from airflow_provider_itwin.hooks.settings import outage_tolerance

if TYPE_CHECKING:
    from airflow_provider_itwin.api.client import ITwinClient
    from airflow_provider_itwin.api.models.json_types import UploadedFileDict
    from airflow_provider_itwin.api.models.resources import Connection, SourceFile
    from airflow_provider_itwin.api.models.storage import StorageItem
    from airflow_provider_itwin.api.runs.source_files import ConnectedFiles
    from airflow_provider_itwin.api.storage.download import DownloadedFile
    from airflow_provider_itwin.api.storage.plan import ChangeDetection, UploadSource
    from airflow_provider_itwin.api.storage.upload import Uploader, UploadSummary


class ITwinStorageMethods(ITwinBaseHook):
    """Methods of :class:`~airflow_provider_itwin.hooks.itwin.ITwinHook` about iTwin Storage."""

    def find_folder(self, itwin_id: str, folder_path: str = "", *, create: bool = False) -> str:
        """
        Return the id of a folder of an iTwin's storage.

        Mirrors ``get-top-level-folders-and-files-by-itwin``, ``get-folders-and-files-in-folder`` and ``create-folder``.

        :param itwin_id: id of the iTwin
        :param folder_path: path of the folder, such as ``Design/Structural``; empty: the root folder
        :param create: whether to create folders that are missing
        :raises ITwinNotFoundError: if the folder does not exist
        :raises ITwinError: if the service does not return the folders
        :raises ValueError: for an invalid id or path
        """
        from airflow_provider_itwin.api.storage.folders import ensure_folder, find_folder
        from airflow_provider_itwin.api.storage.names import split_folder_path

        names = split_folder_path(folder_path)
        call = endpoints.get_root_folder(itwin_id)

        def find(client: ITwinClient) -> str:
            folder_id = client.call(call)
            if not create:
                return client.run_flow(find_folder(client.account, folder_id, names))
            for name in names:
                folder_id, is_new = client.run_flow(ensure_folder(client.account, folder_id, name))
                if is_new:
                    self.log.info("Created the folder %s in the storage of iTwin %s", name, itwin_id)
            return folder_id

        return self.with_client(find)

    def list_folder(self, folder_id: str) -> Iterator[StorageItem]:
        """
        List the files and folders in a folder, page by page.

        Mirrors ``get-folders-and-files-in-folder``.

        :param folder_id: id of the folder
        :raises ITwinError: if the service does not return them
        :raises ValueError: for an invalid id
        """
        from airflow_provider_itwin.api.storage.folders import content_pages

        pages = content_pages(folder_id)
        while not pages.is_done:
            yield from self.with_client(lambda client: client.next_page(pages))

    def get_file(self, file_id: str) -> StorageItem:
        """
        Return a file of iTwin Storage.

        Mirrors ``get-file``.

        :param file_id: id of the file
        :raises ITwinError: if the service does not return it
        :raises ValueError: for an invalid id
        """
        call = endpoints.get_file(file_id)
        return self.with_client(lambda client: client.call(call))

    def upload_files(
        self,
        sources: Sequence[UploadSource],
        folder_id: str,
        change_detection: ChangeDetection = "auto",
        on_start: Callable[[Uploader], None] = lambda uploader: None,
    ) -> UploadSummary:
        """
        Upload the files that have changed into a folder; folders in their paths are created where missing.

        Mirrors ``create-file``, ``update-file-content``, ``complete-file-upload`` and ``update-file``.

        :param sources: the files
        :param folder_id: id of the folder
        :param change_detection: ``auto``: a file whose size and time are the recorded ones is unchanged; others are compared by
            digest. ``digest``: every file is compared by digest. ``always``: every file is uploaded
        :param on_start: receives what can stop the upload
        :return: what became of each file; files that could not be uploaded are in `failed`
        :raises ITwinError: if the folder cannot be read
        :raises ValueError: for an invalid id, and for names that iTwin Storage would refuse; nothing is sent then
        """
        from airflow_provider_itwin.api.storage.upload import Uploader

        def upload(client: ITwinClient) -> UploadSummary:
            uploader = Uploader(client, retry_budget=outage_tolerance(), change_detection=change_detection)
            on_start(uploader)
            with client.stopped_by(uploader.canceled):
                return uploader.upload(sources, folder_id)

        return self.with_client(upload)

    def upload_file(self, path: str, folder_id: str, *, change_detection: ChangeDetection = "auto") -> UploadedFileDict:
        """
        Upload one file into a folder, if it has changed.

        :param path: absolute path, or the URL of an object store, such as ``s3://aws_default@bucket/plan.dgn``
        :param folder_id: id of the folder
        :param change_detection: as for :meth:`upload_files`
        :return: `id`, `name`, `path`, `size`, `sha256` and `outcome` (``created``, ``updated`` or ``unchanged``)
        :raises ITwinError: if the service did not accept it
        :raises ValueError: for an invalid path or id, or a pattern that matches not just one file
        """
        from airflow_provider_itwin.hooks.upload_sources import list_sources

        sources = list_sources(path, exclude=())
        if len(sources) != 1:
            raise ITwinInputError(f"path must be one file, but it has {len(sources)}")
        summary = self.upload_files(sources, folder_id, change_detection)
        for failed in summary.failed:
            raise failed.error
        return summary.files[0].as_dict()

    def add_source_file(self, connection_id: str, file_id: str, connector_type: str) -> SourceFile:
        """
        Make a file of iTwin Storage a source file of a storage connection.

        Mirrors ``add-storage-connection-sourcefile``.

        :param connection_id: id of the storage connection
        :param file_id: id of the file in iTwin Storage
        :param connector_type: the connector that reads it, such as ``MSTN``
        :raises ITwinConflictError: if the file is a source file of the iModel already
        :raises ITwinError: if the service did not accept it
        :raises ValueError: for an invalid id
        """
        call = runs.add_source_file(connection_id, file_id, connector_type)
        return self.with_client(lambda client: client.call(call))

    def connect_files(
        self, connection_id: str, connectors: Mapping[str, str], gone: Collection[str] = ()
    ) -> ConnectedFiles:
        """
        Make files of iTwin Storage source files of a connection; existing source files stay as they are.

        Mirrors ``get-storage-connection-sourcefiles`` and ``add-storage-connection-sourcefile``.

        :param connection_id: id of the storage connection
        :param connectors: the connector of each file, by the file's id
        :param gone: ids of files that are gone; the result tells which of them are source files
        :raises ITwinError: if the service did not accept one
        """
        from airflow_provider_itwin.api.runs.source_files import connect_files

        return self.with_client(
            lambda client: client.run_flow(
                connect_files(client.account, connection_id, connectors, gone, outage_tolerance())
            )
        )

    def disconnect_files(self, connection_id: str, source_file_ids: Collection[str]) -> None:
        """
        Remove source files from a storage connection; the files stay in iTwin Storage.

        Mirrors ``remove-storage-connection-sourcefile``.

        :param connection_id: id of the storage connection
        :param source_file_ids: ids of the source files
        :raises ITwinError: if the service did not remove one
        """
        from airflow_provider_itwin.api.runs.source_files import disconnect_files

        self.with_client(
            lambda client: client.run_flow(
                disconnect_files(client.account, connection_id, source_file_ids, outage_tolerance())
            )
        )

    def create_storage_connection(
        self,
        imodel_id: str,
        files: Mapping[str, str],
        *,
        display_name: str | None = None,
        authentication_type: Literal["Service", "User"] = "Service",
    ) -> Connection:
        """
        Create a storage connection, which synchronizes files of iTwin Storage into an iModel.

        Mirrors ``create-storage-connection``.

        :param imodel_id: id of the iModel
        :param files: the connector of each file, such as ``MSTN``, by the file's id; at least one
        :param display_name: name of the connection
        :param authentication_type: ``Service``: its runs use the service application. ``User``: they use the sign-in of the
            person who created it
        :raises ITwinConflictError: if one of the files is a source file of the iModel already
        :raises ITwinError: if the service did not create it
        :raises ValueError: for an invalid id, or no files
        """
        if not files:
            raise ITwinInputError("A storage connection needs at least one file")
        call = runs.create_storage_connection(imodel_id, files, display_name, authentication_type)
        return self.with_client(lambda client: client.call(call))

    def download_file(
        self,
        file_id: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        stopped: Event | None = None,
    ) -> DownloadedFile:
        """
        Download a file of iTwin Storage; it gets its name when it is whole.

        Mirrors ``get-file`` and ``download-file``.

        :param file_id: id of the file
        :param path: an absolute path, or the URL of an object store, such as ``s3://aws_default@bucket/exports/``; with ``/`` at
            the end, the folder of the file, which keeps its name
        :param overwrite: whether an existing file is replaced; if not, one of the same size is not downloaded again
        :param stopped: ends the download when it is set, from another thread or a signal handler; None: nothing ends it
        :return: where the file is, its size and its SHA-256
        :raises ITwinFileExistsError: if another file exists and `overwrite` is False
        :raises ITwinStoppedError: if `stopped` was set
        :raises ITwinError: if the file was not downloaded
        :raises ValueError: for an invalid id or path
        """
        return self.download_files([file_id], path, overwrite=overwrite, stopped=stopped)[0]

    def download_files(
        self,
        file_ids: Sequence[str],
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        stopped: Event | None = None,
    ) -> list[DownloadedFile]:
        """
        Download files of iTwin Storage one after the other, as :meth:`download_file`.

        :param file_ids: ids of the files
        :param path: as for :meth:`download_file`; the folder, if there are several files
        :param overwrite: as for :meth:`download_file`
        :param stopped: as for :meth:`download_file`
        :raises ITwinError: for the first file that was not downloaded
        :raises ValueError: for an invalid id or path, and for two files of the same name
        """
        from airflow_provider_itwin.api.storage.blob_transport import BlobTransport
        from airflow_provider_itwin.api.storage.download import Download
        from airflow_provider_itwin.hooks.download_targets import DownloadTargets

        checked = [checked_id(file_id, "file_id") for file_id in file_ids]
        targets = DownloadTargets(path)
        budget = outage_tolerance()

        def download(client: ITwinClient, file_id: str) -> DownloadedFile:
            with closing(BlobTransport(client.account)) as blobs, client.stopped_by(stopped):
                return Download(
                    client,
                    blobs,
                    file_id,
                    targets.target_for,
                    overwrite=overwrite,
                    retry_budget=budget,
                    stopped=stopped,
                ).run()

        return [self.with_client(partial(download, file_id=file_id)) for file_id in checked]
