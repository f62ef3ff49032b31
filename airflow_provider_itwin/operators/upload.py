"""The operator that uploads changed files to iTwin Storage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinInputError
from airflow_provider_itwin.api.models.json_types import EventUploadDict, UploadedFileDict, UploadTotalsDict
from airflow_provider_itwin.api.models.validation import checked_id, checked_text
from airflow_provider_itwin.api.storage.paths import checked_source
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinTransientError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.sdk_compat import AirflowSkipException, BaseOperator
from airflow_provider_itwin.utils.lineage import LineageTask, TransferredFile
from airflow_provider_itwin.utils.parameters import CheckedParameters, error_names_task, is_literal

if TYPE_CHECKING:
    from airflow_provider_itwin.api.runs.source_files import ConnectedFiles
    from airflow_provider_itwin.api.storage.file_upload import UploadedFile
    from airflow_provider_itwin.api.storage.plan import UploadSource
    from airflow_provider_itwin.api.storage.upload import Uploader, UploadSummary
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.sdk_compat import Context, XComArg
    from airflow_provider_itwin.utils.openlineage import Lineage

UPLOAD_REPORT_KEY = "upload_report"

DEFAULT_EXCLUDE = (".*", "~$*", "Thumbs.db", "desktop.ini", "*.dwl", "*.dwl2", "*.bak", "*.tmp")
"""Names that are not uploaded by default: hidden files, locks and backups of design programs."""

MOST_FILES_IN_XCOM = 1000
_MOST_LISTED = 50
_MOST_FAILURES_SHOWN = 5
_CHANGE_DETECTION = ("auto", "digest", "always")


class ITwinUploadFilesOperator(LineageTask, CheckedParameters, BaseOperator):
    """
    Upload the files that have changed into a folder of iTwin Storage, and connect new ones to a storage connection.

    Mirrors ``create-file``, ``update-file-content``, ``complete-file-upload``, ``update-file`` and
    ``add-storage-connection-sourcefile``.

    A file becomes visible when it is complete; until then, the old content stays. A retry uploads what is missing. The digest of
    each file is kept in its description, in brackets after what a person has written there.

    XComs: ``return_value``, a list of ``{"id", "name", "path", "size", "sha256", "outcome"}``, changed files first, at most
    1,000; ``upload_report``, the totals, and the files that failed or are gone. A retry reports as ``unchanged`` what an earlier
    attempt has uploaded.

    Asset events of `outlets` contain the totals, also if no file has changed; an ``AssetAlias`` becomes the folder. With
    `skip_if_unchanged`, there is no event if no file has changed.

    :param source: what to upload (templated): an absolute path of a file, a folder or a pattern, such as
        ``/mnt/projects/**/*.dgn``, or the URL of an object store, such as ``s3://aws_default@bucket/designs``. Folders below it
        are created in iTwin Storage, too
    :param connection_id: id of the storage connection that synchronizes the files (templated): new files become its source files;
        None (default): the files are only uploaded
    :param itwin_id: id of the iTwin (templated); None (default): the iTwin of the connection
    :param folder_path: path of the folder in iTwin Storage, such as ``Design/Structural``, created where missing (templated);
        None (default): the root folder
    :param folder_id: id of the folder, in place of `folder_path` (templated); None (default): as `folder_path` says
    :param change_detection: ``auto`` (default): a file with the recorded size, time and entity tag is unchanged; if only time or
        tag differ, its digest is compared. ``digest``: the digest of every file is compared. ``always``: every file is uploaded
    :param connectors: connectors by pattern, such as ``{"*.civil.dgn": "CIVIL"}``, for files whose extension calls for another
        one; the first pattern that matches the name decides; None (default): by extension
    :param exclude: patterns of names to leave out; default: hidden files, and locks and backups of design programs
    :param remove_gone: whether source files of the connection are removed from it when their file is gone from the source;
        the files stay in iTwin Storage; default False: they are reported only
    :param skip_if_unchanged: whether to skip the task, and with it the tasks that depend on it, if no file has changed; default
        False. A retry is not skipped: an earlier attempt may have uploaded files
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :return: the files, as in the XCom ``return_value``
    :raises ITwinTransientError: if files could not be uploaded, but can be later; a retry uploads the rest
    :raises ITwinPermanentError: for a source without files, refused names, refused credentials, 403, 404, 422 and invalid
        settings; not retried
    :raises AirflowSkipException: if nothing has changed and `skip_if_unchanged` is True
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    switches: ClassVar[tuple[str, ...]] = ("remove_gone", "skip_if_unchanged")
    template_fields: Sequence[str] = (
        "source",
        "connection_id",
        "itwin_id",
        "folder_path",
        "folder_id",
        "itwin_conn_id",
    )
    ui_color = "#d6ecd8"

    _uploaded: tuple[UploadSummary, Sequence[UploadSource]] | None = None
    """What OpenLineage asks for later, in the process that ends the task."""

    def __init__(
        self,
        *,
        source: str | XComArg,
        connection_id: str | XComArg | None = None,
        itwin_id: str | XComArg | None = None,
        folder_path: str | XComArg | None = None,
        folder_id: str | XComArg | None = None,
        change_detection: Literal["auto", "digest", "always"] = "auto",
        connectors: Mapping[str, str] | None = None,
        exclude: Collection[str] = DEFAULT_EXCLUDE,
        remove_gone: bool = False,
        skip_if_unchanged: bool = False,
        itwin_conn_id: str = "itwin_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "source": source,
                    "connection_id": connection_id,
                    "itwin_id": itwin_id,
                    "folder_path": folder_path,
                    "folder_id": folder_id,
                    "change_detection": change_detection,
                    "connectors": connectors,
                    "exclude": exclude,
                    "remove_gone": remove_gone,
                    "skip_if_unchanged": skip_if_unchanged,
                    "itwin_conn_id": itwin_conn_id,
                }
            )
            if folder_id is None and itwin_id is None and connection_id is None:
                raise ITwinInputError(
                    "Give folder_id, itwin_id or connection_id: nothing else tells where the files go."
                )
        self.source: Any = source
        self.connection_id: Any = connection_id
        self.itwin_id: Any = itwin_id
        self.folder_path: Any = folder_path
        self.folder_id: Any = folder_id
        self.change_detection = change_detection
        self.connectors = dict(connectors or {})
        self.exclude = list(exclude)
        self.remove_gone = remove_gone
        self.skip_if_unchanged = skip_if_unchanged
        self.itwin_conn_id = itwin_conn_id
        self._uploader: Uploader | None = None

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        # None is the default here.
        super().check_parameters(
            {name: value for name, value in given.items() if name != "connection_id" or value is not None}, default_args
        )
        for name, check in (("source", checked_source), ("itwin_id", checked_id), ("folder_id", checked_id)):
            if is_literal(given.get(name)):
                check(given[name], name, is_rendered=False)
        if given.get("folder_id") is not None and given.get("folder_path") is not None:
            raise ITwinInputError("Give folder_id or folder_path, not both")
        if given.get("change_detection", "auto") not in _CHANGE_DETECTION:
            raise ITwinInputError(
                f"invalid change_detection {given['change_detection']!r}; expected one of {', '.join(_CHANGE_DETECTION)}"
            )
        exclude = given.get("exclude", ())
        if isinstance(exclude, str) or not isinstance(exclude, Collection):
            raise ITwinInputError(f'exclude must be a list of patterns such as ["*.tmp"], not {exclude!r}')
        if given.get("connectors") is not None or (given.get("remove_gone") and "connection_id" in given):
            _check_connection_parameters(given)

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def execute(self, context: Context) -> list[UploadedFileDict]:
        """Upload what has changed, and connect new files."""
        from airflow_provider_itwin.hooks.upload_sources import is_excluded, list_sources

        with error_logged_first(self.log), airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            try:
                sources = list_sources(self.source, self.exclude)
            except OSError as error:
                raise ITwinTransientError(f"The files of {self.source} could not be listed: {error}") from error
            if not sources:
                raise ITwinInputError(
                    f"source {self.source!r} has no files. Check the pattern, and that the share is mounted where the task runs."
                )
            folder_id = self._find_folder()
            summary = self.hook.upload_files(sources, folder_id, self.change_detection, self._set_uploader)
            # Another task can upload what this one leaves out.
            gone = {file_id: path for file_id, path in summary.gone.items() if not is_excluded(path, self.exclude)}
            summary = replace(summary, gone=gone)
            self._uploaded = summary, sources
            connected = self._connect(summary)
            context["ti"].xcom_push(key=UPLOAD_REPORT_KEY, value=_report(summary, connected, self.remove_gone))
            self.log.info(
                "Created %d files, updated %d, kept %d; folder %s",
                summary.count("created"),
                summary.count("updated"),
                summary.count("unchanged"),
                folder_id,
            )
            _raise_failures(summary)
            if self.skip_if_unchanged and not summary.has_changes and not (connected and connected.added):
                self._skip_unless_retry(context, summary)
            self._add_to_events(context, summary, connected)
            return _as_xcom(summary.files)

    def on_kill(self) -> None:
        """Stop the upload; files that are not complete stay as they were."""
        if self._uploader is not None:
            self._uploader.cancel()

    def _openlineage(self, *, failed: bool) -> Lineage:
        from airflow_provider_itwin.utils.openlineage import lineage_of_transfer

        return lineage_of_transfer(self.hook, "upload", _transferred(*self._uploaded) if self._uploaded else ())

    def _skip_unless_retry(self, context: Context, summary: UploadSummary) -> None:
        if context["ti"].try_number > 1:
            # Skipped, the changes that an earlier attempt has uploaded would not be synchronized.
            self.log.info("No file has changed since an earlier attempt, which may have uploaded files: not skipping")
            return
        context["ti"].xcom_push(key="return_value", value=_as_xcom(summary.files))
        raise AirflowSkipException(f"None of the {len(summary.files)} files of {self.source} has changed.")

    def _set_uploader(self, uploader: Uploader) -> None:
        self._uploader = uploader

    def _find_folder(self) -> str:
        if self.folder_id is not None:
            return checked_id(self.folder_id, "folder_id")
        itwin_id = self.itwin_id
        if itwin_id is None:
            connection = self.hook.describe_connection(checked_id(self.connection_id, "connection_id"))
            itwin_id = connection.itwin_id
            if itwin_id is None:
                raise ITwinInputError(
                    f"The service does not name the iTwin of connection {self.connection_id}; give itwin_id or folder_id."
                )
        return self.hook.find_folder(checked_id(itwin_id, "itwin_id"), self.folder_path or "", create=True)

    def _add_to_events(self, context: Context, summary: UploadSummary, connected: ConnectedFiles | None) -> None:
        """Add the upload to the asset events of the outlets; an alias becomes the folder."""
        if not self.outlets:
            return
        from airflow_provider_itwin.assets import UPLOAD_KEY, add_to_events, storage_folder_asset

        upload = EventUploadDict(
            folder_id=summary.folder_id, connection_id=self.connection_id, totals=_totals(summary, connected)
        )
        add_to_events(
            context,
            self.outlets,
            UPLOAD_KEY,
            upload,
            lambda: storage_folder_asset(summary.folder_id, host=self.hook.get_conn().account.environment.api),
        )

    def _connect(self, summary: UploadSummary) -> ConnectedFiles | None:
        if self.connection_id is None:
            return None
        from airflow_provider_itwin.api.storage.connectors import connector_for

        connectors = {}
        for file in summary.files:
            connector = connector_for(file.path, self.connectors)
            if connector is None:
                self.log.warning(
                    "No connector is known for %s, so it does not become a source file. Name one in connectors.",
                    file.path,
                )
            else:
                connectors[file.id] = connector
        connected = self.hook.connect_files(self.connection_id, connectors, summary.gone)
        if connected.added:
            self.log.info("Added %d source files to connection %s", len(connected.added), self.connection_id)
        for _, file_id in connected.gone:
            self.log.warning(
                "%s is a source file of connection %s, but is gone from %s%s",
                summary.gone[file_id],
                self.connection_id,
                self.source,
                "; removing it from the connection" if self.remove_gone else "",
            )
        if self.remove_gone and connected.gone and not summary.failed:
            self.hook.disconnect_files(self.connection_id, [source_file_id for source_file_id, _ in connected.gone])
        return connected


