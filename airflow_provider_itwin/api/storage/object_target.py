"""
A target in an object store: a temporary object is uploaded, and takes the name of the target when it is whole.

The object store is an fsspec file system. Its files are uploaded when they are closed, also after an error, so nothing is ever
opened under the name of the target.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from airflow_provider_itwin.api.errors import ITwinError, ITwinFileError, ITwinInputError
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.storage.targets import FileVersion, Part

log = logging.getLogger(__name__)

_CHUNK = 1 << 20


class FileSystem(Protocol):
    """The part of an fsspec file system that is used here."""

    def open(self, path: str, mode: str = "rb") -> Any: ...  # noqa: D102
    def info(self, path: str) -> Mapping[str, Any]: ...  # noqa: D102
    def exists(self, path: str) -> bool: ...  # noqa: D102
    def makedirs(self, path: str, exist_ok: bool = False) -> None: ...  # noqa: D102
    def cp_file(self, path1: str, path2: str) -> None: ...  # noqa: D102
    def mv(self, path1: str, path2: str) -> None: ...  # noqa: D102
    def rm_file(self, path: str) -> None: ...  # noqa: D102
    def invalidate_cache(self, path: str | None = None) -> None: ...  # noqa: D102


class ObjectTarget:
    """
    An object of an object store.

    :param system: the file system
    :param path: the path in the file system
    :param url: the URL
    """

    def __init__(self, system: FileSystem, path: str, url: str) -> None:
        self.system = system
        self.path = path
        self.address = url

    @property
    def shown(self) -> str:
        """The path, for texts."""
        return excerpt(self.address, 300)

    @property
    def parent(self) -> str:
        """The path of the folder."""
        return self.path.rpartition("/")[0]

    def existing_size(self) -> int | None:
        """Return the bytes of the existing object; None if there is none."""
        with _store_errors("look at", self.shown):
            self.system.invalidate_cache(self.parent)
            try:
                info = self.system.info(self.path)
            except FileNotFoundError:
                return None
        if info.get("type") == "directory":
            raise ITwinInputError(f"path {self.shown} is a folder. End it with '/' to keep the name of the file.")
        size = info.get("size")
        if not isinstance(size, int):
            raise ITwinFileError(f"The object store does not report the size of {self.shown}")
        return size

    def existing_sha256(self) -> str:
        """Return the SHA-256 of the existing object, in hex digits."""
        digest = hashlib.sha256(usedforsecurity=False)
        with _store_errors("read", self.shown), self.system.open(self.path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    @contextmanager
    def open_part(self, version: FileVersion) -> Iterator[Part]:
        """Open the part for a version of a file; no later process can resume it."""
        part = _ObjectPart(self, version.size)
        try:
            yield part
        finally:
            part.close()


class _ObjectPart(Part):
    """
    A temporary object beside the target; its name is not used again.

    :param target: what it becomes
    :param size: bytes of the whole object
    """

    def __init__(self, target: ObjectTarget, size: int) -> None:
        super().__init__()
        self._target, self._system, self._size = target, target.system, size
        self._path = f"{target.parent}/.itwin-{secrets.token_hex(8)}.part"
        self._file: Any = None
        self._exists = False

    def commit(self) -> None:
        """Upload the rest of the temporary object, and rename it."""
        with _store_errors("write", self._target.shown):
            file, self._file = self._file or self._open(), None
            file.close()
            if _can_rename(self._system):
                self._system.mv(self._path, self._target.path)
                self._system.invalidate_cache(self._target.parent)
                self._exists = self._system.exists(self._path)
            else:
                self._system.cp_file(self._path, self._target.path)
        found = self._target.existing_size()
        if found != self._size or (self._exists and _can_rename(self._system)):
            raise ITwinFileError(
                f"The object store did not rename the temporary object to {self._target.shown}, which has {found} bytes "
                f"instead of {self._size}"
            )

    def close(self) -> None:
        """Remove the temporary object, if there is one."""
        file, self._file = self._file, None
        if file is not None:
            _discard(file)
        if self._exists:
            self._remove()
            self._exists = False

    def _discard(self) -> None:
        self.close()

    def _begin(self) -> None:
        with _store_errors("write", self._target.shown):
            self._file = self._open()

    def _append(self, chunk: bytes) -> None:
        with _store_errors("write", self._target.shown):
            self._file.write(chunk)

    def _open(self) -> Any:
        self._exists = True
        try:
            return self._system.open(self._path, "wb")
        except FileNotFoundError:
            # A file system with real folders. In an object store, this would create a missing bucket.
            self._system.makedirs(self._target.parent, exist_ok=True)
            return self._system.open(self._path, "wb")

    def _remove(self) -> None:
        try:
            self._system.invalidate_cache(self._target.parent)
            if self._system.exists(self._path):
                self._system.rm_file(self._path)
        except Exception as error:  # noqa: BLE001 (object stores raise various errors)
            log.warning(
                "Could not remove the temporary object %s beside %s: %s",
                self._path.rpartition("/")[2],
                self._target.shown,
                excerpt(f"{type(error).__name__}: {error}", 200),
            )


def _discard(file: Any) -> None:
    """End an upload without its object, if the store can do that; else the object is removed afterwards."""
    with suppress(Exception):
        discard = getattr(file, "discard", None)
        if discard is not None:
            discard()
    with suppress(Exception):
        file.close()


def _can_rename(system: FileSystem) -> bool:
    """Return whether the file system has a rename of its own, which is atomic. Object stores copy, and that is."""
    for cls in type(system).__mro__:
        if "mv" in vars(cls):
            return cls.__module__ not in ("fsspec.spec", "fsspec.asyn")
    return False


@contextmanager
def _store_errors(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except (ITwinError, ITwinInputError):
        raise
    except Exception as error:  # noqa: BLE001 (object stores raise various errors)
        reason = excerpt(f"{type(error).__name__}: {error}", 300)
        raise ITwinFileError(
            f"Cannot {verb} {path}: {reason}",
            hint="Check the path, and the Airflow connection before the @ in it.",
        ) from None
