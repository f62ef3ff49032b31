"""An authenticated API request, and what all operations need: its connection, its body, paging."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from itwin_emulator.api.json_cache import RunJsonCache
from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Client, Connection
from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.domain.store import Store
from itwin_emulator.http.content_negotiation import preferences
from itwin_emulator.http.errors import (
    MALFORMED_BODY,
    connection_not_found,
    insufficient_permissions,
    invalid_value,
    missing_body,
    unprocessable,
)
from itwin_emulator.http.responses import Response, encode, encode_page

PAGE_LIMIT = 1000
"""Maximum of ``$top``. Older documentation has this number, the latest only says that there is a limit."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """
    An authenticated request to an operation of the API.

    :param traits: the kind of connection that the operation is for; None: any kind
    :param query: the query parameters, with names in lower case: the documentation is not consistent in their case
    :param prefer: the ``Prefer`` headers, joined by commas
    :param origin: scheme, host and port of links in the response
    :param version: the version of the API that the client asks for
    :param headers: the headers of the request; their names can be in any case
    """

    store: Store
    json_cache: RunJsonCache
    client: Client
    traits: KindTraits | None
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    prefer: str
    body: bytes
    origin: str
    version: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> KindTraits:
        """The kind of connection that the operation is for."""
        if self.traits is None:
            raise RuntimeError(f"the operation of {self.path} is for no kind of connection")
        return self.traits

    @property
    def serializer(self) -> Serializer:
        """A serializer for the response, as of now."""
        return Serializer(self.store.clock.now(), self.store.clock.skew, self.origin, self.store.quirks)

    @property
    def representation(self) -> bool:
        """Whether ``Prefer`` asks for full entities; by default lists contain summaries."""
        return self.preference("return") == "representation"

    def preference(self, name: str) -> str | None:
        """Return a preference of ``Prefer`` in lower case, or None."""
        found = preferences(self.prefer).get(name)
        return None if found is None else found.lower()

    def check_ids(self, code: str) -> None:
        """Raise a 422 if an id in the path is malformed."""
        invalid = [name for name, value in self.params.items() if not ids.is_valid(value)]
        if invalid:
            raise unprocessable(code, *(invalid_value(name) for name in invalid))

    def connection(self, code: str) -> Connection:
        """
        Return the connection in the path.

        :param code: error code of a 422
        :raises ApiError: the id is malformed, or the connection does not exist or is not visible to the client
        """
        self.check_ids(code)
        connection = self.store.connections.get(self.params["connectionId"])
        if connection is None or connection.kind != self.kind.kind:
            raise connection_not_found(self.kind)
        if self.store.role(self.client, connection.imodel_id) is None:
            # Only the Export API documents a 403 for clients without any role.
            raise insufficient_permissions() if self.kind.kind == "export" else connection_not_found(self.kind)
        return connection

    def writable_connection(self, code: str) -> Connection:
        """
        Return the connection in the path if the client may change it.

        :raises ApiError: see :meth:`connection`; also if the client is only a reader
        """
        connection = self.connection(code)
        if self.store.role(self.client, connection.imodel_id) == "reader":
            raise insufficient_permissions()
        return connection

    def json(self, code: str) -> dict[str, Any]:
        """
        Return the decoded body.

        :raises ApiError: the body is missing or not a JSON object
        """
        if not self.body.strip():
            raise missing_body()
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise unprocessable(code, MALFORMED_BODY)
        return data

    def repeated(self, names: Iterable[str]) -> str:
        """Return the given ones of some query parameters for links, ending with ``&`` if there are any."""
        given = [(one, self.query[one.lower()]) for one in names if one.lower() in self.query]
        return "".join(f"{name}={quote(value, safe='')}&" for name, value in given)

    def page(
        self,
        name: str,
        entities: Sequence[Any],
        serialize: Callable[[Any], dict[str, Any] | bytes],
        code: str,
        *,
        default: int = 100,
        extra_query: str = "",
        null_links: bool = False,
        extra_links: Mapping[str, Any] | None = None,
    ) -> Response:
        """
        Return the page of a list that ``$top`` and ``$skip`` ask for, with its links.

        :param name: name of the list in the body
        :param code: error code of a 422
        :param default: page size without ``$top``
        :param extra_query: other parameters for the links, ending with ``&``
        :param null_links: whether links to pages that do not exist are null rather than absent
        :param extra_links: links in addition to those of the pages
        """
        top, skip = self._window(code, default)
        encoded = [encode(serialize(entity)) for entity in entities[skip : skip + top]]
        links = self._links(len(entities), top, skip, extra_query)
        if null_links:
            links = {"self": None, "prev": None, "next": None} | links
        links |= dict(extra_links or {})
        return Response(200, encode_page(name, encoded, links))

    def _window(self, code: str, default: int) -> tuple[int, int]:
        details = []
        top, skip = default, 0
        if "$top" in self.query:
            top = _parse_number(self.query["$top"])
            if not 1 <= top <= PAGE_LIMIT:
                details.append(invalid_value("$top", "Page size is out of limits."))
        if "$skip" in self.query:
            skip = _parse_number(self.query["$skip"])
            if skip < 0:
                details.append(invalid_value("$skip"))
        if details:
            raise unprocessable(code, *details)
        return top, skip

    def _links(self, total: int, top: int, skip: int, extra_query: str) -> dict[str, Any]:
        form = self.store.quirks.next_links
        path = self.path
        if form == "wrong-path":
            # The examples of the real API contain links to a path of no operation.
            path = path.replace("connections/", "connection/", 1).replace("/storageconnection/", "/connection/")
        mark = "&" if form == "malformed" else "?"
        serializer = self.serializer

        def link(offset: int) -> dict[str, str]:
            return {"href": serializer.link(f"{path}{mark}{extra_query}$skip={offset}&$top={top}")}

        links: dict[str, Any] = {"self": link(skip)}
        if skip > 0:
            links["prev"] = link(max(0, skip - top))
        elif form == "empty-object":
            links["prev"] = {}
        if form == "loop":
            links["next"] = link(skip)
        elif skip + top < total or form == "endless":
            links["next"] = link(skip + top)
        elif form == "empty-object":
            links["next"] = {}
        return links


def _parse_number(text: str) -> int:
    # int() also accepts "1_000", " 5 " and non-ASCII digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
