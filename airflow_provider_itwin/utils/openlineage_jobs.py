"""
OpenLineage events of tasks that start a job or wait for one.

Only what every job has in common: the iModel of an input called ``imodel_id``, and the file that the result was written to. This
module is imported only when OpenLineage extracts lineage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.providers.common.compat.openlineage.facet import ErrorMessageRunFacet, RunFacet
from airflow.providers.openlineage.extractors.base import OperatorLineage
from attrs import define

from airflow_provider_itwin.utils.openlineage import Lineage, left_out_if_unknown
from airflow_provider_itwin.utils.openlineage_datasets import file_dataset, imodel_dataset, namespace_of

if TYPE_CHECKING:
    from airflow_provider_itwin.api.jobs.definition import JobDefinition
    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.api.jobs.report import JobReport
    from airflow_provider_itwin.hooks.itwin import ITwinHook


@define
class ITwinJobFacet(RunFacet):
    """
    The job of a task; unknown fields are None.

    :param name: what the job is called
    :param jobId: id of the job
    :param state: its last state, as the service spells it
    :param outcome: ``passed``, ``warned`` or ``failed``
    """

    name: str
    jobId: str | None = None  # noqa: N815 (as OpenLineage spells its fields)
    state: str | None = None
    outcome: str | None = None


def lineage_of_job(
    hook: ITwinHook,
    definition: JobDefinition,
    ref: JobRef | None,
    inputs: Mapping[str, object],
    report: JobReport | None,
    *,
    failed: bool,
) -> Lineage:
    """
    Return the lineage of a task that starts a job, or waits for one.

    :param definition: the definition of the job
    :param ref: the job, None if the task knows none
    :param inputs: inputs of the job, as far as the task knows them
    :param report: the report of the job, None if the task did not wait for its end
    :param failed: whether the task failed
    """
    facet = ITwinJobFacet(name=definition.name, jobId=ref.job_id if ref else None)
    run_facets: dict[str, RunFacet] = {"itwin_job": facet}
    if report:
        facet.state, facet.outcome = report.state, report.outcome
        if failed:
            run_facets["errorMessage"] = ErrorMessageRunFacet(message=report.text, programmingLanguage="iTwin")
    lineage: Lineage = OperatorLineage(run_facets=run_facets)
    imodel_id = (ref.inputs if ref else {}).get("imodel_id") or inputs.get("imodel_id")
    with left_out_if_unknown(str(ref) if ref else f"the {definition.name}"):
        lineage.inputs = imodel_dataset(
            namespace_of(hook.get_conn().account), imodel_id if isinstance(imodel_id, str) else None
        )
        written = file_dataset(report.result_path) if report and report.result_path else None
        lineage.outputs = [written] if written else []
    return lineage
