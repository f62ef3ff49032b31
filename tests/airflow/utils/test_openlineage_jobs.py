"""OpenLineage events of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinJobFailedError
from airflow_provider_itwin.jobs import EXTRACTION, ITwinExtractionOperator, ITwinTransformationOperator
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor
from tests.airflow.single_task import FakeTaskInstance, outside_of_task_runner
from tests.airflow.utils.test_openlineage_night import lineage_at_end, names

if TYPE_CHECKING:
    from pathlib import Path

    from itwin_emulator import Emulator

MAPPINGS = [{"id": "9c6ff5b1-7a8e-4a0c-8a3a-5a3d4a3f8e21"}]


@pytest.fixture
def imodel_id(emulator: Emulator) -> str:
    return emulator.add_imodel(itwin_id=emulator.add_itwin())


def execute(task: Any) -> str:
    """Execute a task; return what it returned."""
    instance = FakeTaskInstance()
    with outside_of_task_runner(instance):
        return str(task.execute({"ti": instance, "task_instance": instance}))


def extraction(imodel_id: str, **more: Any) -> ITwinExtractionOperator:
    inputs = {"imodel_id": imodel_id, "mappings": MAPPINGS}
    return ITwinExtractionOperator(task_id="extract", inputs=inputs, deferrable=False, **more)


def test_a_job_reads_its_imodel(emulator: Emulator, imodel_id: str) -> None:
    task = extraction(imodel_id)
    job_id = execute(task)
    lineage = lineage_at_end(task)
    assert names(lineage.inputs) == [(emulator.url.replace("http", "itwin"), f"imodels/{imodel_id}")]
    assert lineage.outputs == []
    facet = lineage.run_facets["itwin_job"]
    assert (facet.name, facet.jobId, facet.state, facet.outcome) == ("extraction", job_id, "Succeeded", "passed")
    assert "errorMessage" not in lineage.run_facets


def test_a_job_that_nobody_waits_for(emulator: Emulator, imodel_id: str) -> None:
    task = ITwinExtractionOperator(task_id="extract", imodel_id=imodel_id, mappings=MAPPINGS, wait_for_completion=False)
    job_id = execute(task)
    facet = lineage_at_end(task).run_facets["itwin_job"]
    assert (facet.jobId, facet.state, facet.outcome) == (job_id, None, None)

    sensor = ITwinJobSensor(task_id="wait", job=EXTRACTION, job_ref=job_id, deferrable=False, poll_interval=1)
    execute(sensor)
    facet = lineage_at_end(sensor).run_facets["itwin_job"]
    assert (facet.jobId, facet.outcome) == (job_id, "passed")


def test_a_failed_job_has_the_reason(emulator: Emulator, imodel_id: str) -> None:
    emulator.plan_job("extraction", "Failed")
    task = extraction(imodel_id)
    with pytest.raises(ITwinJobFailedError):
        execute(task)
    lineage = lineage_at_end(task, failed=True)
    assert lineage.run_facets["itwin_job"].outcome == "failed"
    assert "Failed" in lineage.run_facets["errorMessage"].message


def test_a_job_writes_its_result(emulator: Emulator, tmp_path: Path) -> None:
    itwin_id = emulator.add_itwin()
    source, target = (emulator.add_imodel(itwin_id=itwin_id) for _ in range(2))
    configuration = emulator.add_transformation_configuration(source, target)
    task = ITwinTransformationOperator(
        task_id="transform", configuration_id=configuration, deferrable=False, result_path=f"{tmp_path}/result.json"
    )
    execute(task)
    assert names(lineage_at_end(task).outputs) == [("file", f"{tmp_path}/result.json")]


def test_without_a_job_the_lineage_has_its_name_only(emulator: Emulator, imodel_id: str) -> None:
    task = extraction(imodel_id)
    lineage = lineage_at_end(task, failed=True)
    facet = lineage.run_facets["itwin_job"]
    assert (facet.name, facet.jobId, facet.outcome) == ("extraction", None, None)
