"""Operators: one for the runs of each kind of connection, and one that lists source files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.exceptions import airflow_exceptions, error_logged_first
from airflow_provider_itwin.operators.base import ITwinRunOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_itwin.api.models.resources import SourceFile

__all__ = [
    "ITwinListSourceFilesOperator",
    "ITwinRunExportConnectionOperator",
    "ITwinRunManifestConnectionOperator",
    "ITwinRunStorageConnectionOperator",
]


class ITwinRunStorageConnectionOperator(ITwinRunOperator):
    """
    Starts a run of a storage connection, which synchronizes its files into the iModel, and waits for it if asked to.

    Parameters, XComs and errors are those of :class:`~airflow_provider_itwin.operators.base.ITwinRunOperator`. The operation is
    ``run-storage-connection``.
    """

    kind = "storage"


class _RunWithBodyOperator(ITwinRunOperator):
    """Starts a run with a body; Airflow shows the body masked, since its pre-signed URLs are secrets."""

    template_fields: Sequence[str] = (*ITwinRunOperator.template_fields, "body")
    template_fields_renderers = {"body": "json"}  # noqa: RUF012 (as Airflow declares it)

    def __init__(self, *, body: Mapping[str, Any] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body: Any = body
        self._rendered: _Hidden | None = None

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Any, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        """
        Render the fields, the body apart from the others: where that fails, Airflow would log the body.

        Plain and mapped tasks of every Airflow are rendered through this one method.
        """
        names = list(template_fields)
        is_own = parent is self and "body" in names
        if is_own:
            names.remove("body")
        super()._do_render_template_fields(parent, names, context, jinja_env, seen_oids)
        if is_own:
            self._render_body(context, jinja_env, seen_oids)

    def _render_body(self, context: Any, jinja_env: Any, seen_oids: set[int]) -> None:
        """Keep the rendered body where nobody shows it, and leave a masked one where Airflow looks for what to show."""
        from airflow_provider_itwin.api.redaction import HIDDEN
        from airflow_provider_itwin.api.runs.request_body import (
            BodyError,
            masked,
            plain_body,
        )

        body, self.body = self.body, HIDDEN
        if callable(body):
            rendered = body(context=context, jinja_env=jinja_env)
        else:
            rendered = self.render_template(body, context, jinja_env, seen_oids)
        try:
            plain = plain_body(rendered)
        except BodyError as error:
            # Raised by run_body: here it would be retried.
            self._rendered = _Hidden(error)
        else:
            self._rendered, self.body = _Hidden(plain), masked(plain)

    @property
    def run_body(self) -> Mapping[str, Any]:
        """
        The body of the request for a run, rendered, as plain JSON.

        :raises ITwinInputError: if it has no form in JSON
        """
        from airflow_provider_itwin.api.runs.request_body import plain_body

        if self._rendered is None:
            return plain_body(self.body)
        if isinstance(self._rendered.value, Exception):
            raise self._rendered.value
        body: Mapping[str, Any] = self._rendered.value
        return body


class _Hidden:
    """A value that no ``repr`` shows."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


class ITwinRunManifestConnectionOperator(_RunWithBodyOperator):
    """
    Starts a run of a manifest connection, which synchronizes the files at the URLs that `body` lists, and waits if asked to.

    Parameters, XComs and errors are those of :class:`~airflow_provider_itwin.operators.base.ITwinRunOperator`, and `body`. The
    operation is ``create-manifest-connection-run``.

    :param body: the manifest (templated): ``{"sourceFiles": [{"id": ..., "name": ..., "action": "bridge", "url": ...,
        "connectorType": ...}]}``. Its URLs are pre-signed and have to outlive the run; they are masked wherever Airflow shows
        the task. Take them from an XCom or a template rather than writing them into the DAG file, which Airflow shows as it is
    """

    kind = "manifest"


class ITwinRunExportConnectionOperator(_RunWithBodyOperator):
    """
    Starts a run of an export connection, which writes the iModel into a file of another format, and waits if asked to.

    Parameters, XComs and errors are those of :class:`~airflow_provider_itwin.operators.base.ITwinRunOperator`, and `body`. The
    operation is ``create-export-connection-run``; the Export API is a technology preview of Bentley's.

    :param body: what to export, and to where (templated): ``{"exportType": "IFC", "ifcVersion": "IFC4.3", "inputOptions": {...},
        "outputOptions": {...}}``. Its URLs are masked as those of a manifest are
    """

    kind = "export"


class ITwinListSourceFilesOperator(BaseOperator):
    """
    Lists the source files of a connection, small enough for an XCom, and in a form to map over.

    Gives a list of ``{"id", "file_id", "name", "connector_type"}``, where `file_id` is what the tasks of a run call the file. The
    operations are ``get-storage-connection-sourcefiles`` and ``get-manifest-connection-sourcefiles``.

    :param connection_id: the iTwin connection (templated)
    :param kind: ``storage`` or ``manifest``
    :param itwin_conn_id: the Airflow connection (templated)
    :param limit: how many files at most; None for all
    :param name_pattern: only files whose name matches this pattern, such as ``*.dgn``, in any case (templated)
    :param connector_types: only files of these connectors, such as ``["MSTN", "REVIT"]``
    :raises ValueError: for parameters that make no sense
    """

    template_fields: Sequence[str] = ("connection_id", "itwin_conn_id", "name_pattern")
    ui_color = "#d6ecd8"

    def __init__(
        self,
        *,
        connection_id: str | XComArg,
        kind: str = "storage",
        itwin_conn_id: str = "itwin_default",
        limit: int | None = 1000,
        name_pattern: str | None = None,
        connector_types: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in ("storage", "manifest"):
            raise ITwinInputError(
                f"kind must be 'storage' or 'manifest', not {kind!r}: only these connections have source files"
            )
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise ITwinInputError(f"limit must be a positive number of files or None, not {limit!r}")
        # What is templated or comes from an XCom is a text by the time that the task runs, when it is checked.
        self.connection_id: Any = connection_id
        self.kind = kind
        self.itwin_conn_id = itwin_conn_id
        self.limit = limit
        self.name_pattern = name_pattern
        if isinstance(connector_types, str):
            connector_types = [connector_types]
        self.connector_types = None if connector_types is None else list(connector_types)

    def execute(self, context: Any) -> list[dict[str, str | None]]:
        """List the files."""
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
        self.log.info("%d source files of %s connection %s", len(wanted), self.kind, self.connection_id)
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
