"""
Ranges of a file's content: what to ask the blob storage for, and what its response means.

Pure functions: :mod:`.download` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from airflow_provider_itwin.api.storage.blob_transport import BlobResponse

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_LINK_REFUSED = frozenset({400, 401, 403, 404, 410})
_CHANGED = frozenset({412, 416})


class Answer(Enum):
    """What a response to a request for content means."""

    CONTENT = auto()
    """The content from the requested byte on."""

    OTHER_CONTENT = auto()
    """The received bytes and the rest do not belong together: the download must start over."""

    LINK_REFUSED = auto()
    """The pre-signed URL has expired, or is not accepted: a new one is needed."""

    ERROR = auto()
    """A temporary error: the same request can be repeated."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """
    The judgment of a response.

    :param answer: what the response means
    :param reason: why, for a log; empty for content
    """

    answer: Answer
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """
    The header ``Content-Range`` of a partial response.

    :param first: index of the first byte
    :param last: index of the last byte
    :param total: bytes of the whole content; None if the server does not know
    """

    first: int
    last: int
    total: int | None

    @classmethod
    def parse(cls, text: str | None) -> ContentRange | None:
        """Parse the header; return None if it is missing or invalid."""
        found = _CONTENT_RANGE.fullmatch((text or "").strip())
        if found is None:
            return None
        first, last = int(found[1]), int(found[2])
        total = None if found[3] == "*" else int(found[3])
        return cls(first, last, total) if first <= last and (total is None or last < total) else None


def range_headers(received: int, etag: str | None) -> dict[str, str]:
    """
    Return the headers that ask for the content after the first `received` bytes.

    :param etag: the ETag of these bytes; a changed content is then refused with 412. A weak one cannot be used for that
    """
    if received == 0:
        return {}
    headers = {"range": f"bytes={received}-"}
    return headers if etag is None or etag.startswith("W/") else headers | {"if-match": etag}


def etag_of(headers: Mapping[str, str]) -> str | None:
    """Return the ETag of a response; None if it is missing, or cannot be sent back."""
    etag = headers.get("etag", "").strip()
    return etag if etag and len(etag) <= 200 and etag.isascii() and etag.isprintable() else None


def judge(response: BlobResponse, received: int, size: int, etag: str | None) -> Judgment:
    """
    Judge the response to a request for the content after the first `received` bytes.

    :param received: number of bytes that are there already
    :param size: bytes of the whole content
    :param etag: the ETag of the received bytes; None if it is unknown
    """
    status = response.status
    if status in _LINK_REFUSED:
        return Judgment(Answer.LINK_REFUSED)
    if status in _CHANGED:
        return Judgment(Answer.OTHER_CONTENT, f"the blob storage refused to continue after {received} bytes ({status})")
    if status not in (200, 206):
        return Judgment(Answer.ERROR)
    current = etag_of(response.headers)
    if received and etag is not None and current is not None and current != etag:
        return Judgment(Answer.OTHER_CONTENT, "the content has changed: it has another ETag")
    if status == 200:
        return _judge_whole(response, received, size)
    part = ContentRange.parse(response.headers.get("content-range"))
    if part is None or part.first != received:
        shown = response.headers.get("content-range", "no Content-Range")
        return Judgment(
            Answer.OTHER_CONTENT, f"the blob storage returned another range than from byte {received}: {shown[:80]}"
        )
    if part.total not in (None, size):
        return Judgment(Answer.OTHER_CONTENT, f"the content has {part.total} bytes instead of {size}")
    return Judgment(Answer.CONTENT)


def _judge_whole(response: BlobResponse, received: int, size: int) -> Judgment:
    if received:
        return Judgment(Answer.OTHER_CONTENT, "the blob storage ignored the range and returned the whole content")
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length) != size:
        return Judgment(Answer.OTHER_CONTENT, f"the content has {int(length)} bytes instead of {size}")
    return Judgment(Answer.CONTENT)
