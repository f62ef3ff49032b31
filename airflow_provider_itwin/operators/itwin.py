"""The operators for runs, files and named versions. Those of other modules can be imported from here, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.runs.active_run_policy import IfActiveName
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, ResultName
from airflow_provider_itwin.exceptions import airflow_exceptions, error_logged_first
from airflow_provider_itwin.operators.base import ITwinRunOperator
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.named_version import ITwinCreateNamedVersionOperator
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from airflow_provider_itwin.sdk_compat import BaseOperator
from airflow_provider_itwin.utils.parameters import CheckedParameters, error_names_task, is_literal

if TYPE_CHECKING:
    from jinja2 import Environment

    from airflow_provider_itwin.api.models.enums import ExecutionResult
    from airflow_provider_itwin.api.models.json_types import KindName, SourceFileDict
    from airflow_provider_itwin.api.models.resources import SourceFile
    from airflow_provider_itwin.sdk_compat import Context, XComArg

__all__ = [
    "ITwinCreateNamedVersionOperator",
    "ITwinDownloadFileOperator",
    "ITwinListSourceFilesOperator",
    "ITwinRunExportConnectionOperator",
    "ITwinRunManifestConnectionOperator",
    "ITwinRunStorageConnectionOperator",
    "ITwinUploadFilesOperator",
]


class ITwinRunStorageConnectionOperator(ITwinRunOperator):
    """
    Start a run of a storage connection, which synchronizes its files into the iModel, and wait for its end.

    Mirrors ``run-storage-connection``.

    XComs: ``return_value``, the id of the run; ``run_ref`` with `kind`, `connection_id` and `run_id`, pushed before the wait;
    ``run_report``, the report of the run, pushed after the wait.

    :param connection_id: id of the iTwin connection (templated)
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param if_active: what to do if the iModel is already being synchronized. ``queue`` (default): wait for the active run,
        then start one; a run of this connection that began no earlier than this task asked for it counts as the task's own.
        ``attach``: take any active run of this connection as the task's own, else as ``queue``. ``fail``: fail the task.
        ``skip``: skip the task
    :param wait_for_completion: whether to wait for the end of the run; default True. With False, the task ends when the run has
        started: `fail_on`, `skip_on` and `strict` are refused, and `deferrable`, `poll_interval` and `timeout` apply to the queue
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): 5 % of the elapsed time, at
        least 10 s and at most 2 min
    :param timeout: seconds, or a timedelta, from the task's first request for a run to its end, queueing included; None
        (default): no limit
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param durable: whether a retry after a lost worker resumes with the run that was started (Airflow 3.3 and newer); default
        True
    :param preflight: whether to log a warning before the start if the connection uses the sign-in of a user, which a service
        application cannot renew; default True
    :return: the id of the run
    :raises ITwinRunFailedError: if the run ended with a result that fails the task; a retry starts a new run
    :raises ITwinRunActiveError: if another run is active and `if_active` is ``fail``
    :raises ITwinWaitTimeLimitError: if `timeout` passed, or ``execution_timeout`` in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or another run is active and `if_active` is ``skip``
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "storage"


