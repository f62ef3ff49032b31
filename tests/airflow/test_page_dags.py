"""The complete DAGs of the pages run as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS
from scripts.site_jobs import JOB_PAGES
from scripts.site_tasks import TASKS
from tests.airflow.mesh_export import MeshExportServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult, DagRunner

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FIRST_BLOCK = re.compile(r"\A# ([\w, ]+)\n\n(?:[^#`\n][^\n]*\n)+\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IMPORT_OF_AIRFLOW_2 = re.compile(r"^from airflow\.sdk import .+  # Airflow 2: (.+)$", re.MULTILINE)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The folder that stands for ``/mnt`` of the pages, with design files."""
    folder = tmp_path / "projects" / "hospital" / "Structural"
    folder.mkdir(parents=True)
    (folder / "Frame.dgn").write_text("frame")
    return tmp_path


@pytest.mark.parametrize("page", TASKS)
def test_a_page_begins_with_a_dag_that_runs(dags: DagRunner, emulator: Emulator, mounted: Path, page: str) -> None:
    found = _FIRST_BLOCK.search((DOCS / page).read_text())
    assert found, f"{page} does not begin with a class, a description and a DAG"
    class_name, text = found.groups()
    assert class_name == TASKS[page][1]
    assert f"{class_name}(" in text
    assert "# the id of your " in text
    assert run(dags, text, mounted).state == "success"


@pytest.mark.parametrize("page", JOB_PAGES)
def test_the_page_of_a_job_api_begins_with_a_dag_that_runs(
    dags: DagRunner, emulator: Emulator, mounted: Path, page: str
) -> None:
    content = (DOCS / page).read_text()
    found = _FIRST_BLOCK.search(content)
    assert found, f"{page} does not begin with a heading, a description and a DAG"
    names = JOB_PAGES[page]
    assert f"{next(iter(names.values()))}(" in found[2]
    assert "# the id of your " in found[2]
    for constant, operator in names.items():
        assert f"## {operator}\n\n<!-- job: {constant} -->" in content
    result = run(dags, found[2], mounted)
    assert (result.state, set(map(tuple, result.states.values()))) == ("success", {("success",)})


JOBS = [text for text in _BLOCK.findall((DOCS / "jobs.md").read_text()) if "DAG(" in text]


@pytest.mark.parametrize("text", JOBS, ids=[re.findall(r"DAG\(\s*\"(\w+)\"", text)[0] for text in JOBS])
def test_each_dag_of_the_page_about_jobs_runs(dags: DagRunner, emulator: Emulator, mounted: Path, text: str) -> None:
    result = run(dags, text, mounted)
    assert (result.state, {state for states in result.states.values() for state in states}) == ("success", {"success"})


def test_the_page_about_definitions_leads_to_a_task_that_succeeds(
    dags: DagRunner, connection: Callable[..., None], mounted: Path
) -> None:
    text = _BLOCK.findall((DOCS / "jobs" / "write-a-definition.md").read_text())[0]
    data = text.partition("JobDefinition(\n")[2].partition("\n)")[0]
    assert len(data.splitlines()) <= 15
    assert data in (ROOT / "example_dags" / "itwin_own_job.py").read_text(), "the example has the same definition"
    with MeshExportServer() as server:
        connection(host=server.url, extra={"token": "a-token"})
        result = run(dags, text, mounted)
    assert result.states == {"export_mesh": ["success"]}, result.log[-3000:]
    assert server.requests == [
        ("POST", "/mesh-export/", {"iModelId": "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001", "exportType": "3DTiles"}),
        *[("GET", "/mesh-export/mesh-1", None)] * 3,
    ]
    assert result.xcom("export_mesh", "job_report")["state"] == "Complete"


TASKFLOW = _BLOCK.findall((DOCS / "taskflow.md").read_text())


@pytest.mark.parametrize("text", TASKFLOW, ids=[re.findall(r"DAG\(\s*\"(\w+)\"", text)[0] for text in TASKFLOW])
def test_each_dag_of_the_page_about_taskflow_runs(
    dags: DagRunner, emulator: Emulator, mounted: Path, text: str
) -> None:
    assert run(dags, text, mounted).state == "success"


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=lambda page: page.stem)
def test_the_first_dag_of_all_is_a_night_that_runs(
    dags: DagRunner, emulator: Emulator, mounted: Path, page: Path
) -> None:
    text = page.read_text()
    first = _BLOCK.findall(text)[0]
    assert text.index(first) < text.index("\n## ")
    result = run(dags, first, mounted)
    assert (result.state, set(map(tuple, result.states.values()))) == ("success", {("success",)})
    assert list(result.states) == [
        f"night.{step}" for step in ("upload", "synchronize", "version", "export", "download")
    ]
    assert (mounted / "deliveries" / "hospital.ifc").read_text().startswith("ISO-10303-21;")


NIGHT = [text for text in _BLOCK.findall((DOCS / "night.md").read_text()) if "DAG(" in text]


@pytest.mark.parametrize("text", NIGHT, ids=[re.findall(r"DAG\(\s*\"(\w+)\"", text)[0] for text in NIGHT])
def test_each_dag_of_the_page_about_the_night_runs(
    dags: DagRunner, emulator: Emulator, mounted: Path, text: str
) -> None:
    result = run(dags, text, mounted)
    assert (result.state, set(map(tuple, result.states.values()))) == ("success", {("success",)})


def run(dags: DagRunner, text: str, mounted: Path) -> DagResult:
    """
    Run the DAG of a block; its comments have the imports of Airflow 2.

    :param mounted: stands for ``/mnt``
    """
    if not AIRFLOW_V_3_0_PLUS:
        text = _IMPORT_OF_AIRFLOW_2.sub(r"\1", text)
    text = text.replace('"/mnt/', f'"{mounted}/')
    dag_id = re.search(r"DAG\(\s*\"(\w+)\"", text)
    assert dag_id
    return dags.run_file(dag_id[1], text)
