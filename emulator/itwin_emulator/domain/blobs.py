"""The bytes of stored files: blobs on disk, written in one piece or as a list of blocks. Nothing large is kept in memory."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from itwin_emulator.domain import ids

COPY_SIZE = 1024 * 1024
"""Bytes that are copied at once."""
MAX_BLOCKS = 50_000
"""Blocks that a blob can have."""


class UnknownBlockError(Exception):
    """A block list names a block that the blob does not have."""


@dataclass(frozen=True, slots=True)
class Content:
    """The committed bytes of a blob. They never change: another upload makes another content."""

    name: str
    """Name of the file on disk."""
    size: int
    digest: str
    """MD5 of the bytes, in base64 as in ``Content-MD5``. Equal bytes have equal digests."""
    modified: float
    etag: str = field(default_factory=lambda: f'"0x{ids.guid().replace("-", "")[:15].upper()}"')
    content_type: str = "application/octet-stream"
    md5: str | None = None
    """The ``Content-MD5`` that downloads have; None: none, as after an upload in blocks."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a blob."""

    id: str
    """Its id in base64, as the client sent it."""
    size: int
    name: str = ""
    """Name of the file on disk, until the block is committed."""


@dataclass(slots=True)
class Blob:
    """A blob that a pre-signed URL names."""

    id: str
    itwin_id: str
    content: Content | None = None
    """None: nothing is committed yet."""
    committed: tuple[Block, ...] = ()
    """The blocks of the content in their order; empty if it was written in one piece."""
    staged: dict[str, Block] = field(default_factory=dict)
    """Blocks by id that no list has committed yet."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file on disk that no blob has yet."""

    name: str
    size: int
    digest: str


class BlobWriter:
    """Writes one file and computes its digest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("xb")
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def fill(self, size: int) -> None:
        """Append zero bytes up to a size. They take no space on the disk."""
        self._file.truncate(size)
        zeros = bytes(COPY_SIZE)
        while self.size < size:
            part = min(COPY_SIZE, size - self.size)
            self._digest.update(zeros[:part])
            self.size += part

    def finish(self) -> Written:
        """Close the file and return what was written."""
        self._file.close()
        return Written(self._path.name, self.size, base64.b64encode(self._digest.digest()).decode())

    def discard(self) -> None:
        """Close and remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class BlobFolder:
    """
    The folder that contains the bytes.

    :param path: an own folder that is kept; None: a temporary folder, created at the first write and removed at the end
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The folder; it exists."""
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="itwin-emulator-"))
            weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path

    def keep_in(self, path: Path) -> None:
        """Use another folder, which is not removed at the end. Nothing may have been written before."""
        self._path = path

    def writer(self) -> BlobWriter:
        """Open a new file for writing."""
        return BlobWriter(self.path / ids.opaque_id())

    def open(self, content: Content) -> BinaryIO:
        """Open committed bytes for reading. An open file stays readable after its removal."""
        return (self.path / content.name).open("rb")

    def write(self, data: bytes) -> Written:
        """Write small content at once."""
        writer = self.writer()
        writer.write(data)
        return writer.finish()

    def write_sized(self, size: int, seed: str) -> Written:
        """
        Write a file of a size. Equal sizes and seeds give equal bytes.

        :param seed: text that the file begins with, as far as it fits; zero bytes follow
        """
        writer = self.writer()
        writer.write(f"{seed}\n".encode()[:size])
        writer.fill(size)
        return writer.finish()

    def remove(self, *names: str) -> None:
        """Remove files; missing ones are ignored."""
        for name in names:
            if name:
                (self.path / name).unlink(missing_ok=True)

    def remove_others(self, names: set[str]) -> None:
        """Remove all files except these."""
        if self._path is not None and self._path.is_dir():
            self.remove(*({one.name for one in self._path.iterdir()} - names))

    def join(self, blob: Blob, parts: Sequence[Block]) -> Written:
        """Write the blocks of a list one after the other into a new file."""
        offsets = _offsets(blob.committed)
        writer = self.writer()
        try:
            for part in parts:
                if part.name:
                    self._copy(writer, self.path / part.name, 0, part.size)
                elif blob.content is not None:
                    self._copy(writer, self.path / blob.content.name, offsets[part.id], part.size)
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    @staticmethod
    def _copy(writer: BlobWriter, source: Path, offset: int, size: int) -> None:
        with source.open("rb") as file:
            file.seek(offset)
            while size > 0:
                data = file.read(min(COPY_SIZE, size))
                if not data:
                    raise UnknownBlockError(source.name)
                writer.write(data)
                size -= len(data)


def choose_blocks(blob: Blob, wanted: Sequence[tuple[str, str]]) -> list[Block]:
    """
    Return the blocks that a block list names.

    :param wanted: pairs of ``Committed``, ``Uncommitted`` or ``Latest``, and the id of a block
    :raises UnknownBlockError: the blob does not have one of them
    """
    committed = {block.id: block for block in blob.committed}
    found = []
    for where, block_id in wanted:
        block = None
        if where in ("Uncommitted", "Latest"):
            block = blob.staged.get(block_id)
        if block is None and where in ("Committed", "Latest"):
            block = committed.get(block_id)
        if block is None:
            raise UnknownBlockError(block_id)
        found.append(block)
    return found


def _offsets(blocks: Sequence[Block]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    position = 0
    for block in blocks:
        offsets.setdefault(block.id, position)
        position += block.size
    return offsets
