"""
Types for annotations in DAG files: the values that tasks push as XComs, and the values that parameters accept.

Importing this module imports nothing beyond the standard library.
"""

from __future__ import annotations

from airflow_provider_itwin.api.models.job_types import JobMessageDict, JobRefDict, JobReportDict
from airflow_provider_itwin.api.models.json_types import (
    ConnectorTotalsDict,
    DownloadedFileDict,
    EventRunDict,
    EventUploadDict,
    FailingTaskDict,
    JobSpanDict,
    JsonValue,
    KindName,
    NamedVersionDict,
    RunErrorDict,
    RunRefDict,
    RunReportDict,
    SourceFileDict,
    TaskSpanDict,
    TimelineDict,
    TotalsDict,
    UploadedFileDict,
    UploadTotalsDict,
)
from airflow_provider_itwin.api.runs.active_run_policy import IfActiveName
from airflow_provider_itwin.api.runs.result_policy import ResultName

__all__ = [
    "ConnectorTotalsDict",
    "DownloadedFileDict",
    "EventRunDict",
    "EventUploadDict",
    "FailingTaskDict",
    "IfActiveName",
    "JobMessageDict",
    "JobRefDict",
    "JobReportDict",
    "JobSpanDict",
    "JsonValue",
    "KindName",
    "NamedVersionDict",
    "ResultName",
    "RunErrorDict",
    "RunRefDict",
    "RunReportDict",
    "SourceFileDict",
    "TaskSpanDict",
    "TimelineDict",
    "TotalsDict",
    "UploadTotalsDict",
    "UploadedFileDict",
]
