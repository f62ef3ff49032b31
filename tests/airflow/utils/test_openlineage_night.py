"""OpenLineage events of a whole night: what one step writes is what the next one reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import Job, Run, Task
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.exceptions import ITwinPermanentError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.upload_sources import list_sources
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.named_version import ITwinCreateNamedVersionOperator
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from airflow_provider_itwin.sdk_compat import ObjectStoragePath
from airflow_provider_itwin.utils.openlineage import MOST_DATASETS, lineage_of
from airflow_provider_itwin.utils.openlineage_datasets import file_dataset
from tests.airflow.single_task import FakeTaskInstance, first_found, outside_of_task_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagRunner

NIGHT, EXPORT = "demo-night-connection", "demo-night-export-connection"
ITWIN = "night-itwin"

RECORDED: dict[str, Any] = {}
"""Lineage by task, from the DAG below."""

NIGHT_DAG = """\
import pendulum
from airflow_provider_itwin.night import itwin_night
from tests.airflow.sdk import DAG
from tests.airflow.utils.test_openlineage_night import record

with DAG("night_lineage", start_date=pendulum.datetime(2026, 1, 1), schedule=None):
    itwin_night(
        source={source!r},
        folder_path="Design",
        connection_id={night!r},
        version_name="Tonight",
        export_connection_id={export!r},
        export_body={{"exportType": "IFC", "ifcVersion": "IFC4.3"}},
        deliver_to={delivery!r},
        default_args={{"post_execute": record}},
    )
