"""Resources of the Storage API: folders, files, and the links of an upload."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.resource import Link, Page, Resource


class StorageItem(Resource):
    """
    A file or a folder.

    The service reports no checksum and no version number of a file.
    """

    id: str | None = None
    type: str | None = None
    display_name: str | None = None
    description: str | None = None
    path: str | None = None
    size: int | None = None
    parent_folder_id: str | None = None
    created_date_time: str | None = None
    last_modified_date_time: str | None = None
    last_modified_by_display_name: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder. Lists of folders alone have no `type`; only files have a size."""
        return self.type.strip().lower() == "folder" if self.type else False

    @property
    def modified_at(self) -> datetime | None:
        """When it was last modified, in UTC; None if the service does not report it."""
        return read_moment(self.last_modified_date_time)

    @property
    def created_at(self) -> datetime | None:
        """When it was created, in UTC; None if the service does not report it."""
        return read_moment(self.created_date_time)


class FolderEnvelope(Resource):
    """The response to a request for a folder."""

    folder: StorageItem


class FileEnvelope(Resource):
    """The response to a request for a file."""

    file: StorageItem


class TopLevelLinks(Resource):
    """Links of the top level of an iTwin's storage."""

    next: Link | None = None
    folder: Link | None = None


class TopLevelPage(Resource):
    """The first page of the top level of an iTwin's storage; only its link to the root folder is used."""

    links: TopLevelLinks


class StoragePage(Page):
    """One page of the content of a folder: files and folders, files, or folders."""

    items: list[StorageItem] | None = None
    files: list[StorageItem] | None = None
    folders: list[StorageItem] | None = None

    @property
    def entries(self) -> list[StorageItem]:
        """All entries of the page."""
        return [*(self.items or ()), *(self.files or ()), *(self.folders or ())]


class UploadLinks(Resource):
    """The links of an upload. The upload URL is a secret: whoever has it can write the file."""

    upload_url: Link | None = None
    complete_url: Link | None = None


class UploadEnvelope(Resource):
    """The response to a request to create a file, or to replace its content."""

    links: UploadLinks
