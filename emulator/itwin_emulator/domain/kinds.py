"""The three kinds of connection and their differences: paths, error codes, field names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["storage", "manifest", "export"]


@dataclass(frozen=True, slots=True)
class KindTraits:
    """Properties of one kind of connection."""

    kind: Kind
    root: str
    """Path of the collection."""
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
    """Name of the field that holds a file's id, in tasks and source files; None: the kind has no files."""


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
