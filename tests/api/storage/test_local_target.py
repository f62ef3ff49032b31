"""A file on a local disk is whole or absent, and what a killed process has received is resumed."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import ITwinFileError, ITwinInputError
from airflow_provider_itwin.api.storage import local_target
from airflow_provider_itwin.api.storage.local_target import LocalTarget
from airflow_provider_itwin.api.storage.targets import FileVersion, file_name
from tests.api.storage.blob_server import Behavior, BlobServer, serving
from tests.api.storage.downloads import CONTENT, FILE_ID, World, use_fake_time

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = FileVersion(FILE_ID, "2026-01-01T00:00:00Z", 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The target."""
    return tmp_path / "tower.ifc"


@pytest.fixture
def blob() -> Iterator[BlobServer]:
    """A blob storage with the content of the file."""
    with serving(CONTENT) as blob:
        yield blob


def receive(path: Path, data: bytes, version: FileVersion = VERSION, etag: str | None = '"v1"') -> None:
    """Receive some bytes, and stop."""
    with LocalTarget(path).open_part(version) as part:
        if part.received == 0:
            part.begin(etag)
        part.write(data)


def names(path: Path) -> list[str]:
    """The names in the folder."""
    return sorted(entry.name for entry in path.parent.iterdir())


def test_a_later_process_resumes_a_part(path: Path) -> None:
    receive(path, b"01234")
    assert not path.exists()
    with LocalTarget(path).open_part(VERSION) as part:
        assert (part.received, part.etag) == (5, '"v1"')
        part.write(b"56789")
        assert part.sha256 == "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
        part.commit()
    assert path.read_bytes() == b"0123456789"
    assert names(path) == [path.name]


@pytest.mark.parametrize(
    "version",
    [
        FileVersion(FILE_ID, "2026-01-02T00:00:00Z", 10),
        FileVersion(FILE_ID, "2026-01-01T00:00:00Z", 11),
        FileVersion(FILE_ID, None, 10),
    ],
)
def test_the_part_of_another_version_is_removed(path: Path, version: FileVersion) -> None:
    receive(path, b"01234")
    with LocalTarget(path).open_part(version) as part:
        assert part.received == 0
    assert names(path) == []


@pytest.mark.parametrize(
    "other", [FileVersion("another-file", "2026-01-01T00:00:00Z", 10), FileVersion(FILE_ID, "2026-01-01T00:00:00Z", 10)]
)
def test_parts_of_other_files_and_other_targets_stay(path: Path, other: FileVersion) -> None:
    target = path if other.file_id != FILE_ID else path.with_name("other.ifc")
    receive(target, b"01", other)
    before = names(path)
    receive(path, b"01234")
    assert set(before) < set(names(path))


def test_a_part_without_a_known_version_is_not_kept(path: Path) -> None:
    receive(path, b"01234", FileVersion(FILE_ID, None, 10))
    assert names(path) == []


def test_a_part_from_before_a_restart_of_the_machine_is_not_resumed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(path, b"01234")
    monkeypatch.setattr(local_target, "_boot_id", lambda: "another boot")
    with LocalTarget(path).open_part(VERSION) as part:
        assert part.received == 0


def test_a_part_whose_notes_are_unreadable_is_not_resumed(path: Path) -> None:
    receive(path, b"01234")
    for notes in path.parent.glob("*.json"):
        notes.write_text("{")
    with LocalTarget(path).open_part(VERSION) as part:
        assert part.received == 0


def test_a_part_that_is_too_long_is_not_resumed(path: Path) -> None:
    receive(path, b"0123456789x")
    with LocalTarget(path).open_part(VERSION) as part:
        assert part.received == 0


def test_a_discarded_part_is_not_resumed(path: Path) -> None:
    with LocalTarget(path).open_part(VERSION) as part:
        part.begin('"v1"')
        part.write(b"01234")
        part.discard()
    assert names(path) == []


def test_two_processes_do_not_write_the_same_part(path: Path) -> None:
    with LocalTarget(path).open_part(VERSION) as first:
        first.begin('"v1"')
        first.write(b"01234")
        with LocalTarget(path).open_part(VERSION) as second:
            assert second.received == 0
            second.begin('"v1"')
            second.write(b"0123456789")
            second.commit()
        assert path.read_bytes() == b"0123456789"
        first.write(b"56789")
        first.commit()
    assert path.read_bytes() == b"0123456789"
    assert names(path) == [path.name]


