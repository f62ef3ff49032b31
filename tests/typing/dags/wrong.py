"""Mistakes in a typed DAG file: each type checker refuses exactly the lines with the comment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_itwin.assets import imodel_asset, run_of
from airflow_provider_itwin.exceptions import ITwinRunFailedError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.night import itwin_night
from airflow_provider_itwin.notifications import message_of_report
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import (
    ITwinListSourceFilesOperator,
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.operators.named_version import ITwinCreateNamedVersionOperator
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from airflow_provider_itwin.retry_policy import ITwinRetryPolicy
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.triggers.events import ITwinRunEventTrigger
from airflow_provider_itwin.types import IfActiveName, KindName, ResultName, RunRefDict, RunReportDict

policy: IfActiveName = "wait"  # refused
kind: KindName = "Storage"  # refused
result: ResultName = "Cancelled"  # refused

with DAG("wrong"):
    ITwinRunStorageConnectionOperator(task_id="a")  # refused
    ITwinRunStorageConnectionOperator(task_id="b", connection_id=5)  # refused
    ITwinRunStorageConnectionOperator(task_id="c", connection_id="c", if_active="wait")  # refused
    ITwinRunStorageConnectionOperator(task_id="d", connection_id="c", poll_interval="30")  # refused
    ITwinRunStorageConnectionOperator(task_id="e", connection_id="c", timeout="1h")  # refused
    ITwinRunStorageConnectionOperator(task_id="f", connection_id="c", fail_on=["Failed"])  # refused
    ITwinRunStorageConnectionOperator(task_id="g", connection_id="c", skip_on=["skipped"])  # refused
    ITwinRunStorageConnectionOperator(task_id="h", connection_id="c", strict="yes")  # refused
    ITwinRunStorageConnectionOperator("i", connection_id="c")  # refused
    ITwinRunManifestConnectionOperator(task_id="j", connection_id="c")  # refused
    ITwinRunManifestConnectionOperator(task_id="k", body={})  # refused
    ITwinRunManifestConnectionOperator(task_id="l", connection_id="c", body={}, if_active="wait")  # refused
    ITwinRunExportConnectionOperator(task_id="m", connection_id="c", body="{}")  # refused
    ITwinRunExportConnectionOperator(task_id="n", connection_id="c", body={}, fail_on=["Failed"])  # refused
    ITwinStorageConnectionRunSensor(task_id="o", connection_id="c", started_after=5)  # refused
    ITwinStorageConnectionRunSensor(task_id="p", connection_id="c", run_id=5)  # refused
    ITwinStorageConnectionRunSensor(task_id="q", connection_id="c", run_id="r", fail_on=["Failed"])  # refused
    ITwinListSourceFilesOperator(task_id="r", connection_id="c", kind="export")  # refused
    ITwinListSourceFilesOperator(task_id="s", connection_id="c", limit="all")  # refused
    ITwinUploadFilesOperator(task_id="t", source="/designs", change_detection="never")  # refused
    ITwinUploadFilesOperator(task_id="u", source="/designs", connectors=["CIVIL"])  # refused
    ITwinCreateNamedVersionOperator(task_id="v", run_ref={}, name="n", on_no_changes="ignore")  # refused
    ITwinCreateNamedVersionOperator(task_id="w", run_ref=5, name="n")  # refused
    ITwinDownloadFileOperator(task_id="x", file_id="f")  # refused
    ITwinDownloadFileOperator(task_id="y", path="/p/", run_ref="r")  # refused
    itwin_night(connection_id="c", step_args={"sync": {}})  # refused
    itwin_night(connection_id="c", export_body="{}")  # refused

ITwinRunEventTrigger("itwin_default", "Storage", "c")  # refused
ITwinRunEventTrigger("itwin_default", "storage", "c", fire_on=["Failed"])  # refused
ITwinRunEventTrigger("itwin_default", "storage", "c", poll_interval="30")  # refused
ITwinRunEventTrigger("itwin_default", "storage", "c", catch_up="7 days")  # refused
ITwinRetryPolicy(after_run=60)  # refused
ITwinRetryPolicy(after_run=timedelta(minutes=1))
imodel_asset(5)  # refused


def mistakes_with_the_hook(hook: ITwinHook) -> None:
    hook.get_run("c", "r", "Storage")  # refused
    hook.get_run("c")  # refused
    hook.list_runs("c", limit="5")  # refused
    hook.list_source_files("c", "export")  # refused
    hook.start_run("c", "manifest", body="{}")  # refused
    hook.wait_for_run("c", "r", poll_interval="30")  # refused
    hook.get_run("c", "r").outcome  # refused


def mistakes_with_a_report(report: RunReportDict) -> None:
    report["outcome"]  # refused
    report["totals"]["files"]  # refused
    report["failing_tasks"][0]["name"]  # refused
    report["error"]["key"]  # refused
    report["timeline"]["jobs"]  # refused
    message_of_report("Success")  # refused
    message_of_report({"result": "Success"})  # refused
    RunRefDict(kind="Storage", connection_id="c", run_id="r")  # refused
    RunRefDict(kind="storage", connection_id="c")  # refused


def mistakes_with_events_and_errors(event: Any, error: ITwinRunFailedError) -> None:
    run_of(event)["result"]  # refused
    error.report["summary"]  # refused
