"""The three kinds of connection, and where they differ: paths, names of errors, names of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from itwin_emulator.http.errors import ApiError

Kind = Literal["storage", "manifest", "export"]


@dataclass(frozen=True, slots=True)
class KindTraits:
    """What is peculiar to one kind of connection."""

    kind: Kind
    root: str
    """Path of the collection of connections."""
    invalid_connection: str
    invalid_connections: str
    invalid_run: str
    invalid_runs: str
    invalid_source_file: str
    invalid_source_files: str
    connection_missing: tuple[str, str]
    """Code and message of the 404 for a connection."""
    run_missing: tuple[str, str]
    source_file_missing: tuple[str, str]
    file_field: str | None
    """The field of a task and of a source file that holds the file's id."""

    def connection_not_found(self) -> ApiError:
        """Refuse because there is no such connection, or none that the client may see."""
        return ApiError(404, *self.connection_missing)

    def run_not_found(self) -> ApiError:
        """Refuse because the connection has no such run."""
        return ApiError(404, *self.run_missing)

    def source_file_not_found(self) -> ApiError:
        """Refuse because the connection has no such source file."""
        return ApiError(404, *self.source_file_missing)


STORAGE = KindTraits(
    kind="storage",
    root="/synchronization/imodels/storageconnections",
    invalid_connection="InvalidStorageConnectionRequest",
    invalid_connections="InvalidStorageConnectionsRequest",
    invalid_run="InvalidStorageConnectionRunRequest",
    invalid_runs="InvalidStorageConnectionRunsRequest",
    invalid_source_file="InvalidStorageConnectionSourceFileRequest",
    invalid_source_files="InvalidStorageConnectionSourceFilesRequest",
    connection_missing=("StorageConnectionNotFound", "Requested StorageConnection is not available."),
    run_missing=("StorageConnectionRunNotFound", "Requested StorageConnectionRun is not available."),
    source_file_missing=(
        "StorageConnectionSourceFileNotFound",
        "Requested StorageConnectionSourceFile is not available.",
    ),
    file_field="storageFileId",
)

MANIFEST = KindTraits(
    kind="manifest",
    root="/synchronization/imodels/manifestconnections",
    invalid_connection="InvalidManifestConnectionRequest",
    invalid_connections="InvalidManifestConnectionsRequest",
    invalid_run="InvalidManifestConnectionRunRequest",
    invalid_runs="InvalidManifestConnectionRunsRequest",
    invalid_source_file="InvalidManifestConnectionSourceFileRequest",
    invalid_source_files="InvalidManifestConnectionSourceFilesRequest",
    connection_missing=("ManifestConnectionNotFound", "Requested ManifestConnection is not available."),
    run_missing=("ManifestConnectionRunNotFound", "Requested ManifestConnection Run is not available."),
    source_file_missing=(
        "ManifestConnectionSourceFileNotFound",
        "Requested ManifestConnectionSourceFile is not available.",
    ),
    file_field="sourceFileId",
)

EXPORT = KindTraits(
    kind="export",
    root="/export/connections",
    invalid_connection="InvalidExportConnectionRequest",
    invalid_connections="InvalidExportConnectionsRequest",
    invalid_run="InvalidConnectionRunRequest",
    invalid_runs="InvalidConnectionRunsRequest",
    invalid_source_file="InvalidConnectionSourceFileRequest",
    invalid_source_files="InvalidConnectionSourceFilesRequest",
    connection_missing=("ConnectionNotFound", "Requested Connection is not available."),
    run_missing=("ConnectionRunNotFound", "Requested Connection Run is not available."),
    source_file_missing=("ConnectionSourceFileNotFound", "Requested Connection SourceFile is not available."),
    file_field=None,
)

KINDS: dict[Kind, KindTraits] = {"storage": STORAGE, "manifest": MANIFEST, "export": EXPORT}
