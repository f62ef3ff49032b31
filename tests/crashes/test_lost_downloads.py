"""Loss of the worker in the middle of a download: nothing torn has the name of the file, and the retry resumes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from scripts.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .crash_deployment import CrashDeployment

pytestmark = pytest.mark.system

MEBIBYTE = 1 << 20
SIZE = 20 * MEBIBYTE
ITWIN = "delivery"
FILE = "tower-file"


def received(folder: Path) -> int:
    """Return the bytes of the part in a folder."""
    return sum(path.stat().st_size for path in folder.glob(".itwin-*.part"))


def worker_lost_between_two_chunks(deployment: CrashDeployment) -> None:
    with deployment.service("download") as service, TemporaryDirectory() as home:
        emulator, folder = service.emulator, Path(home, "out")
        emulator.add_itwin(ITWIN)
        emulator.add_file(ITWIN, "tower.ifc", size=SIZE, file_id=FILE)
        emulator.fail("get-blob", 1, kind="slow-body", seconds=60)
        dag_run = deployment.start_dag_run("crash_download", "download", path=f"{folder}/")
        assert wait_until(lambda: received(folder) >= 3 * MEBIBYTE, 180.0)
        dag_run.kill_worker()
        assert not (folder / "tower.ifc").exists()
        assert received(folder) < SIZE
        assert dag_run.end() == "success"
        assert dag_run.task["try_number"] > 1
        stored = emulator.store.storage.find_file(FILE)
        assert stored is not None
        assert stored.content is not None
        with emulator.store.storage.folder.open(stored.content) as file:
            assert (folder / "tower.ifc").read_bytes() == file.read()
        assert [path.name for path in folder.iterdir()] == ["tower.ifc"]
        statuses = [entry.status for entry in emulator.request_log if entry.operation == "get-blob"]
        assert statuses[1:] == [206], "the retry has requested the rest only"
        assert emulator.token_leaks() == []


@pytest.mark.parametrize("scenario", [worker_lost_between_two_chunks])
def test_losing_a_worker_resumes_the_download(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
