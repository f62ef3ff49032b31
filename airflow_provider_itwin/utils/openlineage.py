"""
OpenLineage events of runs: source files as inputs, the iModel as output, and a facet with the result.

This module is imported only when OpenLineage extracts lineage, so it may import packages of the extra ``openlineage``. Datasets
are named by ids, never by URLs, which can be pre-signed. Lineage never fails a task: unknown values are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    DocumentationDatasetFacet,
    ErrorMessageRunFacet,
    RunFacet,
)
from airflow.providers.openlineage.extractors.base import OperatorLineage
from attrs import define

from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.validation import known_id
from airflow_provider_itwin.api.redaction import excerpt

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.resources import SourceFile
    from airflow_provider_itwin.hooks.itwin import ITwinHook
log = logging.getLogger(__name__)

Lineage: TypeAlias = OperatorLineage[Any, Any]

_LONGEST_NAME = 200

MOST_INPUTS = 100
"""Source files in an event, at most."""


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


def lineage_of(
    hook: ITwinHook, kind: str, connection_id: str, run_id: str | None, report: RunReport | None, *, failed: bool
) -> Lineage:
    """
    Return the lineage of a task.

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
    try:
        # A separate client: this can be a forked process, which must not use the sockets of the task's process.
        with ITwinClient(hook.get_conn().account) as client:
            _add_datasets(lineage, facet, client, ConnectionKind(kind), connection_id, report)
    except (ITwinError, ValueError) as error:
        log.info(
            "Cannot determine files and iModel for the lineage of %s connection %s: %s", kind, connection_id, error
        )
    return lineage


def _add_datasets(
    lineage: Lineage,
    facet: ITwinRunFacet,
    client: ITwinClient,
    kind: ConnectionKind,
    connection_id: str,
    report: RunReport | None,
) -> None:
    namespace = f"itwin://{urlsplit(client.account.environment.api).netloc}"
    imodel_id = client.describe_connection(connection_id, kind).imodel_id
    imodel = [Dataset(namespace=namespace, name=f"imodels/{imodel_id}")] if imodel_id else []
    if kind is ConnectionKind.EXPORT:
        lineage.inputs = imodel
        lineage.outputs = [
            Dataset(namespace=namespace, name=f"storage/files/{file_id}")
            for file_id in (report.output_files if report else ())
            if known_id(file_id)
        ]
        return
    lineage.outputs = imodel
    files = list(islice(client.list_source_files(connection_id, kind), MOST_INPUTS + 1))
    facet.moreSourceFiles = len(files) > MOST_INPUTS
    lineage.inputs = list(_inputs(files[:MOST_INPUTS], namespace, connection_id))


def _inputs(files: list[SourceFile], namespace: str, connection_id: str) -> Iterator[Dataset]:
    for file in files:
        if storage_id := known_id(file.storage_file_id):
            name = f"storage/files/{storage_id}"
        elif source_id := known_id(file.source_file_id) or known_id(file.id):
            name = f"manifestconnections/{connection_id}/sourcefiles/{source_id}"
        else:
            continue
        # A name that is a URL may be a secret.
        file_name = excerpt(file.last_known_file_name or "", _LONGEST_NAME)
        shown = file_name if file_name and "://" not in file_name else None
        yield Dataset(
            namespace=namespace,
            name=name,
            facets={"documentation": DocumentationDatasetFacet(description=shown)} if shown else {},
        )
