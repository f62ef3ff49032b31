"""
The types of the JSON values that tasks with jobs store.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from airflow_provider_itwin.api.models.json_types import JsonValue


class JobRefDict(TypedDict):
    """
    The reference of a job, as in the XCom ``job_ref``.

    :param name: what the job is called, such as ``transformation``
    :param job_id: id of the job
    :param inputs: the inputs that are part of the paths of its requests
    """

    name: str
    job_id: str
    inputs: dict[str, str]


class JobMessageDict(TypedDict):
    """
    A message about a job.

    :param level: whether it is an error or a warning
    :param code: its code; None if the service sends none
    :param text: its title and its text
    """

    level: Literal["error", "warning"]
    code: str | None
    text: str


class JobReportDict(TypedDict):
    """
    The report of a job, as in the XCom ``job_report``.

    :param name: what the job is called, such as ``transformation``
    :param job_id: id of the job
    :param state: its last state, as the service spells it
    :param outcome: what the state means
    :param progress: percentage at the last poll; None if the service reports none
    :param messages: errors and warnings, errors first, at most 50
    :param messages_left_out: how many more there are
    :param details: what the service says about the job, shortened, without pre-signed URLs and secrets
    :param result: the result, if it is small enough; None if there is none, or it is a file
    :param result_path: where the result was written; None if it was not written
    """

    name: str
    job_id: str
    state: str | None
    outcome: Literal["running", "passed", "warned", "failed"]
    progress: float | None
    messages: list[JobMessageDict]
    messages_left_out: int
    details: JsonValue
    result: JsonValue
    result_path: str | None