class _RunWithBodyOperator(ITwinRunOperator):
    """Base of operators whose run has a body; Airflow displays the body masked, because its pre-signed URLs are secrets."""

    template_fields: Sequence[str] = (*ITwinRunOperator.template_fields, "body")
    template_fields_renderers = {"body": "json"}  # noqa: RUF012 (as Airflow declares it)

    # The parameters of the base class are repeated, so that editors and type checkers know them.
    def __init__(
        self,
        *,
        body: Mapping[str, object] | Callable[..., object] | XComArg,
        connection_id: str | XComArg,
        itwin_conn_id: str = "itwin_default",
        if_active: IfActiveName = "queue",
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        fail_on: Iterable[ResultName | ExecutionResult] = DEFAULT_FAIL_ON,
        skip_on: Iterable[ResultName | ExecutionResult] = (),
        strict: bool = False,
        durable: bool = True,
        preflight: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            connection_id=connection_id,
            itwin_conn_id=itwin_conn_id,
            if_active=if_active,
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            timeout=timeout,
            fail_on=fail_on,
            skip_on=skip_on,
            strict=strict,
            durable=durable,
            preflight=preflight,
            **kwargs,
        )
        with error_names_task(type(self), self.task_id):
            _check_body(body)
        # Airflow calls a function in place of rendering it, and logs it when that fails.
        self.body: Any = _Function(body) if callable(body) else body
        self._rendered: _Hidden | None = None

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        _check_body(given.get("body"))

    def render_template(
        self, content: object, context: Context, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> object:
        """
        Render a value; of the body, return the masked form, and store the rendered one where it is never displayed.

        Airflow calls this for each field of plain and of mapped tasks, and logs the unrendered field on an error. So an error in
        the body is raised later, by :meth:`checked_body`.
        """
        if content is not self.body or self._rendered is not None:
            return super().render_template(content, context, jinja_env, seen_oids)
        from airflow_provider_itwin.api.redaction import HIDDEN
        from airflow_provider_itwin.api.runs.request_body import masked, plain_body

        try:
            if isinstance(content, _Function):
                rendered = content.function(context=context, jinja_env=jinja_env)
            else:
                rendered = super().render_template(content, context, jinja_env, seen_oids)
            plain = plain_body(rendered)
        except Exception as error:  # noqa: BLE001 (checked_body raises it)
            # The frames of the traceback contain the body, and some tools display the variables of frames.
            error.__cause__ = error.__context__ = None
            self._rendered = _Hidden(error.with_traceback(None))
            return HIDDEN
        self._rendered = _Hidden(plain)
        return masked(plain)

    def checked_body(self) -> Mapping[str, object]:
        """
        Return the body of the request for a run, rendered, as plain JSON.

        :raises ITwinInputError: if it cannot be converted to JSON
        """
        from airflow_provider_itwin.api.runs.request_body import plain_body

        if self._rendered is None:
            return plain_body(self.body)
        if isinstance(self._rendered.value, Exception):
            raise self._rendered.value
        body: Mapping[str, object] = self._rendered.value
        return body


def _check_body(body: object) -> None:
    if is_literal(body) and not isinstance(body, Mapping):
        raise ITwinInputError(
            f"body must be a mapping, as in the API documentation of the operation, not {type(body).__name__}"
        )


class _Function:
    """A function that returns the body, as an object that cannot be called."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __repr__(self) -> str:
        return f"<function {getattr(self.function, '__qualname__', '')}>"


class _Hidden:
    """A value that ``repr`` does not show."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


class ITwinRunManifestConnectionOperator(_RunWithBodyOperator):
    """
    Start a run of a manifest connection, which synchronizes the files at the URLs in `body`, and wait for its end.

    Mirrors ``create-manifest-connection-run``.

    XComs: ``return_value``, the id of the run; ``run_ref`` with `kind`, `connection_id` and `run_id`, pushed before the wait;
    ``run_report``, the report of the run, pushed after the wait.

    :param body: the manifest (templated): ``{"sourceFiles": [{"id": ..., "name": ..., "action": "bridge", "url": ...,
        "connectorType": ...}]}``. The URLs are pre-signed and must be valid until the run ends. Airflow displays them masked.
        Use an XCom or a template for them: Airflow displays the source of a DAG file unmasked
    :param connection_id: id of the iTwin connection (templated)
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param if_active: what to do if the iModel is already being synchronized. ``queue`` (default): wait for the active run,
        then start one; a run of this connection that began no earlier than this task asked for it counts as the task's own.
        ``attach``: take any active run of this connection as the task's own, else as ``queue``. ``fail``: fail the task.
        ``skip``: skip the task
    :param wait_for_completion: whether to wait for the end of the run; default True. With False, the task ends when the run has
        started: `fail_on`, `skip_on` and `strict` are refused, and `deferrable`, `poll_interval` and `timeout` apply to the queue
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): 5 % of the elapsed time, at
        least 10 s and at most 2 min
    :param timeout: seconds, or a timedelta, from the task's first request for a run to its end, queueing included; None
        (default): no limit
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param durable: whether a retry after a lost worker resumes with the run that was started (Airflow 3.3 and newer); default
        True
    :param preflight: whether to log a warning before the start if the connection uses the sign-in of a user, which a service
        application cannot renew; default True
    :return: the id of the run
    :raises ITwinRunFailedError: if the run ended with a result that fails the task; a retry starts a new run
    :raises ITwinRunActiveError: if another run is active and `if_active` is ``fail``
    :raises ITwinWaitTimeLimitError: if `timeout` passed, or ``execution_timeout`` in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or another run is active and `if_active` is ``skip``
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "manifest"


class ITwinRunExportConnectionOperator(_RunWithBodyOperator):
    """
    Start a run of an export connection, which writes the iModel to a file of another format, and wait for its end.

    Mirrors ``create-export-connection-run``. The Export API is a technology preview of Bentley.

    XComs: ``return_value``, the id of the run; ``run_ref`` with `kind`, `connection_id` and `run_id`, pushed before the wait;
    ``run_report``, the report of the run, pushed after the wait.

    :param body: what to export and where to (templated): ``{"exportType": "IFC", "ifcVersion": "IFC4.3", "inputOptions":
        {...}, "outputOptions": {...}}``. Airflow displays its URLs masked
    :param connection_id: id of the iTwin connection (templated)
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param if_active: what to do if the iModel is already being synchronized. ``queue`` (default): wait for the active run,
        then start one; a run of this connection that began no earlier than this task asked for it counts as the task's own.
        ``attach``: take any active run of this connection as the task's own, else as ``queue``. ``fail``: fail the task.
        ``skip``: skip the task
    :param wait_for_completion: whether to wait for the end of the run; default True. With False, the task ends when the run has
        started: `fail_on`, `skip_on` and `strict` are refused, and `deferrable`, `poll_interval` and `timeout` apply to the queue
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): 5 % of the elapsed time, at
        least 10 s and at most 2 min
    :param timeout: seconds, or a timedelta, from the task's first request for a run to its end, queueing included; None
        (default): no limit
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param durable: whether a retry after a lost worker resumes with the run that was started (Airflow 3.3 and newer); default
        True
    :param preflight: whether to log a warning before the start if the connection uses the sign-in of a user, which a service
        application cannot renew; default True
    :return: the id of the run
    :raises ITwinRunFailedError: if the run ended with a result that fails the task; a retry starts a new run
    :raises ITwinRunActiveError: if another run is active and `if_active` is ``fail``
    :raises ITwinWaitTimeLimitError: if `timeout` passed, or ``execution_timeout`` in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or another run is active and `if_active` is ``skip``
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    kind: ClassVar[KindName] = "export"