def test_a_part_that_was_renamed_meanwhile_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = local_target._lock
    rivals = [True]

    def lock_late(file: Any) -> bool:
        if rivals:
            rivals.clear()
            Path(f"/proc/self/fd/{file.fileno()}").resolve().replace(path)
        return lock(file)

    monkeypatch.setattr(local_target, "_lock", lock_late)
    with LocalTarget(path).open_part(VERSION) as part:
        part.begin(None)
        part.write(b"01")
        assert path.read_bytes() == b""


def test_a_full_disk_is_named_and_its_part_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.FileIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(io, "FileIO", Full)
    with pytest.raises(ITwinFileError, match=r"Cannot write .*tower\.ifc: No space left on device\. Free space"):
        receive(path, b"01234")
    assert names(path) == []


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/null")])
def test_a_device_is_not_replaced(path: Path, make: Any) -> None:
    make(path)
    with pytest.raises(ITwinInputError, match="neither a file nor a folder"):
        LocalTarget(path).existing_size()


def test_a_file_has_the_permissions_that_the_umask_allows(path: Path) -> None:
    with LocalTarget(path).open_part(VERSION) as part:
        part.begin(None)
        part.write(b"0123456789")
        part.commit()
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".ifc")
    with LocalTarget(path).open_part(VERSION) as part:
        part.begin(None)
        part.write(b"0123456789")
        part.commit()
    assert names(path) == [path.name]


_PROCESS = """
import os, sys
from pathlib import Path
from airflow_provider_itwin.api.storage.local_target import LocalTarget
from airflow_provider_itwin.api.storage.targets import FileVersion
with LocalTarget(Path(sys.argv[1])).open_part(FileVersion(sys.argv[2], sys.argv[3], int(sys.argv[4]))) as part:
    part.begin('"v1"')
    sys.stdout.write("begun\\n"); sys.stdout.flush()
    for chunk in iter(lambda: sys.stdin.buffer.read(65536), b""):
        part.write(chunk)
        sys.stdout.write(f"{part.received}\\n"); sys.stdout.flush()
"""


def test_what_a_killed_process_has_received_is_resumed(
    path: Path, blob: BlobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(blob, use_fake_time(monkeypatch))
    modified, size = world.file.last_modified_date_time, world.file.size
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(path), FILE_ID, str(modified), str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        assert process.stdout.readline() == b"begun\n"
        process.stdin.write(CONTENT[: 10 * 65536])
        process.stdin.flush()
        while process.stdout.readline() != b"655360\n":
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        limit.cancel()
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait(30)
    assert not path.exists()
    world.download(path)
    assert path.read_bytes() == CONTENT
    assert blob.ranges == ["bytes=655360-"]
    assert blob.requests[0]["if-match"] == '"v1"'
    assert names(path) == [path.name]


def test_a_process_killed_before_the_rename_needs_no_content_again(
    path: Path, blob: BlobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(blob, use_fake_time(monkeypatch))
    receive(path, CONTENT, FileVersion(FILE_ID, world.file.last_modified_date_time, len(CONTENT)))
    world.download(path)
    assert path.read_bytes() == CONTENT
    assert blob.requests == []


def test_a_resumed_part_of_another_content_starts_over(
    path: Path, blob: BlobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(blob, use_fake_time(monkeypatch))
    receive(path, b"x" * 999, FileVersion(FILE_ID, world.file.last_modified_date_time, len(CONTENT)), '"v0"')
    world.download(path)
    assert path.read_bytes() == CONTENT
    assert blob.ranges == ["bytes=999-", None]


def test_the_part_of_a_cut_download_is_below_no_final_name(
    path: Path, blob: BlobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(blob, use_fake_time(monkeypatch))
    seen: list[list[str]] = []
    blob.behaviors = [Behavior(cut=1000), Behavior(before=lambda: seen.append(names(path)))]
    world.download(path)
    assert len(seen) == 1
    assert all(name.startswith(".itwin-") for name in seen[0])


@pytest.mark.parametrize(
    "name",
    [None, "", " ", ".", "..", "a/b", "../etc/passwd", "/etc/passwd", "a\\b", "a\x00b", "a\nb", "a\u202eb", "é" * 300],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str | None) -> None:
    with pytest.raises(ITwinInputError, match="Give path a name of its own"):
        file_name(name, FILE_ID)


@pytest.mark.parametrize("name", ["a.ifc", "Süd [1] (2).ifc", "a%2Fb", "..a", "a#b", "-rf", "塔.ifc"])
def test_any_other_name_is_kept(name: str) -> None:
    assert file_name(name, FILE_ID) == name
