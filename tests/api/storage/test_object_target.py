"""An object of an object store is whole or absent, although fsspec uploads a file when it is closed after an error, too."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]

from airflow_provider_itwin.api.errors import (
    ITwinFileError,
    ITwinFileExistsError,
    ITwinInputError,
    ITwinServerError,
    ITwinStoppedError,
)
from airflow_provider_itwin.api.storage.object_target import ObjectTarget
from tests.api.storage.blob_server import Behavior, BlobServer, serving
from tests.api.storage.downloads import CONTENT, World, use_fake_time

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "bucket/night/tower.ifc"


class Store(AbstractFileSystem):  # type: ignore[misc]
    """An object store: an object appears when its file is closed, and a copy is made by the store."""

    cachable = False
    protocol = "store"

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.history: list[str] = []
        self.error: Exception | None = None
        self.largest_buffer = 0

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return _Upload(self, path, mode, block_size=1 << 18) if mode == "wb" else io.BytesIO(self.objects[path])

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self.history.append(f"copy to {path2}")
        if self.error is not None:
            raise self.error
        self.objects[path2] = self.objects[path1]

    def _rm(self, path: str) -> None:
        self.history.append("remove")
        del self.objects[path]


class _Upload(AbstractBufferedFile):  # type: ignore[misc]
    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> None:
        self.fs.largest_buffer = max(self.fs.largest_buffer, self.buffer.tell())
        self.parts.append(self.buffer.getvalue())
        if final:
            self.fs.history.append("upload")
            self.fs.objects[self.path] = b"".join(self.parts)


@pytest.fixture
def blob() -> Iterator[BlobServer]:
    """A blob storage with the content of the file."""
    with serving(CONTENT) as blob:
        yield blob


@pytest.fixture
def world(blob: BlobServer, monkeypatch: pytest.MonkeyPatch) -> World:
    """The file."""
    return World(blob, use_fake_time(monkeypatch))


@pytest.fixture
def store() -> Store:
    """An object store."""
    return Store()


@pytest.fixture
def target(store: Store) -> ObjectTarget:
    """The target in it."""
    return ObjectTarget(store, PATH, f"store://conn@{PATH}")


def test_an_object_is_copied_to_its_name_when_it_is_whole(world: World, store: Store, target: ObjectTarget) -> None:
    done = world.download(target)
    assert store.objects == {PATH: CONTENT}
    assert done.path == f"store://conn@{PATH}"
    assert store.history == ["upload", f"copy to {PATH}", "remove"]


def test_the_memory_is_bounded(world: World, store: Store, target: ObjectTarget) -> None:
    world.download(target)
    assert store.largest_buffer < 1 << 20


def test_a_cut_body_resumes_in_the_same_upload(
    world: World, blob: BlobServer, store: Store, target: ObjectTarget
) -> None:
    blob.behaviors = [Behavior(cut=1_000_000), Behavior(cut=1_000_000)]
    world.download(target)
    assert store.objects == {PATH: CONTENT}
    assert blob.ranges == [None, "bytes=1000000-", "bytes=2000000-"]
    assert store.history.count("upload") == 1


def test_a_failed_download_leaves_no_object(world: World, blob: BlobServer, store: Store, target: ObjectTarget) -> None:
    blob.behaviors = [Behavior(cut=1_000_000), *[Behavior(status=503)] * 50]
    with pytest.raises(ITwinServerError):
        world.download(target)
    assert store.objects == {}


def test_a_stopped_download_leaves_no_object(
    world: World, blob: BlobServer, store: Store, target: ObjectTarget
) -> None:
    store.objects[PATH] = b"old"
    blob.behaviors = [Behavior(cut=1_000_000, before=None), Behavior(before=world.stopped.set)]
    with pytest.raises(ITwinStoppedError):
        world.download(target)
    assert store.objects == {PATH: b"old"}


def test_a_content_that_starts_over_is_uploaded_anew(
    world: World, blob: BlobServer, store: Store, target: ObjectTarget
) -> None:
    blob.behaviors = [Behavior(cut=1_000_000), Behavior(ignores_range=True)]
    world.download(target)
    assert store.objects == {PATH: CONTENT}


def test_an_error_of_the_store_is_named_without_its_secrets(world: World, store: Store, target: ObjectTarget) -> None:
    store.error = RuntimeError("AccessDenied for https://s3.example.com/a?X-Amz-Signature=abcdef")
    with pytest.raises(ITwinFileError, match=r"Cannot write store://\S+: RuntimeError: AccessDenied") as error:
        world.download(target)
    assert "abcdef" not in str(error.value)
    assert store.objects == {}


def test_a_store_that_loses_bytes_is_an_error(world: World, store: Store, target: ObjectTarget) -> None:
    def lose(path1: str, path2: str, **_: Any) -> None:
        store.objects[path2] = store.objects[path1][:-1]

    store.cp_file = lose  # type: ignore[method-assign]
    with pytest.raises(ITwinFileError, match=f"has {len(CONTENT) - 1} bytes instead of {len(CONTENT)}"):
        world.download(target)


def test_an_existing_object_is_compared_without_overwrite(world: World, store: Store, target: ObjectTarget) -> None:
    store.objects[PATH] = CONTENT
    world.download(target, overwrite=False)
    assert store.history == []
    store.objects[PATH] = CONTENT[1:]
    with pytest.raises(ITwinFileExistsError):
        world.download(target, overwrite=False)


def test_a_folder_is_not_replaced(world: World, store: Store, target: ObjectTarget) -> None:
    store.objects[f"{PATH}/other"] = b"x"
    with pytest.raises(ITwinInputError, match="is a folder"):
        world.download(target)


def test_an_empty_file_is_an_empty_object(world: World, blob: BlobServer, store: Store, target: ObjectTarget) -> None:
    blob.content = b""
    world.describe(b"")
    world.download(target)
    assert store.objects == {PATH: b""}


def test_a_store_with_a_rename_of_its_own_renames(world: World, target: ObjectTarget) -> None:
    class Renaming(Store):
        def mv(self, path1: str, path2: str, **_: Any) -> None:
            self.history.append(f"rename to {path2}")
            self.objects[path2] = self.objects.pop(path1)

    store = Renaming()
    world.download(ObjectTarget(store, PATH, PATH))
    assert store.objects == {PATH: CONTENT}
    assert store.history == ["upload", f"rename to {PATH}"]


def test_a_rename_that_does_nothing_is_an_error(world: World) -> None:
    class Idle(Store):
        def mv(self, path1: str, path2: str, **_: Any) -> None:
            pass

    store = Idle()
    store.objects[PATH] = CONTENT  # of the right size
    with pytest.raises(ITwinFileError, match="did not rename"):
        world.download(ObjectTarget(store, PATH, PATH))
    assert list(store.objects) == [PATH]


def test_names_with_wildcards_are_names(world: World, store: Store) -> None:
    path = "bucket/Süd [1]*?.ifc"
    world.download(ObjectTarget(store, path, path))
    assert store.objects == {path: CONTENT}


def test_a_file_system_with_folders_gets_them(world: World) -> None:
    class Folders(Store):
        folders: tuple[str, ...] = ()

        def _open(self, path: str, mode: str = "rb", **settings: Any) -> Any:
            if mode == "wb" and path.rpartition("/")[0] not in self.folders:
                raise FileNotFoundError(path)
            return super()._open(path, mode, **settings)

        def makedirs(self, path: str, exist_ok: bool = False) -> None:
            self.folders += (path,)

    store = Folders()
    world.download(ObjectTarget(store, PATH, PATH))
    assert store.objects == {PATH: CONTENT}


def test_the_file_system_in_memory_works(world: World, blob: BlobServer) -> None:
    store = MemoryFileSystem()
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    blob.behaviors = [Behavior(cut=1_000_000)]
    world.download(ObjectTarget(store, f"/{PATH}", f"memory://{PATH}"))
    assert {name: file.getvalue() for name, file in store.store.items()} == {f"/{PATH}": CONTENT}
    blob.behaviors = [Behavior(cut=1_000_000), *[Behavior(status=503)] * 50]
    with pytest.raises(ITwinServerError):
        world.download(ObjectTarget(store, "/bucket/other", "memory://bucket/other"))
    assert list(store.store) == [f"/{PATH}"]
