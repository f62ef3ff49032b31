"""OpenLineage events of runs, and no cost without OpenLineage."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinRunFailedFinalError
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.utils.openlineage import LONGEST_PAUSES, MOST_DATASETS
from tests.airflow.single_task import FakeTaskInstance, outside_of_task_runner

if TYPE_CHECKING:
    from itwin_emulator import Emulator

GOOD, PARTIAL, FAILING = "demo-storage-connection", "demo-partial-connection", "demo-failing-connection"
MANIFEST, EXPORT = "demo-manifest-connection", "demo-export-connection"
MODEL = "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b100"


def execute(task: Any) -> None:
    instance = FakeTaskInstance()
    with outside_of_task_runner(instance):
        task.execute({"ti": instance, "task_instance": instance, "task_reschedule_count": 0})


def lineage_of(task: Any, *, failed: bool = False) -> Any:
    """Get the lineage of a task as OpenLineage does at its end."""
    extractor = DefaultExtractor(task)
    asked = extractor.extract_on_failure if failed else extractor.extract_on_complete
    lineage = asked(SimpleNamespace())
    assert lineage is not None, "it raised"
    return lineage


def storage(connection_id: str = GOOD, **arguments: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(
        task_id="synchronize", connection_id=connection_id, **{"wait_for_completion": True} | arguments
    )


def names(datasets: Any) -> list[str]:
    return [dataset.name for dataset in datasets]


def test_source_files_are_inputs_and_the_imodel_is_the_output(emulator: Emulator) -> None:
    task = storage()
    execute(task)
    lineage = lineage_of(task)
    [imodel] = lineage.outputs
    assert (imodel.namespace, imodel.name) == (emulator.url.replace("http", "itwin"), f"imodels/{MODEL}1")
    assert len(lineage.inputs) == 12
    assert {dataset.namespace for dataset in lineage.inputs} == {imodel.namespace}
    assert all(dataset.name.startswith("storage/files/") for dataset in lineage.inputs)
    assert all(dataset.facets["documentation"].description for dataset in lineage.inputs)
    assert set(lineage.run_facets) == {"itwin_run"}
    facet = lineage.run_facets["itwin_run"]
    [run] = emulator.runs(GOOD)
    assert (facet.kind, facet.connectionId, facet.runId) == ("storage", GOOD, run["id"])
    assert (facet.state, facet.result, facet.totals["tasks"]) == ("Completed", "Success", 12)
    assert facet.started < facet.ended
    assert facet.moreSourceFiles is False


def test_a_failure_has_its_reason(emulator: Emulator) -> None:
    task = storage(FAILING)
    with pytest.raises(ITwinRunFailedError):
        execute(task)
    lineage = lineage_of(task, failed=True)
    assert lineage.run_facets["itwin_run"].result == "Error"
    assert "PD-ARC-Deck.rvt" in str(lineage.run_facets["errorMessage"].message) or "TAE_BRG" in str(
        lineage.run_facets["errorMessage"].message
    )
    assert names(lineage.outputs) == [f"imodels/{MODEL}3"]


def test_a_failure_without_a_run_has_what_is_known(emulator: Emulator) -> None:
    lineage = lineage_of(storage(), failed=True)
    assert lineage.run_facets["itwin_run"].runId is None
    assert set(lineage.run_facets) == {"itwin_run"}
    assert names(lineage.outputs) == [f"imodels/{MODEL}1"]


def test_a_task_that_does_not_wait_names_its_run(emulator: Emulator) -> None:
    task = storage(wait_for_completion=False)
    execute(task)
    facet = lineage_of(task).run_facets["itwin_run"]
    assert facet.runId == emulator.runs(GOOD)[0]["id"]
    assert facet.result is None


def test_a_sensor_reports_the_same_for_a_foreign_run(emulator: Emulator) -> None:
    run_id = emulator.start_run(GOOD)
    task = ITwinStorageConnectionRunSensor(task_id="wait", connection_id=GOOD, run_id=run_id)
    execute(task)
    lineage = lineage_of(task)
    assert (len(lineage.inputs), names(lineage.outputs)) == (12, [f"imodels/{MODEL}1"])
    assert lineage.run_facets["itwin_run"].result == "Success"


def test_a_failed_sensor_has_its_reason(emulator: Emulator) -> None:
    task = ITwinStorageConnectionRunSensor(task_id="wait", connection_id=FAILING, run_id=emulator.start_run(FAILING))
    with pytest.raises(ITwinRunFailedFinalError):
        execute(task)
    assert "its result is Error" in lineage_of(task, failed=True).run_facets["errorMessage"].message


def test_a_manifest_is_reported_without_its_urls(emulator: Emulator) -> None:
    files = [file.id for file in emulator.store.connection(MANIFEST).files]
    known = [file.file_id for file in emulator.store.connection(MANIFEST).files]
    secret = "https://files.example.com/Tower.dgn?sig=s3cret"
    body = {"sourceFiles": [{"id": file_id, "name": secret, "action": "bridge", "url": secret} for file_id in known]}
    task = ITwinRunManifestConnectionOperator(
        task_id="synchronize", connection_id=MANIFEST, body=body, wait_for_completion=True
    )
    execute(task)
    lineage = lineage_of(task)
    assert len(lineage.inputs) == len(files)
    assert all(name.startswith(f"manifestconnections/{MANIFEST}/sourcefiles/") for name in names(lineage.inputs))
    assert "s3cret" not in str(lineage)
    assert "https://" not in str(names(lineage.inputs))


def test_an_export_reads_the_imodel_and_writes_files(emulator: Emulator) -> None:
    task = ITwinRunExportConnectionOperator(
        task_id="export",
        connection_id=EXPORT,
        body={
            "exportType": "IFC",
            "ifcVersion": "IFC4.3",
            "outputOptions": {"outputSasUrl": "https://x.example.com/?sig=s3cret"},
        },
        wait_for_completion=True,
    )
    execute(task)
    lineage = lineage_of(task)
    assert names(lineage.inputs) == [f"imodels/{MODEL}6"]
    assert lineage.outputs
    assert all(name.startswith("storage/files/") for name in names(lineage.outputs))
    assert "s3cret" not in str(lineage)


def test_the_number_of_inputs_is_bounded(emulator: Emulator) -> None:
    emulator.add_connection(connection_id="large", files=MOST_DATASETS + 50)
    task = storage("large", wait_for_completion=False)
    execute(task)
    emulator.request_log.clear()
    lineage = lineage_of(task)
    assert len(lineage.inputs) == MOST_DATASETS
    assert lineage.run_facets["itwin_run"].moreSourceFiles is True
    assert sum("sourcefiles" in entry.path for entry in emulator.request_log) == 2


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("get-storage-connection", 403),
        ("get-storage-connection", 503),
        ("get-storage-connection-sourcefiles", 403),
        ("get-storage-connection-sourcefiles", 429),
        ("token", 400),
    ],
)
def test_unknown_fields_are_left_out(
    emulator: Emulator, operation: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("airflow_provider_itwin.utils.openlineage.time.sleep", slept.append)
    task = storage()
    execute(task)
    emulator.fail(operation, None, status)
    emulator.revoke_tokens()
    lineage = lineage_of(task)
    assert sum(slept) <= LONGEST_PAUSES, "OpenLineage drops an event that takes longer"
    assert lineage.run_facets["itwin_run"].result == "Success"
    assert lineage.inputs == []


def test_events_are_serializable_and_have_no_secret(emulator: Emulator) -> None:
    from openlineage.client.serde import Serde

    task = storage(PARTIAL)
    execute(task)
    lineage = lineage_of(task)
    text = Serde.to_json(lineage)
    assert json.loads(text)["run_facets"]["itwin_run"]["result"] == "PartialSuccess"
    assert emulator.client_secret not in text
    assert len(text) < 256 * 1024


def test_openlineage_is_imported_only_when_needed(airflow_home: Any) -> None:
    script = """
import sys
from tests.airflow.sdk import BaseOperator
BaseOperator(task_id="any")
before = {name for name in sys.modules if "openlineage" in name}
import airflow_provider_itwin.operators.itwin, airflow_provider_itwin.sensors.itwin, airflow_provider_itwin.assets
import airflow_provider_itwin.hooks.itwin, airflow_provider_itwin.triggers.itwin
task = airflow_provider_itwin.operators.itwin.ITwinRunStorageConnectionOperator(task_id="a", connection_id="b")
own = "airflow_provider_itwin.utils.openlineage"
print(sorted({name for name in sys.modules if "openlineage" in name} - before), own in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[] False"
