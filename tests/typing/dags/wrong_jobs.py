"""Mistakes about jobs in a typed DAG file: each type checker refuses exactly the lines with the comment."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_itwin.exceptions import ITwinJobFailedError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import EXTRACTION, ITwinExtractionOperator, JobDefinition, JobInput
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor
from airflow_provider_itwin.types import JobRefDict, JobReportDict

with DAG("wrong_jobs"):
    ITwinJobOperator(task_id="a", job="extraction")  # refused
    ITwinJobOperator(task_id="b", job=EXTRACTION, inputs=["m"])  # refused
    ITwinJobOperator(task_id="c", job=EXTRACTION, poll_interval="30")  # refused
    ITwinJobOperator(task_id="d", job=EXTRACTION, timeout="1h")  # refused
    ITwinJobOperator(task_id="e", job=EXTRACTION, strict="yes")  # refused
    ITwinJobOperator("f", job=EXTRACTION)  # refused
    ITwinExtractionOperator(task_id="g", inputs="{}")  # refused
    ITwinExtractionOperator(task_id="h", deferrable="yes")  # refused
    ITwinJobSensor(task_id="i", job=EXTRACTION)  # refused
    ITwinJobSensor(task_id="j", job=EXTRACTION, job_ref=5)  # refused
    ITwinJobSensor(task_id="k", job="extraction", job_ref="j")  # refused

JobInput(type="text")  # refused
JobInput(place="cookie")  # refused
JobInput("string")  # refused
JobDefinition(name="export")  # refused
JobDefinition("export", start="POST /x", poll="GET /x/{job_id}", id="id", state="s", passed=(), failed=())  # refused


def mistakes_with_the_hook(hook: ITwinHook) -> None:
    hook.start_job("extraction", {})  # refused
    hook.start_job(EXTRACTION, "{}")  # refused
    hook.get_job(EXTRACTION, "j")  # refused
    hook.cancel_job(EXTRACTION)  # refused


def mistakes_with_a_report(report: JobReportDict, error: ITwinJobFailedError) -> None:
    report["status"]  # refused
    report["messages"][0]["title"]  # refused
    error.report["result_url"]  # refused
    JobRefDict(name="extraction", job_id="j")  # refused
