"""A request to a blob, and the rules that uploads and downloads have in common."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp.web_request import BaseRequest

from itwin_emulator.domain.blobs import Content
from itwin_emulator.domain.clock import http_date
from itwin_emulator.http.blob_errors import BlobError
from itwin_emulator.http.faults import Fault


@dataclass(slots=True)
class BlobRequest:
    """A request to a blob, parsed."""

    raw: BaseRequest
    operation: str | None
    itwin_id: str
    blob_id: str
    query: dict[str, str]
    id: str
    body_size: int = 0
    fault: Fault | None = None

    def header(self, name: str) -> str | None:
        """Return a header, or None."""
        return self.raw.headers.get(name)

    def content_length(self) -> int:
        """
        Return the announced size of the body.

        :raises BlobError: there is none
        """
        if self.raw.content_length is None:
            raise BlobError("MissingContentLengthHeader")
        return self.raw.content_length


def check_conditions(request: BlobRequest, content: Content | None) -> None:
    """
    Check the conditional headers of a request.

    :raises BlobError: a condition is not met
    """
    match, none_match = request.header("If-Match"), request.header("If-None-Match")
    etag = None if content is None else content.etag
    if match is not None and (etag is None or match not in ("*", etag)):
        raise BlobError("ConditionNotMet")
    if none_match is not None and etag is not None and none_match in ("*", etag):
        raise BlobError("BlobAlreadyExists" if request.raw.method == "PUT" else "ConditionNotMet")


def validators(content: Content, skew: float) -> dict[str, str]:
    """Return the headers that identify a content."""
    return {"ETag": content.etag, "Last-Modified": http_date(content.modified + skew)}