"""


def record(context: Any, result: object = None) -> None:
    """Record the lineage of a task of the DAG."""
    # As the listener of OpenLineage: the task in the context is not always the copy that was executed.
    task = context["ti"].task
    RECORDED[task.task_id] = lineage_at_end(task)


def lineage_at_end(task: Any, *, failed: bool = False) -> Any:
    """Get the lineage of a task as OpenLineage does at its end."""
    extractor = DefaultExtractor(task)
    lineage = extractor.extract_on_failure(None) if failed else extractor.extract_on_complete(None)
    assert lineage is not None, "it raised"
    return lineage


def execute(task: Any) -> Any:
    instance = FakeTaskInstance()
    with outside_of_task_runner(instance):
        task.execute({"ti": instance, "task_instance": instance})
    return lineage_at_end(task)


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


@pytest.fixture
def designs(tmp_path: Path) -> Path:
    """A folder with two design files."""
    folder = tmp_path / "designs"
    folder.mkdir()
    for name in ("Tower.dgn", "Roof.dgn"):
        (folder / name).write_text(name)
    return folder


def upload(source: object, **arguments: Any) -> ITwinUploadFilesOperator:
    return ITwinUploadFilesOperator(task_id="upload", **{"source": str(source), "connection_id": NIGHT} | arguments)


def test_what_one_step_writes_is_what_the_next_one_reads(
    emulator: Emulator, dags: DagRunner, designs: Path, tmp_path: Path
) -> None:
    RECORDED.clear()
    text = NIGHT_DAG.format(source=str(designs), night=NIGHT, export=EXPORT, delivery=f"{tmp_path}/delivery/")
    result = dags.run_file("night_lineage", text)
    assert result.state == "success", result.log
    uploaded, synchronized, version, export, download = (
        RECORDED[f"night.{step}"] for step in ("upload", "synchronize", "version", "export", "download")
    )
    namespace = emulator.url.replace("http", "itwin")

    assert sorted(names(uploaded.inputs)) == [("file", f"{designs}/Roof.dgn"), ("file", f"{designs}/Tower.dgn")]
    assert len(uploaded.outputs) == 2
    assert all(name.startswith("storage/files/") for _, name in names(uploaded.outputs))
    assert sorted(names(uploaded.outputs)) == sorted(names(synchronized.inputs))
    assert len(synchronized.outputs) == 1
    assert synchronized.outputs[0].name.startswith("imodels/")
    assert names(synchronized.outputs) == names(version.inputs) == names(version.outputs) == names(export.inputs)
    assert len(export.outputs) == 1
    assert names(export.outputs) == names(download.inputs)
    [file] = (tmp_path / "delivery").iterdir()
    assert names(download.outputs) == [("file", str(file))]
    stored = {*names(uploaded.outputs), *names(synchronized.outputs), *names(export.outputs)}
    assert {where for where, _ in stored} == {namespace}


def test_an_upload_has_a_facet_and_says_which_files_have_changed(emulator: Emulator, designs: Path) -> None:
    lineage = execute(upload(designs))
    facet = lineage.run_facets["itwin_transfer"]
    assert (facet.direction, facet.files, facet.changedFiles, facet.moreFiles) == ("upload", 2, 2, False)
    assert {dataset.facets["lifecycleStateChange"].lifecycleStateChange.value for dataset in lineage.outputs} == {
        "CREATE"
    }
    assert {dataset.facets["documentation"].description for dataset in lineage.outputs} == {"Tower.dgn", "Roof.dgn"}

    (designs / "Tower.dgn").write_text("another tower")
    lineage = execute(upload(designs))
    assert lineage.run_facets["itwin_transfer"].changedFiles == 1
    changed, unchanged = lineage.outputs
    assert changed.facets["documentation"].description == "Tower.dgn"
    assert changed.facets["lifecycleStateChange"].lifecycleStateChange.value == "OVERWRITE"
    assert "lifecycleStateChange" not in unchanged.facets
    assert names(lineage.inputs) == [("file", f"{designs}/Tower.dgn"), ("file", f"{designs}/Roof.dgn")]


def test_a_failed_upload_has_the_files_that_were_uploaded(emulator: Emulator, designs: Path) -> None:
    emulator.fail("create-file", 1, 422)
    task = upload(designs)
    with pytest.raises(ITwinPermanentError):
        execute(task)
    lineage = lineage_at_end(task, failed=True)
    assert (len(lineage.inputs), len(lineage.outputs)) == (1, 1)


def test_the_number_of_files_is_bounded(emulator: Emulator, designs: Path) -> None:
    for number in range(MOST_DATASETS):
        (designs / f"{number}.txt").write_text("")
    lineage = execute(upload(designs, connection_id=None, itwin_id=ITwinHook().describe_connection(NIGHT).itwin_id))
    assert (len(lineage.inputs), len(lineage.outputs)) == (MOST_DATASETS, MOST_DATASETS)
    facet = lineage.run_facets["itwin_transfer"]
    assert (facet.files, facet.moreFiles) == (MOST_DATASETS + 2, True)


@pytest.mark.parametrize(("written", "left_out"), [(0, False), (3, False), (60, True)])
def test_an_export_says_whether_it_has_more_files(emulator: Emulator, written: int, left_out: bool) -> None:
    tasks = [Task(result="Success", export_output_file_id=f"file-{number}") for number in range(written)]
    report = RunReport.of(RunRef.parse(f"export/{EXPORT}/a-run"), Run(result="Success", jobs=[Job(tasks=tasks)]))
    lineage = lineage_of(ITwinHook(), "export", EXPORT, "a-run", report, failed=False)
    assert lineage.run_facets["itwin_run"].moreOutputFiles is left_out
    assert len(lineage.outputs) == min(written, 50)


def test_a_named_version_marks_the_state_of_the_imodel(emulator: Emulator, designs: Path) -> None:
    execute(upload(designs))
    emulator.plan_run(NIGHT, "Success", 60, changesets=1)
    run_id = emulator.start_run(NIGHT)
    ITwinHook().wait_for_run(NIGHT, run_id)
    task = ITwinCreateNamedVersionOperator(task_id="version", run_ref=f"storage/{NIGHT}/{run_id}", name="Tonight")
    lineage = execute(task)
    [before], [after] = lineage.inputs, lineage.outputs
    assert before.name == after.name
    facet = lineage.run_facets["itwin_named_version"]
    assert (facet.name, facet.created) == ("Tonight", True)
    assert after.facets["version"].datasetVersion == facet.changesetId
    assert facet.changesetIndex == 1


def test_a_task_that_has_named_nothing_only_reads_the_imodel(emulator: Emulator, designs: Path) -> None:
    execute(upload(designs))
    emulator.plan_run(NIGHT, "Success", 60, changesets=0)
    run_id = emulator.start_run(NIGHT)
    ITwinHook().wait_for_run(NIGHT, run_id)
    lineage = execute(
        ITwinCreateNamedVersionOperator(
            task_id="version", run_ref=f"storage/{NIGHT}/{run_id}", name="Tonight", on_no_changes="pass"
        )
    )
    assert (len(lineage.inputs), lineage.outputs, lineage.run_facets) == (1, [], {})


def test_a_failed_download_has_the_files_that_it_was_to_read(emulator: Emulator, tmp_path: Path) -> None:
    task = ITwinDownloadFileOperator(task_id="download", file_id="a-file", path=f"{tmp_path}/")
    with pytest.raises(ITwinPermanentError):
        execute(task)
    lineage = lineage_at_end(task, failed=True)
    assert [name for _, name in names(lineage.inputs)] == ["storage/files/a-file"]
    assert lineage.outputs == []


@pytest.mark.parametrize("make", [lambda source: upload(source), lambda source: execute_and_break(source)])
def test_facets_stay_if_the_datasets_are_unknown(
    emulator: Emulator, designs: Path, make: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(designs)
    monkeypatch.delenv("AIRFLOW_CONN_ITWIN_DEFAULT")
    task.__dict__.pop("hook", None)
    lineage = lineage_at_end(task, failed=True)
    assert "itwin_transfer" in lineage.run_facets
    assert (lineage.inputs, lineage.outputs) == ([], [])


def execute_and_break(source: Path) -> Any:
    """Return a task that has run."""
    task = upload(source)
    execute(task)
    return task


def test_events_are_serializable_and_have_no_secret(emulator: Emulator, designs: Path, tmp_path: Path) -> None:
    from openlineage.client.serde import Serde

    uploaded = execute(upload(designs))
    file_id = uploaded.outputs[0].name.rpartition("/")[2]
    downloaded = execute(ITwinDownloadFileOperator(task_id="download", file_id=file_id, path=f"{tmp_path}/out/"))
    assert names(downloaded.inputs) == names(uploaded.outputs)[:1]
    for lineage in (uploaded, downloaded):
        text = Serde.to_json(lineage)
        assert json.loads(text)["run_facets"]["itwin_transfer"]["files"] > 0
        assert emulator.client_secret not in text
        assert "sig=" not in text
        assert "http://" not in text.replace("itwin://", "")


def test_a_file_in_an_object_store_has_the_same_name_up_and_down(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

    store = MemoryFileSystem()
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    first_found("airflow.sdk.io.attach", "airflow.io.attach", "airflow.io.store.attach")("memory", fs=store)
    try:
        ObjectStoragePath("memory://bucket/designs/")
    except TypeError:
        pytest.skip("Airflow 2.11 has no object stores with this universal-pathlib")
    store.pipe("/bucket/designs/site/Tower.dgn", b"tower")
    for source in ("memory://bucket/designs", "memory://bucket/designs/site/Tower.dgn", "memory://bucket/**/*.dgn"):
        [found] = list_sources(source)
        assert found.address == "memory://bucket/designs/site/Tower.dgn"
    uploaded = execute(upload("memory://bucket/designs/site/Tower.dgn"))
    file_id = uploaded.outputs[0].name.rpartition("/")[2]
    downloaded = execute(
        ITwinDownloadFileOperator(task_id="download", file_id=file_id, path="memory://bucket/designs/site/")
    )
    assert names(uploaded.inputs) == names(downloaded.outputs) == [("memory://bucket", "designs/site/Tower.dgn")]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/mnt/projects/Tower.dgn", ("file", "/mnt/projects/Tower.dgn")),
        ("/mnt//projects/x/../Tower.dgn", ("file", "/mnt/projects/Tower.dgn")),
        ("file:///mnt/Tower.dgn", ("file", "/mnt/Tower.dgn")),
        ("s3://bucket/site/Tower.dgn", ("s3://bucket", "site/Tower.dgn")),
        ("s3a://aws_default@bucket/site/Tower.dgn", ("s3://bucket", "site/Tower.dgn")),
        ("gcs://google@bucket/Tower.dgn", ("gs://bucket", "Tower.dgn")),
        ("hdfs://conn@namenode:8020/site/Tower.dgn", ("hdfs://namenode:8020", "site/Tower.dgn")),
        ("https://me:s3cret@files.example.com/Tower.dgn?sig=s3cret", ("https://files.example.com", "Tower.dgn")),
        ("s3://bucket/Tower.dgn?X-Amz-Signature=s3cret", None),
        ("s3://bucket/token=s3cret/Tower.dgn", None),
        ("/mnt/\u202eTower.dgn", None),
        ("s3://bucket/" + "x" * 5000, None),
        ("s3://bucket", None),
    ],
)
def test_files_are_named_as_openlineage_says(address: str, name: tuple[str, str] | None) -> None:
    dataset = file_dataset(address)
    assert (None if dataset is None else (dataset.namespace, dataset.name)) == name
    assert "s3cret" not in str(dataset)
