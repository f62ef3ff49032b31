"""
OpenLineage events of tasks: what they read and write, and a facet with the result.

Files elsewhere → upload → files of iTwin Storage → run → iModel → named version → iModel → export → files of iTwin Storage →
download → files elsewhere.

This module is imported only when OpenLineage extracts lineage, so it may import packages of the extra ``openlineage``. Datasets
are named by ids, never by URLs, which can be pre-signed. Lineage never fails a task: unknown values are left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow.providers.common.compat.openlineage.facet import Dataset, ErrorMessageRunFacet, RunFacet
from airflow.providers.openlineage.extractors.base import OperatorLineage
from attrs import define

from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.errors import ITwinError, ITwinStoppedError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.sdk_compat import AirflowException
from airflow_provider_itwin.utils.openlineage_datasets import (
    imodel_dataset,
    named_dataset,
    namespace_of,
    storage_dataset,
    transferred_datasets,
)

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import NamedVersionDict
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.resources import SourceFile
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.utils.lineage import TransferredFile

log = logging.getLogger(__name__)

Lineage: TypeAlias = OperatorLineage[Any, Any]

LONGEST_PAUSES = 3.0
"""Seconds for which requests about one event are retried, or wait for their turn."""

MOST_DATASETS = 100
"""Files among the inputs of an event, and among its outputs, at most."""


@define
class ITwinRunFacet(RunFacet):
    """
    The run of a task; unknown fields are None.

    :param kind: kind of the connection
    :param connectionId: id of the connection
    :param runId: id of the run
    :param state: state of the run
    :param result: result of the run
    :param started: start in ISO 8601, UTC
    :param ended: end in ISO 8601, UTC
    :param duration: seconds from start to end
    :param summary: the result in one line
    :param totals: numbers of jobs, files and issues
    :param moreSourceFiles: whether there are source files that the event leaves out
    :param moreOutputFiles: whether there are exported files that the event leaves out
    """

    kind: str
    connectionId: str  # noqa: N815 (as OpenLineage spells its fields)
    runId: str | None = None  # noqa: N815
    state: str | None = None
    result: str | None = None
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    summary: str | None = None
    totals: dict[str, Any] | None = None
    moreSourceFiles: bool = False  # noqa: N815
    moreOutputFiles: bool = False  # noqa: N815


@define
class ITwinTransferFacet(RunFacet):
    """
    The upload or the download of a task.

    :param direction: ``upload`` or ``download``
    :param files: number of files
    :param changedFiles: number of files that were created or updated by an upload; None for a download
    :param moreFiles: whether there are files that the event leaves out
    """

    direction: str
    files: int
    changedFiles: int | None = None  # noqa: N815
    moreFiles: bool = False  # noqa: N815


@define
class ITwinNamedVersionFacet(RunFacet):
    """
    The named version of a task.

    :param id: id of the named version
    :param name: its name
    :param changesetId: id of its changeset
    :param changesetIndex: index of its changeset; None if it is unknown
    :param created: whether the task has created it, rather than found
    """

    id: str
    name: str
    changesetId: str  # noqa: N815
    changesetIndex: int | None = None  # noqa: N815
    created: bool = True


def lineage_of(
    hook: ITwinHook, kind: str, connection_id: str, run_id: str | None, report: RunReport | None, *, failed: bool
) -> Lineage:
    """
    Return the lineage of a task that runs a connection, or waits for a run.

    :param kind: kind of the connection
    :param connection_id: id of the connection
    :param run_id: id of the run, None if the task has none
    :param report: the report of the run, None if the task did not wait for its end
    :param failed: whether the task failed
    """
    facet = ITwinRunFacet(kind=kind, connectionId=connection_id, runId=report.ref.run_id if report else run_id)
    if report:
        for name in ("state", "result", "started", "ended", "duration", "summary", "totals"):
            setattr(facet, name, report.as_dict()[name])
    run_facets: dict[str, RunFacet] = {"itwin_run": facet}
    if failed and report:
        message = report.text(f"its result is {report.result}")
        run_facets["errorMessage"] = ErrorMessageRunFacet(message=message, programmingLanguage="iTwin")
    lineage: Lineage = OperatorLineage(run_facets=run_facets)
    # A separate client: this can be a forked process, which must not use the sockets of the task's process.
    with (
        left_out_if_unknown(f"{kind} connection {connection_id}"),
        ITwinClient(hook.get_conn().account, sleep=_ShortPauses()) as client,
    ):
        _add_datasets(lineage, facet, client, ConnectionKind(kind), connection_id, report)
    return lineage


class _ShortPauses:
    """
    Pauses of a few seconds in total; the one beyond that raises an error.

    OpenLineage drops an event that takes longer than ``[openlineage] execution_timeout``, 10 s by default. An event without
    datasets is better than none.
    """

    def __init__(self) -> None:
        self._left = LONGEST_PAUSES

    def __call__(self, seconds: float) -> None:
        self._left -= seconds
        if self._left < 0:
            raise ITwinStoppedError("The service does not respond in time for an OpenLineage event")
        time.sleep(seconds)


def _add_datasets(
    lineage: Lineage,
    facet: ITwinRunFacet,
    client: ITwinClient,
    kind: ConnectionKind,
    connection_id: str,
    report: RunReport | None,
) -> None:
    namespace = namespace_of(client.account)
    imodel = imodel_dataset(namespace, client.describe_connection(connection_id, kind).imodel_id)
    if kind is ConnectionKind.EXPORT:
        lineage.inputs = imodel
        file_ids = [known for file_id in (report.output_files if report else ()) if (known := known_id(file_id))]
        lineage.outputs = [storage_dataset(namespace, file_id) for file_id in file_ids[:MOST_DATASETS]]
        facet.moreOutputFiles = len(file_ids) > MOST_DATASETS or bool(report and report.more_output_files)
        return
    lineage.outputs = imodel
    files = list(islice(client.list_source_files(connection_id, kind), MOST_DATASETS + 1))
    facet.moreSourceFiles = len(files) > MOST_DATASETS
    lineage.inputs = list(_inputs(files[:MOST_DATASETS], namespace, connection_id))


def _inputs(files: list[SourceFile], namespace: str, connection_id: str) -> Iterator[Dataset]:
    for file in files:
        name = file.last_known_file_name
        if storage_id := known_id(file.storage_file_id):
            yield storage_dataset(namespace, storage_id, name)
        elif source_id := known_id(file.source_file_id) or known_id(file.id):
            yield named_dataset(namespace, f"manifestconnections/{connection_id}/sourcefiles/{source_id}", name)


def lineage_of_transfer(
    hook: ITwinHook, direction: Literal["upload", "download"], files: Sequence[TransferredFile]
) -> Lineage:
    """
    Return the lineage of a task that uploads or downloads files.

    :param direction: ``upload``: files elsewhere are inputs, files of iTwin Storage outputs; ``download``: the reverse
    :param files: all files of the task, the most important ones first
    """
    facet = ITwinTransferFacet(
        direction=direction,
        files=len(files),
        changedFiles=sum(file.change is not None for file in files) if direction == "upload" else None,
        moreFiles=len(files) > MOST_DATASETS,
    )
    lineage: Lineage = OperatorLineage(run_facets={"itwin_transfer": facet})
    with left_out_if_unknown(f"the {direction}"):
        namespace = namespace_of(hook.get_conn().account)
        found = [transferred_datasets(namespace, file) for file in files[:MOST_DATASETS]]
        stored = [dataset for dataset, _ in found if dataset]
        elsewhere = [dataset for _, dataset in found if dataset]
        lineage.inputs, lineage.outputs = (elsewhere, stored) if direction == "upload" else (stored, elsewhere)
    return lineage


def lineage_of_named_version(hook: ITwinHook, imodel_id: str | None, version: NamedVersionDict | None) -> Lineage:
    """
    Return the lineage of a task that names a version of an iModel.

    The iModel is input and output, and the changeset is the version of the output: the name belongs to a state of the iModel, and
    is no data of its own.

    :param imodel_id: id of the iModel; None if the task does not know it
    :param version: the named version; None if the task has named none
    """
    lineage: Lineage = OperatorLineage()
    changeset_id = None
    if version:
        changeset_id = version["changeset_id"]
        lineage.run_facets = {
            "itwin_named_version": ITwinNamedVersionFacet(
                id=version["id"],
                name=version["name"],
                changesetId=changeset_id,
                changesetIndex=version["changeset_index"],
                created=version["created"],
            )
        }
    with left_out_if_unknown(f"iModel {imodel_id}"):
        namespace = namespace_of(hook.get_conn().account)
        lineage.inputs = imodel_dataset(namespace, imodel_id)
        lineage.outputs = imodel_dataset(namespace, imodel_id, changeset_id) if version else []
    return lineage


@contextmanager
def left_out_if_unknown(what: str) -> Iterator[None]:
    """Log what prevents the datasets from being named, so that the facets are reported all the same."""
    try:
        yield
    except (ITwinError, AirflowException, ValueError) as error:
        log.info("Cannot determine the datasets for the lineage of %s: %s", what, error)
