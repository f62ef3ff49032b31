"""The operator that downloads files: from iTwin Storage to a local disk or an object store, over HTTP."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.operators.download import ITwinDownloadFileOperator
from airflow_provider_itwin.operators.itwin import ITwinRunExportConnectionOperator
from airflow_provider_itwin.sdk_compat import ObjectStoragePath
from tests.airflow.operators.run_operators import rendered
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

ITWIN = "night-itwin"
FILE = "tower-file"
SIZE = 3_000_000


@pytest.fixture
def emulator(emulator: Emulator) -> Iterator[Emulator]:
    """A file in iTwin Storage. No request to a pre-signed URL may have a token."""
    emulator.add_itwin(ITWIN)
    emulator.add_file(ITWIN, "Exports/tower.ifc", size=SIZE, file_id=FILE)
    yield emulator
    assert emulator.token_leaks() == []


@pytest.fixture
def content(emulator: Emulator) -> bytes:
    """The content of the file."""
    storage = emulator.store.storage
    stored = storage.find_file(FILE)
    assert stored is not None
    assert stored.content is not None
    with storage.folder.open(stored.content) as file:
        return file.read()


def download(**arguments: Any) -> ITwinDownloadFileOperator:
    """The operator."""
    return ITwinDownloadFileOperator(**{"task_id": "download", "file_id": FILE} | arguments)


def names(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_goes_into_a_folder_under_its_own_name(
    emulator: Emulator, content: bytes, run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = run_task(download(path=f"{tmp_path}/out/"))
    assert outcome.state == "success", outcome.error
    assert json.loads(json.dumps(outcome.value)) == [
        {
            "file_id": FILE,
            "name": "tower.ifc",
            "path": f"{tmp_path}/out/tower.ifc",
            "size": SIZE,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    assert (tmp_path / "out" / "tower.ifc").read_bytes() == content
    assert names(tmp_path / "out") == ["tower.ifc"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_gets_the_name_that_the_path_has(
    content: bytes, run_task: Callable[..., Outcome], tmp_path: Path, scheme: str
) -> None:
    outcome = run_task(download(path=f"{scheme}{tmp_path}/delivery.ifc"))
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "delivery.ifc").read_bytes() == content


def test_a_file_goes_into_an_object_store_that_airflow_knows(
    content: bytes, run_task: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

    store = MemoryFileSystem()
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    attach = first_found("airflow.sdk.io.attach", "airflow.io.attach", "airflow.io.store.attach")
    attach("memory", fs=store)
    try:
        ObjectStoragePath("memory://bucket/exports/")
    except TypeError:
        pytest.skip("Airflow 2.11 has no object stores with this universal-pathlib")
    outcome = run_task(download(path="memory://bucket/exports/"))
    assert outcome.state == "success", outcome.error
    assert {name: file.getvalue() for name, file in MemoryFileSystem.store.items()} == {
        "/bucket/exports/tower.ifc": content
    }
    assert outcome.value[0]["path"] == "memory://bucket/exports/tower.ifc"


@pytest.mark.parametrize("kind", ["truncate", "reset-body"])
def test_a_cut_body_resumes(
    emulator: Emulator, content: bytes, run_task: Callable[..., Outcome], tmp_path: Path, kind: Any
) -> None:
    emulator.fail("get-blob", 2, kind=kind)
    outcome = run_task(download(path=f"{tmp_path}/a.ifc"))
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "a.ifc").read_bytes() == content


@pytest.mark.parametrize("operation", ["get-file", "download-file", "get-blob"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"kind": "reset-before"}, {"kind": "reset-after"}])
def test_temporary_errors_are_retried(
    emulator: Emulator,
    content: bytes,
    run_task: Callable[..., Outcome],
    tmp_path: Path,
    operation: str,
    fault: dict[str, Any],
) -> None:
    emulator.fail(operation, 2, **fault)
    outcome = run_task(download(path=f"{tmp_path}/a.ifc"))
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "a.ifc").read_bytes() == content


def test_an_outage_that_lasts_can_be_retried_and_a_retry_resumes(
    emulator: Emulator, content: bytes, run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    emulator.fail("get-blob", 1, kind="truncate")
    emulator.fail("get-blob", None, status=503)
    task = download(path=f"{tmp_path}/a.ifc")
    outcome = run_task(task)
    assert outcome.state == "up_for_retry"
    assert "ended after" in outcome.text
    assert "503" in outcome.text
    assert not (tmp_path / "a.ifc").exists()
    emulator.clear_faults()
    before = len(emulator.request_log)
    outcome = run_task(task)
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "a.ifc").read_bytes() == content
    statuses = [entry.status for entry in list(emulator.request_log)[before:] if entry.operation == "get-blob"]
    assert statuses == [206]


def test_an_expired_url_is_replaced(
    emulator: Emulator, content: bytes, run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    emulator.fail("get-blob", 1, status=403)
    outcome = run_task(download(path=f"{tmp_path}/a.ifc"))
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "a.ifc").read_bytes() == content


def test_a_file_that_changes_during_the_download_is_downloaded_again(
    emulator: Emulator, run_task: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.fail("get-blob", 1, kind="truncate")
    pause = stopping.pause

    def change(stopped: Any, seconds: float) -> None:
        monkeypatch.setattr(stopping, "pause", pause)
        emulator.set_file_content(FILE, size=SIZE + 1)

    monkeypatch.setattr(stopping, "pause", change)
    outcome = run_task(download(path=f"{tmp_path}/a.ifc"))
    assert outcome.state == "success", outcome.error
    assert (tmp_path / "a.ifc").stat().st_size == SIZE + 1
    assert names(tmp_path) == ["a.ifc"]


@pytest.mark.usefixtures("emulator")
def test_an_unknown_file_is_permanent(run_task: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run_task(download(file_id="no-such-file", path=f"{tmp_path}/"))
    assert outcome.state == "failed"
    assert "get-file returned 404" in outcome.text


def test_an_existing_file_is_kept_or_an_error_without_overwrite(
    content: bytes, run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    path = tmp_path / "a.ifc"
    path.write_bytes(content)
    assert run_task(download(path=str(path), overwrite=False)).state == "success"
    path.write_bytes(b"other")
    outcome = run_task(download(path=str(path), overwrite=False))
    assert outcome.state == "failed"
    assert "exists and has 5 bytes" in outcome.text
    assert run_task(download(path=str(path))).state == "success"
    assert path.read_bytes() == content


def test_a_kill_stops_the_download(emulator: Emulator, tmp_path: Path) -> None:
    task = download(path=f"{tmp_path}/a.ifc")
    hook = task.hook

    def kill(*arguments: Any, **settings: Any) -> Any:
        task.on_kill()
        return ITwinHook.download_files(hook, *arguments, **settings)

    hook.download_files = kill  # type: ignore[method-assign]
    with pytest.raises(Exception, match="was stopped after"):
        task.execute({})
    assert not (tmp_path / "a.ifc").exists()


def test_a_kill_before_the_start_does_nothing() -> None:
    download(path="/tmp/").on_kill()


# Exports.


@pytest.fixture
def export(emulator: Emulator, run_task: Callable[..., Outcome]) -> dict[str, Any]:
    """The reference of an export run that has ended."""
    body = {"exportType": "IFC", "ifcVersion": "IFC4.3"}
    task = ITwinRunExportConnectionOperator(task_id="export", connection_id="demo-export-connection", body=body)
    ref: dict[str, Any] = run_task(task).xcoms["run_ref"]
    return ref


def test_the_file_of_an_export_is_downloaded(
    emulator: Emulator, export: dict[str, Any], run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    task = rendered(ITwinDownloadFileOperator(task_id="a", path=f"{tmp_path}/", run_ref={**export}), run_ref=export)
    outcome = run_task(task)
    assert outcome.state == "success", outcome.error
    (file,) = outcome.value
    assert (tmp_path / file["name"]).read_text().startswith("ISO-10303-21;")


def test_a_run_without_files_names_the_options_of_its_output(
    export: dict[str, Any], run_task: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_itwin.operators.download.output_files", lambda run: [])
    outcome = run_task(ITwinDownloadFileOperator(task_id="a", path=f"{tmp_path}/", run_ref=export))
    assert outcome.state == "failed"
    assert "has no files in iTwin Storage" in outcome.text
    assert "USER_BLOB_STORAGE" in outcome.text


def test_several_files_need_a_folder(
    export: dict[str, Any], run_task: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_itwin.operators.download.output_files", lambda run: ["a", "b"])
    outcome = run_task(ITwinDownloadFileOperator(task_id="a", path=f"{tmp_path}/one.ifc", run_ref=export))
    assert outcome.state == "failed"
    assert "has 2 files" in outcome.text


def test_two_files_of_the_same_name_do_not_replace_one_another(
    emulator: Emulator, export: dict[str, Any], run_task: Callable[..., Outcome], tmp_path: Path, monkeypatch: Any
) -> None:
    emulator.add_file(ITWIN, "Other/tower.ifc", text="other", file_id="other-file")
    monkeypatch.setattr("airflow_provider_itwin.operators.download.output_files", lambda run: [FILE, "other-file"])
    outcome = run_task(ITwinDownloadFileOperator(task_id="a", path=f"{tmp_path}/", run_ref=export))
    assert outcome.state == "failed"
    assert "would both be" in outcome.text
    assert (tmp_path / "tower.ifc").stat().st_size == SIZE


def test_a_run_that_has_not_ended_can_be_retried(
    emulator: Emulator, run_task: Callable[..., Outcome], tmp_path: Path
) -> None:
    run_id = emulator.start_run("demo-export-connection")
    ref = {"kind": "export", "connection_id": "demo-export-connection", "run_id": run_id}
    outcome = run_task(ITwinDownloadFileOperator(task_id="a", path=f"{tmp_path}/", run_ref=ref))
    assert outcome.state == "up_for_retry"
    assert "its files are not there yet" in outcome.text


# The parameters, the hook.


def test_an_operator_can_be_mapped_over_files() -> None:
    ITwinDownloadFileOperator.partial(task_id="a", path="/exports/").expand(file_id=["a", "b"])


def test_the_hook_downloads_to_a_path_object(emulator: Emulator, content: bytes, tmp_path: Path) -> None:
    file = ITwinHook().download_file(FILE, tmp_path / "a.ifc")
    assert (tmp_path / "a.ifc").read_bytes() == content
    assert file.as_dict()["path"] == str(tmp_path / "a.ifc")
