"""The example DAGs for manifests, exports and source files in a real Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .deployment import Deployment

pytestmark = pytest.mark.system


def run(deployment: Deployment, dag_id: str) -> str:
    """Run a DAG, check that it succeeds, and return the id of the DAG run."""
    deployment.api.wait_for_dag(dag_id)
    run_id = deployment.api.trigger(dag_id, {})
    assert deployment.api.wait_for_run(dag_id, run_id) == "success", deployment.api.task_states(dag_id, run_id)
    return run_id


def test_a_manifest_is_synchronized_and_its_urls_are_masked(deployment: Deployment) -> None:
    dag_id = "itwin_manifest_sync"
    run_id = run(deployment, dag_id)

    report = deployment.api.xcom(dag_id, run_id, "wait_for_synchronization", "run_report")
    assert report["ref"]["kind"] == "manifest"
    assert report["result"] == "Success"
    rendered = deployment.api.task_instance(dag_id, run_id, "start_synchronization")["rendered_fields"]
    assert "https://storage.example.com/" in str(rendered["body"])
    assert "made-for-this-run" not in str(rendered)
    assert "made-for-this-run" not in deployment.api.log(dag_id, run_id, "start_synchronization")


def test_the_report_of_an_export_names_its_output_files(deployment: Deployment) -> None:
    dag_id = "itwin_export_ifc"
    run_id = run(deployment, dag_id)

    report = deployment.api.xcom(dag_id, run_id, "wait_for_export", "run_report")
    assert report["ref"]["kind"] == "export"
    assert report["output_files"]
    assert deployment.api.xcom(dag_id, run_id, "name_the_files") == report["output_files"]


def test_source_files_are_listed_and_mapped_over(deployment: Deployment) -> None:
    dag_id = "itwin_source_files"
    run_id = run(deployment, dag_id)

    files = deployment.api.xcom(dag_id, run_id, "list_drawings")
    assert files
    assert all(file["name"].endswith(".dgn") for file in files)
    assert deployment.api.task_states(dag_id, run_id)["look_at"] == ["success"] * len(files)
