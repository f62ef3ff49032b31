"""
Takes in the body of an answer, decompressed and bounded: the same for both clients.

Neither client's library does this, because they differ in what they accept, and in how much memory a small body can cost.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

ACCEPT_ENCODING = "gzip, deflate"
"""What requests say that they accept."""

_STEP = 1 << 20
"""Bytes that are decompressed at once, at most; that takes one or two milliseconds."""


class BodyError(Exception):
    """The body cannot be used; the text says why, and quotes nothing from it."""


class BodyReader:
    """
    Collects a body from its parts.

    :param headers: of the answer; asked for by names in lower case
    :param largest: bytes of the body before and after decompression, at most
    :raises BodyError: if it is encoded in a way that was not asked for
    """

    __slots__ = ("_body", "_decoder", "_encoding", "_largest", "_received")

    def __init__(self, headers: Mapping[str, str], largest: int) -> None:
        self._body = bytearray()
        self._received = 0
        self._largest = largest
        self._decoder: Any = None
        self._encoding = (headers.get("content-encoding") or "").strip().lower()

    def feed(self, part: bytes) -> None:
        """
        Take in a part.

        :raises BodyError: if the body is too large, or not encoded as it claims
        """
        for _ in self.steps(part):
            pass

    def steps(self, part: bytes) -> Iterator[None]:
        """Take in a part as :meth:`feed` does, in steps, so that an event loop can do other work in between."""
        self._received += len(part)
        if self._received > self._largest:
            raise self._too_large()
        if self._encoding in ("", "identity"):
            self._body += part
            return
        while part:
            try:
                self._body += self._decoder_for(part).decompress(part, _STEP)
            except zlib.error:
                raise BodyError(f"its body is not {self._encoding}, as its headers say") from None
            if len(self._body) > self._largest:
                raise self._too_large()
            if not self._decoder.eof:
                part = self._decoder.unconsumed_tail
            elif self._encoding.endswith("gzip") and self._decoder.unused_data.startswith(b"\x1f\x8b"):
                part, self._decoder = self._decoder.unused_data, None  # another member of the same file
            else:
                return  # what follows is padding
            if part:
                yield

    def finish(self) -> bytes:
        """
        Return the whole body.

        :raises BodyError: if its compressed form ends too early
        """
        if self._decoder is not None and not self._decoder.eof:
            raise BodyError(f"its body ends before the end of its {self._encoding}")
        return bytes(self._body)

    def _decoder_for(self, part: bytes) -> Any:
        if self._decoder is None:
            if self._encoding in ("gzip", "x-gzip"):
                self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif self._encoding == "deflate":
                # Some servers send it without the two bytes of zlib's header, of which the low half of the first is 8.
                self._decoder = zlib.decompressobj(zlib.MAX_WBITS if part[0] & 0x0F == 8 else -zlib.MAX_WBITS)
            else:
                raise BodyError(f"its body is encoded as {self._encoding[:40]!r}, which was not asked for")
        return self._decoder

    def _too_large(self) -> BodyError:
        return BodyError(f"its body is larger than {self._largest >> 20} MiB")