class ITwinListSourceFilesOperator(CheckedParameters, BaseOperator):
    """
    List the source files of a connection, in a form that fits an XCom and can be mapped over.

    Mirrors ``get-storage-connection-sourcefiles`` and ``get-manifest-connection-sourcefiles``.

    XCom: ``return_value``, the list.

    :param connection_id: id of the iTwin connection (templated)
    :param kind: kind of the connection: ``storage`` (default) or ``manifest``
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param limit: number of files, at most; default 1000; None: no limit
    :param name_pattern: list only files whose name matches this pattern, such as ``*.dgn``, in any case (templated); None
        (default): all
    :param connector_types: list only files of these connectors, such as ``["MSTN", "REVIT"]``; None (default): all
    :return: a list of ``{"id", "file_id", "name", "connector_type"}``; `file_id` is the id of the file in the tasks of a run
    :raises ITwinTransientError: if the service had no good response; can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    template_fields: Sequence[str] = ("connection_id", "itwin_conn_id", "name_pattern")
    ui_color = "#d6ecd8"

    def __init__(
        self,
        *,
        connection_id: str | XComArg,
        kind: Literal["storage", "manifest"] = "storage",
        itwin_conn_id: str = "itwin_default",
        limit: int | None = 1000,
        name_pattern: str | None = None,
        connector_types: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {"connection_id": connection_id, "kind": kind, "itwin_conn_id": itwin_conn_id, "limit": limit}
            )
        # A template or the output of another task is a str by the time the task runs; it is validated then.
        self.connection_id: Any = connection_id
        self.kind = kind
        self.itwin_conn_id = itwin_conn_id
        self.limit = limit
        self.name_pattern = name_pattern
        if isinstance(connector_types, str):
            connector_types = [connector_types]
        self.connector_types = None if connector_types is None else list(connector_types)

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        kind, limit = given.get("kind", "storage"), given.get("limit")
        if kind not in ("storage", "manifest"):
            raise ITwinInputError(
                f"invalid kind {kind!r}; expected storage or manifest: only these connections have source files"
            )
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise ITwinInputError(f"limit must be a positive number of files or None, not {limit!r}")

    def execute(self, context: Context) -> list[SourceFileDict]:
        """List the source files."""
        from airflow_provider_itwin.api.models.validation import (
            checked_id,
            checked_text,
            known_id,
        )
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        with error_logged_first(self.log), airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            checked_id(self.connection_id, "connection_id")
            if self.name_pattern not in (None, ""):
                checked_text(self.name_pattern, "name_pattern")
            files = ITwinHook(self.itwin_conn_id).list_source_files(self.connection_id, self.kind)
            wanted = list(islice(filter(self._is_wanted, files), self.limit))
        self.log.info("Found %d source files of %s connection %s", len(wanted), self.kind, self.connection_id)
        return [
            {
                "id": known_id(file.id),
                "file_id": known_id(file.storage_file_id) or known_id(file.source_file_id),
                "name": _shown(file.last_known_file_name),
                "connector_type": _shown(file.connector_type),
            }
            for file in wanted
        ]

    def _is_wanted(self, file: SourceFile) -> bool:
        name = file.last_known_file_name or ""
        if self.name_pattern and not fnmatchcase(name.lower(), self.name_pattern.lower()):
            return False
        return self.connector_types is None or file.connector_type in self.connector_types


def _shown(text: str | None) -> str | None:
    from airflow_provider_itwin.api.redaction import excerpt

    return excerpt(text, 300) if text is not None else None
