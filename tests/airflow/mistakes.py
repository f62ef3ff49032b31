"""The mistakes of ``test_mistakes.py``: what a user writes in a DAG file, and what comes of it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import (
    EXTRACTION,
    ITwinExtractionOperator,
    ITwinRealityModelingOperator,
    ITwinTransformationOperator,
    JobDefinition,
)
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import (
    ITwinCreateNamedVersionOperator,
    ITwinListSourceFilesOperator,
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.sensors.itwin import ITwinManifestConnectionRunSensor, ITwinStorageConnectionRunSensor
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

GOLDEN = Path(__file__).with_name("mistakes.txt")

_NAMES = {
    "Run": ITwinRunStorageConnectionOperator,
    "RunManifest": ITwinRunManifestConnectionOperator,
    "RunExport": ITwinRunExportConnectionOperator,
    "Files": ITwinListSourceFilesOperator,
    "Name": ITwinCreateNamedVersionOperator,
    "Download": ITwinDownloadFileOperator,
    "Sensor": ITwinStorageConnectionRunSensor,
    "ManifestSensor": ITwinManifestConnectionRunSensor,
    "Job": ITwinJobOperator,
    "Extract": ITwinExtractionOperator,
    "Model": ITwinRealityModelingOperator,
    "Transform": ITwinTransformationOperator,
    "JobSensor": ITwinJobSensor,
    "JobDefinition": JobDefinition,
    "EXTRACTION": EXTRACTION,
    "ITwinHook": ITwinHook,
    "timedelta": timedelta,
}
"""The short names in the table. They stand for the classes of the package."""

_RUN = 'Run(task_id="a", connection_id="demo-storage-connection"{})'
_SENSOR = 'Sensor(task_id="a", connection_id="demo-storage-connection", run_id="r"{})'
_DEFINITION = (
    'JobDefinition(name="export", start="{}", poll="{}", id="id", state="state", passed=("Done",), failed=("{}",))'
)
_EXTRACT = 'Extract(task_id="a", imodel_id="m", mappings=[{{"id": "x"}}]{})'
_MODEL = 'Model(task_id="a", itwin_id="t", name="Bridge", type="Calibration", specifications={{}}{})'
_NAME = 'Name(task_id="a", run_ref="storage/demo-storage-connection/r", name="Nightly"{})'

MISTAKES: tuple[str, ...] = (
    # Names of parameters.
    'Run(task_id="a")',
    'Run(task_id="a", storage_connection_id="demo-storage-connection")',
    'RunManifest(task_id="a", manifest_connection_id="demo-manifest-connection", body={})',
    'RunExport(task_id="a", export_connection_id="demo-export-connection", body={})',
    'Run(task_id="a", connection="demo-storage-connection")',
    'Run(task_id="a", itwin_connection_id="demo-storage-connection")',
    'Run(task_id="a", conection_id="demo-storage-connection")',
    _RUN.format(', conn_id="itwin_default"'),
    _RUN.format(', itwin_connection="itwin_default"'),
    _RUN.format(", poke_interval=30"),
    _RUN.format(", polling_interval=30"),
    _RUN.format(", wait=True"),
    _RUN.format(", wait_for_termination=True"),
    _RUN.format(", defferable=True"),
    _RUN.format(", timeout_seconds=60"),
    _RUN.format(', if_runing="queue"'),
    _RUN.format(', fails_on=["Error"]'),
    _RUN.format(", colour=7"),
    'RunManifest(task_id="a", connection_id="demo-manifest-connection")',
    'RunManifest(task_id="a", connection_id="demo-manifest-connection", data={})',
    'Sensor(task_id="a", connection_id="demo-storage-connection", storage_connection_run_id="r")',
    'Run.partial(task_id="a", storage_connection_id="demo-storage-connection").expand(itwin_conn_id=["a"])',
    # Ids.
    'Run(task_id="a", connection_id="")',
    'Run(task_id="a", connection_id=None)',
    'Run(task_id="a", connection_id="None")',
    'Run(task_id="a", connection_id=7)',
    'Run(task_id="a", connection_id=["demo-storage-connection"])',
    'Run(task_id="a", connection_id=" demo-storage-connection")',
    'Run(task_id="a", connection_id="demo storage connection")',
    'Run(task_id="a", connection_id="https://api.bentley.com/synchronization/imodels/storageconnections/abc")',
    'Run(task_id="a", connection_id="{{ params.absent }}")',
    'Run(task_id="a", connection_id="{ params.connection_id }")',
    'Run(task_id="a", connection_id="no-such-connection")',
    'Run(task_id="a", connection_id="demo-manifest-connection")',
    'Run(task_id="a", connection_id="demo-storage-connection", itwin_conn_id="")',
    'Run(task_id="a", connection_id="demo-storage-connection", itwin_conn_id=None)',
    'Run(task_id="a", connection_id="demo-storage-connection", itwin_conn_id="nobody")',
    'Run.partial(task_id="a", connection_id="").expand(itwin_conn_id=["a"])',
    'Sensor(task_id="a", connection_id="demo-storage-connection")',
    'Sensor(task_id="a", connection_id="demo-storage-connection", run_id="")',
    'Sensor(task_id="a", connection_id="demo-storage-connection", run_id="storage/demo/run")',
    'Sensor(task_id="a", connection_id="demo-storage-connection", run_id="00000000-0000-0000-0000-000000000000")',
    'ManifestSensor(task_id="a", connection_id="demo-storage-connection", run_id="r")',
    'ManifestSensor(task_id="a", connection_id="demo-storage-connection", started_after="2026-01-01")',
    # Values.
    _RUN.format(', if_active="wait"'),
    _RUN.format(", if_active=True"),
    _RUN.format(', fail_on=["Failed"]'),
    _RUN.format(', fail_on="Errors"'),
    _RUN.format(", fail_on=7"),
    _RUN.format(', fail_on=["Error"], skip_on=["Error"]'),
    _RUN.format(', skip_on=["Unknown"]'),
    _RUN.format(", poll_interval=0"),
    _RUN.format(", poll_interval=-5"),
    _RUN.format(', poll_interval="30"'),
    _RUN.format(", poll_interval=timedelta(0)"),
    _RUN.format(", timeout=0"),
    _RUN.format(', timeout="1h"'),
    _RUN.format(", timeout=float('inf')"),
    _RUN.format(', wait_for_completion="False"'),
    _RUN.format(', deferrable="{{ params.deferrable }}"'),
    _RUN.format(", strict=1"),
    _RUN.format(", durable=None"),
    'Run.partial(task_id="a", if_active="wait").expand(connection_id=["a"])',
    'Run.partial(task_id="a", fail_on=["Failed"]).expand(connection_id=["a"])',
    'Run.partial(task_id="a", timeout="1h").expand(connection_id=["a"])',
    _SENSOR.format(', poll_interval="soon"'),
    _SENSOR.format(', fail_on=["Failed"]'),
    'Sensor(task_id="a", connection_id="demo-storage-connection", started_after="yesterday")',
    'Sensor(task_id="a", connection_id="demo-storage-connection", started_after="")',
    'Sensor(task_id="a", connection_id="demo-storage-connection", started_after=20260101)',
    'Files(task_id="a", connection_id="demo-storage-connection", limit=0)',
    'Files(task_id="a", connection_id="demo-export-connection", kind="export")',
    'RunManifest(task_id="a", connection_id="demo-manifest-connection", body=[])',
    'RunManifest(task_id="a", connection_id="demo-manifest-connection", body={"sourceFiles": {1, 2}})',
    # Combinations.
    _RUN.format(', wait_for_completion=False, fail_on=["Error"]'),
    _RUN.format(", wait_for_completion=False, strict=True"),
    _RUN.format(', wait_for_completion=False, skip_on=["Skipped"], strict=True'),
    _RUN.format(', wait_for_completion=False, if_active="fail", deferrable=True, timeout=3600'),
    _RUN.format(', wait_for_completion=False, if_active="skip", poll_interval=30'),
    'Run.partial(task_id="a", wait_for_completion=False, strict=True).expand(connection_id=["a"])',
    _SENSOR.format(', started_after="2026-01-01"'),
    _SENSOR.format(", start_from_trigger=True"),
    _SENSOR.format(", end_from_trigger=True"),
    _SENSOR.format(", deferrable=True, start_from_trigger='yes'"),
    # Named versions.
    'Name(task_id="a", name="Nightly")',
    'Name(task_id="a", run_ref="storage/demo-storage-connection/r")',
    'Name(task_id="a", run="storage/demo-storage-connection/r", name="Nightly")',
    'Name(task_id="a", run_ref="storage/demo-storage-connection/r", version_name="Nightly")',
    _NAME.format(', changeset="1"'),
    _NAME.format(', if_exists="use"'),
    _NAME.format(', connection_id="demo-storage-connection"'),
    'Name(task_id="a", run_ref="demo-storage-connection", name="Nightly")',
    'Name(task_id="a", run_ref=None, name="Nightly")',
    'Name(task_id="a", run_ref={"run_id": "r"}, name="Nightly")',
    'Name(task_id="a", run_ref=Run(task_id="b", connection_id="demo-storage-connection"), name="Nightly")',
    'Name(task_id="a", run_ref="export/demo-export-connection/r", name="Nightly")',
    'Name(task_id="a", run_ref="storage/demo-storage-connection/r", name="")',
    'Name(task_id="a", run_ref="storage/demo-storage-connection/r", name=\'x\' * 256)',
    _NAME.format(", description='x' * 256"),
    _NAME.format(', description=["Words"]'),
    _NAME.format(', imodel_id="Tower 30 %"'),
    _NAME.format(', changeset_id="None"'),
    _NAME.format(', on_no_changes="ignore"'),
    _NAME.format(', if_named="rename"'),
    'Name.partial(task_id="a", name="", if_named="use").expand(run_ref=["storage/c/r"])',
    'Name.partial(task_id="a", name="Nightly", if_named="rename").expand(run_ref=["storage/c/r"])',
    _NAME.format(""),
    _NAME.format(', imodel_id="another-imodel"'),
    # Downloads.
    'Download(task_id="a", file_id="f")',
    'Download(task_id="a", path="/out/")',
    'Download(task_id="a", path="out/", file_id="f")',
    'Download(task_id="a", path="", file_id="f")',
    'Download(task_id="a", path="https://example.com/out/", file_id="f")',
    'Download(task_id="a", path="s3://bucket", file_id="f")',
    'Download(task_id="a", path="nowhere://bucket/", file_id="f")',
    'Download(task_id="a", path="/out/", storage_file_id="f")',
    'Download(task_id="a", destination="/out/", file_id="f")',
    'Download(task_id="a", path="/out/", file_id="a/b")',
    'Download(task_id="a", path="/out/", file_id="f", overwrite="no")',
    'Download(task_id="a", path="/out/", file_id="f", run_ref="export/c/r")',
    'Download(task_id="a", path="/out/", run_ref="r")',
    'Download(task_id="a", path="/out/", run_ref={"kind": "storage", "connection_id": "c", "run_id": "r"})',
    'Download.partial(task_id="a", path="out").expand(file_id=["a"])',
    # The hook.
    'ITwinHook().start_run("a/b")',
    'ITwinHook().start_run("demo-storage-connection", kind="storages")',
    'ITwinHook().get_run("demo-storage-connection", "")',
    'ITwinHook().describe_connection("demo-manifest-connection")',
    'ITwinHook().wait_for_run("demo-storage-connection", "r", poll_interval=0)',
    'list(ITwinHook().list_source_files("demo-export-connection", kind="export"))',
    'ITwinHook().create_named_version("m", "Nightly", "")',
    'ITwinHook().create_named_version("m", "x" * 256, "c0ffee")',
    'list(ITwinHook().list_changesets("m", after_index=-1))',
    'list(ITwinHook().list_changesets("m", order="newest"))',
    'list(ITwinHook().list_named_versions("a/b"))',
    'ITwinHook().download_file("a/b", "/out/")',
    'ITwinHook().download_file("f", "out.ifc")',
    # Jobs.
    'Job(task_id="a")',
    'Job(task_id="a", job="extraction")',
    'Job(task_id="a", definition=EXTRACTION)',
    'Job(task_id="a", job=EXTRACTION)',
    'Extract(task_id="a", imodel_id="m")',
    'Extract(task_id="a", imodel_id="m", mapping=[{"id": "x"}])',
    'Extract(task_id="a", iModelId="m", mappings=[{"id": "x"}])',
    'Extract(task_id="a", imodel_id="", mappings=[{"id": "x"}])',
    'Extract(task_id="a", imodel_id="https://developer.bentley.com/m", mappings=[{"id": "x"}])',
    'Extract(task_id="a", imodel_id="m", mappings={"id": "x"})',
    'Extract(task_id="a", imodel_id="m", mappings=[])',
    'Extract(task_id="a", imodel_id="m", inputs=7)',
    'Extract(task_id="a", inputs={"imodel_id": "m", "mappings": [], "colour": 7})',
    _EXTRACT.format(', result_path="/tmp/result.json"'),
    _EXTRACT.format(", polling_interval=30"),
    _EXTRACT.format(", wait_for_completion=False, timeout=60"),
    _EXTRACT.format(", deferrable=True, timeout=-1"),
    _EXTRACT.format(', strict="yes"'),
    _MODEL.format(', priority="high"'),
    'Model(task_id="a", itwin_id="t", name="Bridge", type="Model", specifications={})',
    'Model(task_id="a", itwin_id="t", name="Bridge", type="Calibration", specifications=[])',
    'Transform(task_id="a", configuration="c")',
    'Transform(task_id="a", configuration_id="no-such-configuration")',
    'Extract.partial(task_id="a", imodel="m").expand(mappings=[[{"id": "x"}]])',
    'JobSensor(task_id="a", job=EXTRACTION)',
    'JobSensor(task_id="a", job_ref="j")',
    'JobSensor(task_id="a", job=EXTRACTION, job_id="j")',
    'JobSensor(task_id="a", job=EXTRACTION, job_ref="")',
    'JobSensor(task_id="a", job=EXTRACTION, job_ref={"name": "transformation", "job_id": "j", "inputs": {}})',
    'JobSensor(task_id="a", job=EXTRACTION, job_ref="no-such-job")',
    'JobDefinition(name="export")',
    _DEFINITION.format("/export", "GET /export/{job_id}", "Bad"),
    _DEFINITION.format("POST /export", "GET /export", "Bad"),
    _DEFINITION.format("POST /export", "GET /export/{job_id}", "done"),
    _DEFINITION.format("POST /export", "GET /export/{id}", "Bad"),
    # The Airflow connection.
    'connection(host="http://api.bentley.com", login="a", password="secret-of-nobody"); ' + _RUN.format(""),
    'connection(host="api.example.com", login="a", password="secret-of-nobody"); ' + _RUN.format(""),
    'connection(host="127.0.0.1:9", schema="http", login="a", password="secret-of-nobody"); ' + _RUN.format(""),
    'connection(login="a"); ' + _RUN.format(""),
    "connection(); " + _RUN.format(""),
    'connection(host=url, login="service-emulator", password="wrong"); ' + _RUN.format(""),
    'connection(host=url, login="a", password="secret-of-nobody", extra={"timeout": "soon"}); ' + _RUN.format(""),
    'connection(host=url, login="a", password="secret-of-nobody", extra={"verify": 3}); ' + _RUN.format(""),
    'connection(host=url, extra={"token": "expired"}); ' + _RUN.format(""),
)


def consequence(
    code: str, emulator: Emulator, connection: Callable[..., None], run_task: Callable[..., Outcome]
) -> tuple[str, str]:
    """Return when a mistake is refused, and the sentence."""
    *statements, last = code.split("; ")
    names = {**_NAMES, "connection": connection, "url": emulator.url}
    for statement in statements:
        exec(statement, names)
    try:
        result: Any = eval(last, names)
    except Exception as error:  # noqa: BLE001 (whatever a user sees)
        in_hook = last.startswith(("ITwinHook", "list("))
        return _when(emulator) if in_hook else "when the DAG file is parsed", _clean(str(error), emulator)
    outcome = run_task(result)
    return _when(emulator), _clean(f"({outcome.state}) {outcome.error or 'accepted'}", emulator)


def _when(emulator: Emulator) -> str:
    return "when the task runs" if emulator.request_log else "when the task runs, before any request"


def _clean(text: str, emulator: Emulator) -> str:
    text = text.replace(emulator.url, "http://127.0.0.1:8899")
    text = re.sub(r"Correlation id: [\w-]+", "Correlation id: …", text)
    text = re.sub(r"0x[0-9a-f]+", "0x…", text)
    # The pauses between attempts are random.
    text = re.sub(r"after \d+ attempts in \d+ s", "after … attempts in … s", text)
    return " ".join(text.split())


def read_expected() -> dict[str, tuple[str, str]]:
    """Return what is expected of each mistake."""
    blocks = GOLDEN.read_text(encoding="utf-8").split("\n\n") if GOLDEN.exists() else []
    entries = [block.strip().split("\n") for block in blocks if block.strip()]
    return {code: (when, sentence) for code, when, sentence in entries}


def write_expected(refusals: dict[str, tuple[str, str]]) -> None:
    """Write what is expected of each mistake."""
    text = "\n\n".join("\n".join((code, *refusals[code])) for code in MISTAKES)
    GOLDEN.write_text(text + "\n", encoding="utf-8")
