"""
The whole night as one task group: changed files in, synchronized, named, exported, delivered.

DAG files use this module, so it imports little.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.operators.named_version import ITwinCreateNamedVersionOperator
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from airflow_provider_itwin.sdk_compat import TaskGroup
from airflow_provider_itwin.utils.run_outcome import REF_KEY

if TYPE_CHECKING:
    from airflow_provider_itwin.sdk_compat import XComArg

StepName: TypeAlias = Literal["upload", "synchronize", "version", "export", "download"]
"""The steps of a night."""

_STEPS: tuple[StepName, ...] = ("upload", "synchronize", "version", "export", "download")


class ITwinNight(TaskGroup):
    """
    The task group that :func:`itwin_night` returns. A step that was left out is None.

    Put your own tasks before or after a step: ``night.synchronize >> check() >> night.version``.
    """

    upload: ITwinUploadFilesOperator | None = None
    """Uploads the changed files, task ``upload``."""

    synchronize: ITwinRunStorageConnectionOperator
    """Runs the storage connection, task ``synchronize``."""

    version: ITwinCreateNamedVersionOperator | None = None
    """Names the state that the run has produced, task ``version``."""

    export: ITwinRunExportConnectionOperator | None = None
    """Runs the export connection, task ``export``."""

    download: ITwinDownloadFileOperator | None = None
    """Delivers the exported file, task ``download``."""


def itwin_night(
    *,
    connection_id: str | XComArg,
    source: str | XComArg | None = None,
    itwin_id: str | XComArg | None = None,
    folder_path: str | XComArg | None = None,
    version_name: str | XComArg | None = None,
    export_connection_id: str | XComArg | None = None,
    export_body: Mapping[str, object] | XComArg | None = None,
    deliver_to: str | XComArg | None = None,
    itwin_conn_id: str = "itwin_default",
    group_id: str = "night",
    step_args: Mapping[StepName, Mapping[str, object]] | None = None,
    **group_args: Any,
) -> ITwinNight:
    """
    Return a task group with the steps of a night; each step waits for the one before it.

    ``upload`` the changed files, ``synchronize`` them, name the ``version``, ``export`` it, ``download`` the exported file. Only
    ``synchronize`` is always there; the parameters of the other steps bring them in. If the run pushes no changes, ``version`` is
    skipped, and with it what follows.

    :param connection_id: id of the storage connection
    :param source: what to upload, as for :class:`~airflow_provider_itwin.operators.upload.ITwinUploadFilesOperator`; None
        (default): no step ``upload``
    :param itwin_id: id of the iTwin to upload to; None (default): that of the connection
    :param folder_path: folder to upload to, such as ``Design/Structural``; None (default): the root folder
    :param version_name: name of the named version, such as ``Nightly {{ run_id }}``; None (default): no step ``version``
    :param export_connection_id: id of the export connection; None (default): no step ``export``
    :param export_body: what to export, as for
        :class:`~airflow_provider_itwin.operators.itwin.ITwinRunExportConnectionOperator`
    :param deliver_to: where to put the exported file: a path, or a folder that ends with ``/``, on a disk or in an object store;
        None (default): no step ``download``
    :param itwin_conn_id: the Airflow connection, of type ``itwin``, of all steps; default ``itwin_default``
    :param group_id: id of the task group, which is part of the ids of its tasks: ``night.upload``; default ``night``
    :param step_args: further parameters of a step's operator, by step, such as ``{"synchronize": {"timeout": 3600}}``
    :param group_args: further parameters of ``TaskGroup``, such as `default_args` and `tooltip`
    :raises ValueError: for an invalid parameter, or one that has no effect
    """
    more = _checked_step_args(step_args)
    _check_needs(
        {
            "itwin_id": (itwin_id, "source", source),
            "folder_path": (folder_path, "source", source),
            "export_connection_id": (export_connection_id, "export_body", export_body),
            "export_body": (export_body, "export_connection_id", export_connection_id),
            "deliver_to": (deliver_to, "export_connection_id", export_connection_id),
            "step_args['upload']": (more["upload"] or None, "source", source),
            "step_args['version']": (more["version"] or None, "version_name", version_name),
            "step_args['export']": (more["export"] or None, "export_connection_id", export_connection_id),
            "step_args['download']": (more["download"] or None, "deliver_to", deliver_to),
        }
    )

    def of(step: StepName, **own: Any) -> dict[str, Any]:
        return {"task_id": step, "itwin_conn_id": itwin_conn_id, **own, **more[step]}

    night = ITwinNight(group_id=group_id, **group_args)
    steps: list[Any] = []
    with night:
        if source is not None:
            night.upload = ITwinUploadFilesOperator(
                **of("upload", source=source, connection_id=connection_id, itwin_id=itwin_id, folder_path=folder_path)
            )
            steps.append(night.upload)
        night.synchronize = ITwinRunStorageConnectionOperator(**of("synchronize", connection_id=connection_id))
        steps.append(night.synchronize)
        if version_name is not None:
            night.version = ITwinCreateNamedVersionOperator(
                **of("version", run_ref=_ref_of(night.synchronize), name=version_name)
            )
            steps.append(night.version)
        if export_connection_id is not None:
            night.export = ITwinRunExportConnectionOperator(
                **of("export", connection_id=export_connection_id, body=export_body)
            )
            steps.append(night.export)
            if deliver_to is not None:
                night.download = ITwinDownloadFileOperator(
                    **of("download", run_ref=_ref_of(night.export), path=deliver_to)
                )
                steps.append(night.download)
        for step, following in pairwise(steps):
            step >> following
    return night


def _checked_step_args(step_args: Mapping[StepName, Mapping[str, object]] | None) -> dict[StepName, dict[str, object]]:
    given = dict(step_args or {})
    unknown = given.keys() - set(_STEPS)
    if unknown:
        raise ITwinInputError(f"step_args has the unknown step {min(unknown)!r}; expected {', '.join(_STEPS)}")
    return {step: dict(given.get(step, {})) for step in _STEPS}


def _check_needs(needs: Mapping[str, tuple[object, str, object]]) -> None:
    for name, (value, needed, other) in needs.items():
        if value is not None and other is None:
            raise ITwinInputError(f"{name} would have no effect without {needed}; give {needed}, or remove {name}")


def _ref_of(step: Any) -> Any:
    return step.output[REF_KEY]
