"""
A target on a local disk: the part has a fixed name, so that a later process can resume it.

Beside a part are its notes: the ETag of the content, and the boot of the machine. After a crash of the machine, a part can have
bytes that were never written, so it is resumed within the same boot only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_itwin.api.errors import ITwinFileError, ITwinInputError
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.storage.targets import Digest, FileVersion, Part

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOST_TRIES = 8


class LocalTarget:
    """
    A file on a local disk.

    :param path: its absolute path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def address(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def shown(self) -> str:
        """The path, for texts."""
        return excerpt(self.address, 300)

    def existing_size(self) -> int | None:
        """
        Return the bytes of the existing file; None if there is none.

        :raises ITwinInputError: for a folder, a device or a pipe
        """
        with _file_errors("look at", self.shown):
            try:
                status = self.path.stat()
            except FileNotFoundError:
                return None
        if stat.S_ISDIR(status.st_mode):
            raise ITwinInputError(f"path {self.shown} is a folder. End it with '/' to keep the name of the file.")
        if not stat.S_ISREG(status.st_mode):
            raise ITwinInputError(f"path {self.shown} is neither a file nor a folder, so it cannot be replaced")
        return status.st_size

    def existing_sha256(self) -> str:
        """Return the SHA-256 of the existing file, in hex digits."""
        with _file_errors("read", self.shown), self.path.open("rb") as file:
            return _sha256_of(file).hexdigest()

    @contextmanager
    def open_part(self, version: FileVersion) -> Iterator[Part]:
        """Open the part for a version of a file; see :class:`~.targets.Target`."""
        with _file_errors("write", self.shown):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stem = f".itwin-{_short(version.file_id, self.path.name)}"
            current = f"{stem}-{_short(version.modified, version.size)}.part"
            _remove_others(self.path.parent, stem, current)
            file, path = _open_locked(self.path.parent / current, keep=version.modified is not None)
            try:
                part = _LocalPart(file, path, self, version.size, keep=path.name == current)
            except BaseException:
                file.close()
                raise
        try:
            yield part
        finally:
            part.close()


class _LocalPart(Part):
    """
    A part on a local disk, locked by this process.

    :param file: the open part
    :param path: path of the part
    :param target: what it becomes
    :param size: bytes that it may have
    :param keep: whether a later process can resume it
    """

    def __init__(self, file: io.FileIO, path: Path, target: LocalTarget, size: int, *, keep: bool) -> None:
        self._file, self._path, self._target, self._keep = file, path, target, keep
        self._notes = path.with_suffix(".json")
        super().__init__()
        if keep:
            self._resume(size)

    def _resume(self, size: int) -> None:
        notes = _read_notes(self._notes)
        if notes is None or not 0 < os.fstat(self._file.fileno()).st_size <= size:
            return
        self._digest = _sha256_of(self._file)
        self.received, self.etag = self._file.tell(), notes.get("etag")

    def commit(self) -> None:
        """Make the part durable, and rename it."""
        with _file_errors("write", self._target.shown):
            os.fsync(self._file.fileno())
            self._path.replace(self._target.path)
            self._keep = True  # there is nothing left to remove
            self._notes.unlink(missing_ok=True)
            _sync_folder(self._target.path.parent)

    def close(self) -> None:
        """Close the part; an empty one, and one that nobody can resume, is removed."""
        with suppress(OSError):
            if not self._keep or (self.received == 0 and _is_at(self._file, self._path)):
                self._path.unlink(missing_ok=True)
                self._notes.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    def _discard(self) -> None:
        with _file_errors("write", self._target.shown):
            self._notes.unlink(missing_ok=True)
            self._file.seek(0)
            self._file.truncate()

    def _begin(self) -> None:
        boot = _boot_id()
        if self._keep and boot is not None:
            with _file_errors("write", self._target.shown):
                self._notes.write_text(json.dumps({"boot": boot, "etag": self.etag}), encoding="utf-8")

    def _append(self, chunk: bytes) -> None:
        try:
            written = 0
            while written < len(chunk):
                # The file is not buffered: what was counted is in the part, also after the process is killed.
                written += self._file.write(chunk[written:] if written else chunk)
        except OSError as error:
            if error.errno in _NO_ROOM:
                # A part that nobody can complete would keep the disk full.
                self._keep = False
            raise _file_error("write", self._target.shown, error) from None


def _open_locked(path: Path, *, keep: bool) -> tuple[io.FileIO, Path]:
    """
    Open a part that no other process writes, and lock it.

    While another process writes it, the part has another name, which nobody resumes.
    """
    for _ in range(_MOST_TRIES):
        if not keep:
            path = path.with_name(f"{path.stem}-{secrets.token_hex(4)}.part")
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666), "r+")
        if not _lock(file):
            file.close()
            log.warning("Another process is writing %s; this download begins beside it", path)
            keep = False
        elif not _is_at(file, path):
            # The other process has renamed it since.
            file.close()
        else:
            return file, path
    raise OSError(errno.EBUSY, "other processes write the same file")


def _lock(file: Any) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some network file systems have no locks.
        log.debug("No lock: %s", error)
    return True


def _is_at(file: Any, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _remove_others(folder: Path, stem: str, current: str) -> None:
    """Remove parts of other versions of the file, unless a process writes them."""
    for path in folder.glob(f"{stem}-*.part"):
        if path.name == current:
            continue
        with suppress(OSError), path.open("rb") as file:
            if _lock(file):
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)


def _read_notes(path: Path) -> dict[str, Any] | None:
    """Return the notes of a part; None if it cannot be resumed."""
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    boot = _boot_id()
    if not isinstance(notes, dict) or boot is None or notes.get("boot") != boot:
        return None
    return notes if isinstance(notes.get("etag"), str | None) else None


@cache
def _boot_id() -> str | None:
    """Return the id of the boot of this machine; None if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _sha256_of(file: Any) -> Digest:
    """Return the SHA-256 of a file, and leave it at its end."""
    digest = hashlib.sha256(usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _short(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode(), usedforsecurity=False).hexdigest()[:16]


@contextmanager
def _file_errors(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _file_error(verb, path, error) from None


def _file_error(verb: str, path: str, error: OSError) -> ITwinFileError:
    reason = excerpt(error.strerror or str(error) or type(error).__name__, 200)
    hint = {
        errno.ENOSPC: "Free space on the disk of the worker, or choose another path.",
        errno.EACCES: "Allow the user of the worker to write in the folder, or choose another path.",
        errno.EROFS: "Choose a path on a disk that can be written.",
    }.get(error.errno or 0)
    return ITwinFileError(f"Cannot {verb} {path}: {reason}", hint=hint)
