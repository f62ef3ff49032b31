"""The operator that downloads files of iTwin Storage."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import checked_id, checked_text, shown
from airflow_provider_itwin.api.storage.paths import checked_path, is_folder
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinTransientError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.sdk_compat import BaseOperator
from airflow_provider_itwin.utils.lineage import LineageTask, TransferredFile
from airflow_provider_itwin.utils.parameters import CheckedParameters, error_names_task, is_literal

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import DownloadedFileDict
    from airflow_provider_itwin.api.models.resources import Run
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.sdk_compat import Context, XComArg
    from airflow_provider_itwin.utils.openlineage import Lineage


class ITwinDownloadFileOperator(LineageTask, CheckedParameters, BaseOperator):
    """
    Download a file of iTwin Storage, or all files that an export run has written there.

    Mirrors ``get-file`` and ``download-file``.

    A file gets its name when it is whole and its size is the right one; until then, an existing file stays. A cut transfer
    resumes where it was cut, and on a local disk, a retry of the task does so, too.

    XCom: ``return_value``, a list of ``{"file_id", "name", "path", "size", "sha256"}``.

    :param path: where the file goes (templated): an absolute path on the worker, or the URL of an object store, such as
        ``s3://aws_default@bucket/exports/``. If it ends with ``/``, it is the folder, and the file keeps the name that it has in
        iTwin Storage. Missing folders are created
    :param file_id: id of the file (templated); None (default): the files of `run_ref`
    :param run_ref: the export run whose files are downloaded, as the XCom ``run_ref`` of the export operator (templated):
        ``export.output["run_ref"]``; None (default): the file of `file_id`
    :param overwrite: whether an existing file is replaced; default True. With False, an existing file of the same size, and with
        the same SHA-256 where iTwin Storage has one, is not downloaded again, and any other one fails the task
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :return: the files, as in the XCom ``return_value``
    :raises ITwinTransientError: if the service had no good response, the transfer got nothing for the outage tolerance
        (``[itwin] outage_tolerance``), or the path could not be written; can be retried
    :raises ITwinPermanentError: for a run without files in iTwin Storage, an existing file that must not be replaced, refused
        credentials, 403, 404 and invalid settings; not retried
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    switches: ClassVar[tuple[str, ...]] = ("overwrite",)
    template_fields: Sequence[str] = ("path", "file_id", "run_ref", "itwin_conn_id")
    ui_color = "#d6ecd8"

    _transferred: Sequence[TransferredFile] = ()
    """The files, which OpenLineage asks for later, in the process that ends the task."""

    def __init__(
        self,
        *,
        path: str | XComArg,
        file_id: str | XComArg | None = None,
        run_ref: Mapping[str, object] | XComArg | None = None,
        overwrite: bool = True,
        itwin_conn_id: str = "itwin_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "path": path,
                    "file_id": file_id,
                    "run_ref": run_ref,
                    "overwrite": overwrite,
                    "itwin_conn_id": itwin_conn_id,
                }
            )
            if file_id is None and run_ref is None:
                raise ITwinInputError("Give file_id or run_ref: nothing else tells what is downloaded.")
        # A template or the output of another task has its value by the time the task runs; it is validated then.
        self.path: Any = path
        self.file_id: Any = file_id
        self.run_ref: Any = run_ref
        self.overwrite = overwrite
        self.itwin_conn_id = itwin_conn_id
        self._stopped: threading.Event | None = None

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        if "path" in given and (given["path"] is None or is_literal(given["path"])):
            checked_path(given["path"], is_rendered=False)
        if is_literal(given.get("file_id")):
            checked_id(given["file_id"], "file_id", is_rendered=False)
        if is_literal(given.get("run_ref")):
            _checked_ref(given["run_ref"], is_rendered=False)
        if given.get("file_id") is not None and given.get("run_ref") is not None:
            raise ITwinInputError("Give file_id or run_ref, not both")

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def execute(self, context: Context) -> list[DownloadedFileDict]:
        """
        Download the files.

        :return: the files
        """
        self._stopped = threading.Event()
        with error_logged_first(self.log), airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            path = checked_path(self.path)
            file_ids = [checked_id(self.file_id, "file_id")] if self.run_ref is None else self._files_of_run(path)
            self._transferred = [TransferredFile(file_id) for file_id in file_ids]
            files = self.hook.download_files(file_ids, path, overwrite=self.overwrite, stopped=self._stopped)
            self._transferred = [TransferredFile(file.file_id, file.name, file.path) for file in files]
            return [file.as_dict() for file in files]

    def on_kill(self) -> None:
        """Stop the download. On a local disk, what is received stays, and a retry resumes it."""
        if self._stopped is not None:
            self._stopped.set()

    def _openlineage(self, *, failed: bool) -> Lineage:
        from airflow_provider_itwin.utils.openlineage import lineage_of_transfer

        return lineage_of_transfer(self.hook, "download", self._transferred)

    def _files_of_run(self, path: str) -> list[str]:
        """Return the ids of the files that the run has written."""
        ref = _checked_ref(self.run_ref)
        run = self.hook.get_run(ref.connection_id, ref.run_id, ref.kind)
        if not run.is_finished:
            raise ITwinTransientError(
                f"Export run {ref} is still {run.state or 'in an unknown state'}, so its files are not there yet. Let the export "
                "operator or a sensor wait for its end."
            )
        file_ids = output_files(run)
        if not file_ids:
            raise ITwinPermanentError(
                f"Export run {ref} ended with {run.result or 'no result'} and has no files in iTwin Storage. If it succeeded, "
                "outputOptions in the body of the run probably had the location USER_BLOB_STORAGE: then the files are in the "
                'container of outputSasUrl. For files in iTwin Storage, use {"location": "ITWIN_STORAGE", "folderId": ...}.'
            )
        if len(file_ids) > 1 and not is_folder(path):
            raise ITwinInputError(
                f"Export run {ref} has {len(file_ids)} files, and path {shown(path)} is one file. End path with '/' for a folder."
            )
        return file_ids


def output_files(run: Run) -> list[str]:
    """Return the ids of the files that an export run has written to iTwin Storage, each once."""
    found = (task.export_output_file_id for job in run.jobs or () for task in job.tasks or ())
    return list(dict.fromkeys(checked_id(file_id, "exportOutputFileId") for file_id in found if file_id))


def _checked_ref(value: object, *, is_rendered: bool = True) -> RunRef:
    """
    Return the reference of an export run.

    :param value: the XCom ``run_ref``, or ``kind/connection_id/run_id``
    :raises ITwinInputError: for anything else, and for a run of another kind
    """
    try:
        ref = RunRef.parse(value) if isinstance(value, str) else RunRef.from_dict(dict(value))  # type: ignore[call-overload]
    except (TypeError, KeyError, ValueError) as error:
        reason = f" ({error})" if isinstance(error, ITwinInputError) else ""
        hint = " If it comes from an XCom, check that the upstream task has pushed it." if is_rendered else ""
        raise ITwinInputError(
            f'run_ref is {shown(value)}, which is not the reference of a run{reason}. Use export.output["run_ref"], where export '
            f"is the task that starts the run; a template renders it as a str.{hint}"
        ) from None
    if ref.kind is not ConnectionKind.EXPORT:
        raise ITwinInputError(f"run_ref is the {ref.kind} run {ref}, but only export runs write files")
    return ref
