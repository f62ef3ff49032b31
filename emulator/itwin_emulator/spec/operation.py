"""An operation of the API, as a row of the table of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.http.responses import Response

Handler = Callable[[ApiRequest], Response]

SYNCHRONIZATION = "Synchronization"
EXPORT_API = "Export"
IDENTITY = "Identity"
PAGED = ("$top", "$skip")
IMODEL_PAGED = ("imodelId", *PAGED)
"""Query parameters of the lists; a trailing asterisk marks a required one."""


_TOO_MANY_REQUESTS = frozenset(
    {"get-export-connection-run", "run-storage-connection", "get-storage-connection-sourcefiles"}
)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API, with the id of its documentation."""

    id: str
    method: str
    template: str
    handler: Handler | None
    """None for operations of the identity service, which need no token."""
    traits: KindTraits | None = None
    api: str = SYNCHRONIZATION
    versions: tuple[int, ...] = (1,)
    """Versions of the API that it belongs to; the first is the default."""
    status: int = 200
    """Status of success."""
    response: tuple[str, ...] = ()
    """Names of the schemas of the response body. With two of them, ``Prefer`` chooses the second."""
    body: str | None = None
    """Name of the schema of the request body; a form for operations of the identity service."""
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    """Request headers in addition to those of every operation."""
    errors: tuple[int, ...] = ()
    """Error statuses in addition to those of every operation (401, 406, 429)."""
    media_type: str = "application/json"
    """Media type of the response body."""
    missing: tuple[str, str] | None = None
    """Code and message of a scripted 404; None: that of the kind of connection, if any."""
    body_required: bool = True
    """Whether there must be a request body."""
    location: bool = True
    """Whether a 202 without a body has a ``Location``."""

    @property
    def rate_limit_code(self) -> Literal["RateLimitExceeded", "TooManyRequests"]:
        """Error code of a 429 on the page of the operation."""
        return "TooManyRequests" if self.id in _TOO_MANY_REQUESTS else "RateLimitExceeded"

    @property
    def starts_run(self) -> bool:
        """Whether the operation starts a run."""
        return self.status == 202 and self.traits is not None
