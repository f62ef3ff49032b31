"""
Decompress the body of a response within a size limit, in the same way for both clients.

``requests`` and ``aiohttp`` differ in the encodings that they accept, and in the memory that a small body can use.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

ACCEPT_ENCODING = "gzip, deflate"
"""The ``Accept-Encoding`` of every request."""

_STEP = 1 << 20
"""Bytes that are decompressed in one step; that takes one or two milliseconds."""


class BodyError(Exception):
    """The body is invalid or too large; the error text quotes nothing from it."""


class BodyReader:
    """
    Decompresses a body from its parts.

    :param headers: headers of the response; looked up by lower-case names
    :param largest: bytes of the body before and after decompression, at most
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
        Decompress a part.

        :raises BodyError: if the body is too large, or not encoded as its headers say
        """
        for _ in self.steps(part):
            pass

    def steps(self, part: bytes) -> Iterator[None]:
        """Decompress a part as :meth:`feed` does, in steps, so that an event loop can do other work in between."""
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
                part, self._decoder = self._decoder.unused_data, None  # the next member of a gzip file
            else:
                return  # the rest is padding
            if part:
                yield

    def finish(self) -> bytes:
        """
        Return the whole body.

        :raises BodyError: if the compressed body is truncated
        """
        if self._decoder is not None and not self._decoder.eof:
            raise BodyError(f"its {self._encoding} body is truncated")
        return bytes(self._body)

    def _decoder_for(self, part: bytes) -> Any:
        if self._decoder is None:
            if self._encoding in ("gzip", "x-gzip"):
                self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif self._encoding == "deflate":
                # Some servers omit zlib's two-byte header; the low half of its first byte is 8.
                self._decoder = zlib.decompressobj(zlib.MAX_WBITS if part[0] & 0x0F == 8 else -zlib.MAX_WBITS)
            else:
                raise BodyError(f"its body has the content encoding {self._encoding[:40]!r}, which was not requested")
        return self._decoder

    def _too_large(self) -> BodyError:
        return BodyError(f"its body is larger than {self._largest >> 20} MiB")
