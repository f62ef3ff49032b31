"""Loss of the worker in the middle of an upload: readers keep the old content, and the retry sends what is missing."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.api.storage.digests import Marker, fingerprint
from scripts.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .crash_deployment import CrashDeployment

pytestmark = pytest.mark.system

MEBIBYTE = 1 << 20
SIZE = 20 * MEBIBYTE
ITWIN = "sources"
OLD = b"the bridge of yesterday"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def id_of(name: str) -> str:
    return f"{name.partition('.')[0]}-file"


def add_file(emulator: Emulator, name: str, content: bytes, mark: str) -> None:
    """Add a file that an earlier upload has brought."""
    marker = Marker(digest_of(content), mark, datetime.now(UTC))
    emulator.add_file(ITWIN, name, text=content.decode(), file_id=id_of(name), description=str(marker))


def stored(emulator: Emulator, name: str) -> tuple[bytes, str | None]:
    """Return the content of a file in Storage, and the digest in its description."""
    file = emulator.store.storage.find_file(id_of(name))
    assert file is not None
    assert file.content is not None
    with emulator.store.storage.folder.open(file.content) as stream:
        marker = Marker.find(file.description)
        return stream.read(), marker.sha256 if marker else None


def received(emulator: Emulator) -> int:
    """Return the size of the largest content that the service has received, whole or in part."""
    return max(path.stat().st_size for path in emulator.store.storage.folder.path.iterdir())


def worker_lost_between_two_chunks(deployment: CrashDeployment) -> None:
    with deployment.service("upload") as service, TemporaryDirectory() as source:
        emulator = service.emulator
        emulator.add_itwin(ITWIN)
        changed, unchanged = Path(source, "Bridge.dgn"), Path(source, "Roads.dgn")
        content = bytes(range(256)) * (SIZE // 256)
        changed.write_bytes(content)
        unchanged.write_bytes(b"roads")
        status = unchanged.stat()
        add_file(emulator, changed.name, OLD, "yesterday")
        add_file(emulator, unchanged.name, b"roads", fingerprint(status.st_size, status.st_mtime_ns))
        emulator.fail("put-blob", 1, kind="slow-body", seconds=30)
        dag_run = deployment.start_dag_run("crash_upload", "upload", source=source)
        assert wait_until(lambda: received(emulator) >= 3 * MEBIBYTE, 180.0)
        dag_run.kill_worker()
        assert received(emulator) < SIZE
        assert stored(emulator, changed.name) == (OLD, None)
        assert dag_run.end() == "success"
        assert dag_run.task["try_number"] > 1
        assert stored(emulator, changed.name) == (content, digest_of(content))
        assert service.count("put-blob") == 2, "the lost one, and that of the retry"
        assert service.count("complete-file-upload") == 1
        mapped = [file.file_id for file in emulator.store.connections["night"].files]
        assert [mapped.count(id_of(path.name)) for path in (changed, unchanged)] == [1, 1]
        assert {file["name"]: file["outcome"] for file in dag_run.xcom()} == {
            changed.name: "updated",
            unchanged.name: "unchanged",
        }
        assert emulator.token_leaks() == []


@pytest.mark.parametrize("scenario", [worker_lost_between_two_chunks])
def test_losing_a_worker_keeps_the_old_content_until_the_retry(
    scenario: Callable[[CrashDeployment], None], finish: Callable[[Callable[[CrashDeployment], None]], None]
) -> None:
    finish(scenario)
