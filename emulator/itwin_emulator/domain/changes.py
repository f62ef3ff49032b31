"""Which source files of a run have changed, according to their content in Storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import SourceFile
from itwin_emulator.domain.storage import Storage


def content_versions(storage: Storage, files: Sequence[SourceFile]) -> dict[str, str]:
    """Return the digests of the files that are in Storage, by file id."""
    versions = {}
    for file in files:
        stored = storage.find_file(file.file_id)
        if stored is not None and stored.content is not None:
            versions[file.file_id] = stored.content.digest
    return versions


def unchanged_files(connection: Connection, versions: Mapping[str, str], now: float) -> frozenset[str]:
    """
    Return the ids of the files whose content is that of the last successful run of the connection.

    :param versions: digests of the files by file id, as of now
    """
    for run in reversed(connection.runs):
        if run.result(now) in ("Success", "Skipped"):
            return frozenset(file_id for file_id, version in versions.items() if run.versions.get(file_id) == version)
    return frozenset()


def changed_files(run: Run) -> tuple[SourceFile, ...]:
    """
    Return the files of a run that it processed successfully: those that are new or have changed, and those not in Storage.

    A run without any of them has changed nothing.
    """
    return tuple(task.file for job in run.jobs() for task in job.tasks if task.result == "Success")
