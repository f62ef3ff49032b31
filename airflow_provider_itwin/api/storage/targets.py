"""Where the content of a file is written: a part beside the target that is renamed when it is whole."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import shown
from airflow_provider_itwin.api.storage.names import problem_of


@dataclass(frozen=True, slots=True)
class FileVersion:
    """
    A version of a file in iTwin Storage.

    :param file_id: id of the file
    :param modified: when the content was last modified, as the service writes it; None: unknown, so that nothing can be resumed
    :param size: bytes of the content
    """

    file_id: str
    modified: str | None
    size: int


class Digest(Protocol):
    """A digest that is being computed, as :mod:`hashlib` has it."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest so far, in hex digits."""


class Part(ABC):
    """
    The bytes that have been received so far, under a temporary name.

    :param received: number of bytes that are there already, from an earlier process
    :param digest: the SHA-256 of these bytes
    :param etag: the ETag of the content that they belong to; None if it is unknown
    """

    def __init__(self, received: int = 0, digest: Digest | None = None, etag: str | None = None) -> None:
        self.received = received
        self.etag = etag
        self._digest = digest or _sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the received bytes, in hex digits."""
        return self._digest.hexdigest()

    def discard(self) -> None:
        """
        Forget what is there.

        :raises ITwinFileError: if the part cannot be emptied
        """
        self.received, self.etag, self._digest = 0, None, _sha256()
        self._discard()

    def begin(self, etag: str | None) -> None:
        """
        Begin with the first byte of a content.

        :param etag: the ETag of the content; None if it is unknown
        :raises ITwinFileError: if the part cannot be written
        """
        self.discard()
        self.etag = etag
        self._begin()

    def write(self, chunk: bytes) -> None:
        """
        Append bytes.

        :raises ITwinFileError: if they cannot be written
        """
        self._append(chunk)
        self._digest.update(chunk)
        self.received += len(chunk)

    @abstractmethod
    def commit(self) -> None:
        """
        Give the part, which is whole, the name of the target.

        :raises ITwinFileError: if it cannot be renamed
        """

    @abstractmethod
    def _discard(self) -> None: ...

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _append(self, chunk: bytes) -> None: ...


class Target(Protocol):
    """A file that is written as a whole, or not at all."""

    @property
    def address(self) -> str:
        """The path or URL, under which others find the file."""

    @property
    def shown(self) -> str:
        """The same for texts."""

    def existing_size(self) -> int | None:
        """
        Return the bytes of the existing file; None if there is none.

        :raises ITwinFileError: if this is unknown
        :raises ITwinInputError: if the path is not that of a file
        """

    def existing_sha256(self) -> str:
        """
        Return the SHA-256 of the existing file, in hex digits.

        :raises ITwinFileError: if it cannot be read
        """

    def open_part(self, version: FileVersion) -> AbstractContextManager[Part]:
        """
        Open the part for a version of a file.

        At the end of the block, a part that was not committed is closed: it is kept if a later process can resume it, else it is
        removed.

        :raises ITwinFileError: if it cannot be written
        """


def file_name(name: str | None, file_id: str) -> str:
    """
    Return the name of a file in iTwin Storage if it can be the name of a file in a folder.

    :raises ITwinInputError: for a name that leads elsewhere, or cannot be displayed
    """
    problem = problem_of(name or "")
    if problem is not None:
        raise ITwinInputError(
            f"File {file_id} has the name {shown(name)}, which cannot be used in a folder: {problem}. Give path a name of its "
            "own, instead of ending it with '/'."
        )
    return name or ""


def _sha256() -> Digest:
    return hashlib.sha256(usedforsecurity=False)
