"""What a typed DAG file does: each type checker accepts every line."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, Context, get_current_context, task

from airflow_provider_itwin.api.models.enums import ConnectionKind, ExecutionResult
from airflow_provider_itwin.assets import imodel_asset, run_of, triggering_runs
from airflow_provider_itwin.exceptions import ITwinRunFailedError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.night import itwin_night
from airflow_provider_itwin.notifications import message_of_report, run_message
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
from airflow_provider_itwin.sensors.itwin import ITwinExportConnectionRunSensor, ITwinStorageConnectionRunSensor
from airflow_provider_itwin.triggers.events import ITwinRunEventTrigger
from airflow_provider_itwin.types import (
    FailingTaskDict,
    IfActiveName,
    JsonValue,
    KindName,
    NamedVersionDict,
    ResultName,
    RunRefDict,
    RunReportDict,
    SourceFileDict,
    UploadedFileDict,
)


@task
def count_failing_files(report: RunReportDict) -> int:
    return len(report["failing_tasks"]) + report["more_failing_tasks"]


@task
def read(report: RunReportDict, ref: RunRefDict, files: list[SourceFileDict]) -> str:
    first: FailingTaskDict = report["failing_tasks"][0]
    seconds: float | None = report["duration"]
    errors: int = report["totals"]["errors"]
    key = report["error"]["key"] if report["error"] else None
    ends = [span["end"] for span in report["timeline"]["jobs"]] if report["timeline"] else []
    names = [file["name"] or file["id"] for file in files]
    return f"{ref['run_id']} {first['file_name']} {seconds} {errors} {key} {ends} {names} {message_of_report(report).subject}"


@task
def read_night(files: list[UploadedFileDict], version: NamedVersionDict | None) -> str:
    changed = [file["path"] for file in files if file["outcome"] != "unchanged"]
    return f"{changed} {version['name'] if version else 'no version'}"


@task
def look() -> dict[str, JsonValue]:
    hook = ITwinHook()
    kind: KindName = "manifest"
    hook.wait_for_run("c", "r", kind, poll_interval=timedelta(seconds=30), timeout=pendulum.duration(hours=2))
    for run in hook.list_runs("c", ConnectionKind.EXPORT, limit=5):
        print(run.start_date_time, [job.connector_type for job in run.jobs or []])
    return hook.get_run("c", "r").as_dict()


@task
def report_triggers() -> list[str | None]:
    return [run["result"] for run in triggering_runs(get_current_context()) if run["ref"]["kind"] == "storage"]


def tell(context: Context) -> None:
    error = context.get("exception")
    if isinstance(error, ITwinRunFailedError) and error.report is not None:
        print(error.report["summary"], error.report["failing_tasks"])
    print(run_message(context).markdown)


def result_of(event: object) -> str | None:
    run = run_of(event)
    return run["result"] if run else None


policy: IfActiveName = "attach"
results: list[ResultName] = ["Error", "TimedOut"]
watcher = AssetWatcher(
    name="nightly",
    trigger=ITwinRunEventTrigger(
        "itwin_default", "storage", "c", timedelta(minutes=1), ["Success"], catch_up=timedelta(days=2)
    ),
)
imodel: Asset = imodel_asset("an-imodel", name="Parking deck", watchers=[watcher])

with DAG("typed", schedule=[imodel]):
    files = ITwinListSourceFilesOperator(task_id="files", connection_id="c", connector_types=["REVIT"])
    start = ITwinRunStorageConnectionOperator(
        task_id="start",
        connection_id="c",
        if_active=policy,
        poll_interval=timedelta(seconds=30),
        timeout=3600,
        fail_on=results,
        skip_on=[ExecutionResult.SKIPPED],
        outlets=[imodel],
        retries=2,
        on_failure_callback=tell,
        retry_policy=ITwinRetryPolicy(after_run=timedelta(hours=1)),
    )
    manifest = ITwinRunManifestConnectionOperator(
        task_id="manifest", connection_id=start.output, body=files.output, timeout=pendulum.duration(hours=4)
    )
    export = ITwinRunExportConnectionOperator(task_id="export", connection_id="c", body={"exportType": "IFC"})
    newest = ITwinStorageConnectionRunSensor(
        task_id="newest", connection_id="c", started_after=pendulum.datetime(2026, 1, 1), timeout=timedelta(hours=3)
    )
    known = ITwinExportConnectionRunSensor(task_id="known", connection_id="c", run_id=export.output)
    for moment in (date(2026, 1, 1), datetime(2026, 1, 1), "2026-01-01", "{{ data_interval_end }}"):
        ITwinStorageConnectionRunSensor(task_id=f"since_{moment}", connection_id="c", started_after=moment)
    uploaded = ITwinUploadFilesOperator(
        task_id="upload", source="/designs", connection_id="c", connectors={"*.dgn": "CIVIL"}
    )
    named = ITwinCreateNamedVersionOperator(
        task_id="name", run_ref=start.output["run_ref"], name="{{ ds }}", on_no_changes="pass", if_named="fail"
    )
    delivered = ITwinDownloadFileOperator(task_id="deliver", run_ref=export.output["run_ref"], path="/delivery/")
    night = itwin_night(connection_id="c", source="/designs", step_args={"synchronize": {"timeout": 3600}}, tooltip="x")
    night.synchronize >> delivered
    mapped = ITwinRunStorageConnectionOperator.partial(task_id="mapped").expand(connection_id=["a", "b"])
    # Airflow's types do not express that a task takes the output of another one.
    counted = count_failing_files(newest.output)  # type: ignore[arg-type]
    uploaded >> [start, manifest] >> known >> named >> mapped
    counted >> [look(), report_triggers()]