def _check_connection_parameters(given: Mapping[str, object]) -> None:
    from airflow_provider_itwin.api.storage.connectors import check_connectors

    check_connectors(given.get("connectors"))
    if "connection_id" in given and given["connection_id"] is None:
        names = [name for name in ("connectors", "remove_gone") if given.get(name)]
        if names:
            raise ITwinInputError(f"{' and '.join(names)} would have no effect without connection_id")


def _changed_first(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    return sorted(files, key=lambda file: file.outcome == "unchanged")


def _transferred(summary: UploadSummary, sources: Sequence[UploadSource]) -> list[TransferredFile]:
    """Return the files for lineage; those that had not changed, too: their content in Storage comes from the source as well."""
    addresses = {source.path: source.address for source in sources}
    return [
        TransferredFile(
            file.id, file.name, addresses.get(file.path), None if file.outcome == "unchanged" else file.outcome
        )
        for file in _changed_first(summary.files)
    ]


def _as_xcom(files: Sequence[UploadedFile]) -> list[UploadedFileDict]:
    return [file.as_dict() for file in _changed_first(files)[:MOST_FILES_IN_XCOM]]


def _report(summary: UploadSummary, connected: ConnectedFiles | None, removes: bool) -> dict[str, Any]:
    """Return the XCom ``upload_report``: JSON values, bounded."""
    from airflow_provider_itwin.api.redaction import excerpt

    return {
        "folder_id": summary.folder_id,
        "totals": _totals(summary, connected),
        "files": [
            {"path": excerpt(file["path"], 200), "size": file["size"], "outcome": file["outcome"]}
            for file in _as_xcom(summary.files)[:_MOST_LISTED]
        ],
        "failed": [
            {"path": excerpt(failed.path, 200), "error": excerpt(str(failed.error), 300)}
            for failed in summary.failed[:_MOST_LISTED]
        ],
        "gone": [excerpt(path, 200) for path in list(summary.gone.values())[:_MOST_LISTED]],
        "removed_from_connection": len(connected.gone) if connected and removes and not summary.failed else 0,
    }


def _totals(summary: UploadSummary, connected: ConnectedFiles | None) -> UploadTotalsDict:
    return {
        "created": summary.count("created"),
        "updated": summary.count("updated"),
        "unchanged": summary.count("unchanged"),
        "failed": len(summary.failed),
        "not_tried": summary.not_tried,
        "gone": len(summary.gone),
        "connected": len(connected.added) if connected else 0,
        "bytes_sent": summary.sent,
        "seconds": round(summary.seconds, 1),
    }


def _is_permanent(error: Exception) -> bool:
    # A conflict can end: someone unlocks the file.
    return isinstance(error, ITwinError) and not error.transient and not isinstance(error, ITwinConflictError)


def _raise_failures(summary: UploadSummary) -> None:
    if not summary.failed:
        return
    shown = "; ".join(f"{failed.path}: {failed.error}" for failed in summary.failed[:_MOST_FAILURES_SHOWN])
    left = len(summary.failed) - _MOST_FAILURES_SHOWN
    text = (
        f"{len(summary.failed)} files were not uploaded. {shown}{f'; {left} more' if left > 0 else ''} "
        f"{len(summary.files)} files are in iTwin Storage"
        f"{f', and {summary.not_tried} were not tried' if summary.not_tried else ''}."
    )
    if all(_is_permanent(failed.error) for failed in summary.failed):
        raise ITwinPermanentError(text)
    raise ITwinTransientError(f"{text} A retry uploads the rest.")
