"""Changed Elements API v3: what has changed in an iModel between two changesets."""

from __future__ import annotations

from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobMessages, JobSearch
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator

__all__ = ["DIFF", "ITwinDiffOperator"]

_LIST = (
    "GET /changedelements/diff?iTwinId={itwin_id}&iModelId={imodel_id}"
    "&startChangeset={start_changeset}&endChangeset={end_changeset}&diffingStrategy={strategy}"
)

DIFF = JobDefinition(
    name="diff",
    version="v3",
    start="POST /changedelements/diff",
    inputs={
        "itwin_id": JobInput(type="id", required=True, help="id of the iTwin of the iModel"),
        "imodel_id": JobInput(type="id", required=True, help="id of the iModel"),
        "start_changeset": JobInput(type="index or id", required=True, help="index or id of the first changeset"),
        "end_changeset": JobInput(type="index or id", required=True, help="index or id of the last changeset"),
        "strategy": JobInput(
            values=("Basic", "VersionCompare", "Full"),
            member="diffingPlan.strategy",
            default="Basic",
            help="what is compared",
        ),
    },
    id="job.jobId",
    poll="GET /changedelements/diff/{job_id}?iTwinId={itwin_id}&iModelId={imodel_id}",
    state="job.status",
    running=("Queued", "Started"),
    passed=("Completed",),
    failed=("Failed",),
    progress=("job.completedAgents", "job.totalAgents"),
    messages=JobMessages(errors=("job.error",)),
    result="job.href",
    find=JobSearch(get=_LIST, jobs="jobs", id="jobId"),
    conflict="adopt",
    url="https://developer.bentley.com/apis/changed-elements-v3/",
)
"""A comparison of changesets. The service keeps one for the same inputs, so a second start uses the first one."""


class ITwinDiffOperator(ITwinJobOperator):
    """
    Compare changesets of an iModel, and wait for the end; see :class:`~airflow_provider_itwin.operators.jobs.ITwinJobOperator`.

    Mirrors ``create-diff-job``. Inputs: ``itwin_id``, ``imodel_id``, ``start_changeset``, ``end_changeset`` (all required),
    ``strategy``.
    """

    job = DIFF
