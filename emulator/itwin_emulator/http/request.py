"""One request as the operations of the API see it, and what they all do with it: check ids, read preferences, page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.json_cache import encode, encode_page
from itwin_emulator.api.serializers import Show
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Client, Connection
from itwin_emulator.domain.kinds import KindTraits
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.errors import (
    MALFORMED_BODY,
    Answer,
    insufficient_permissions,
    invalid_value,
    missing_body,
    unprocessable,
)

PAGE_LIMIT = 1000
"""The most that ``$top`` may be; the documentation once said so, and now only says that there is a limit."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose token has been examined."""

    platform: Platform
    client: Client
    traits: KindTraits | None
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    """Names in lower case: the API's own pages disagree on the case of them."""
    headers: Mapping[str, str]
    body: bytes
    origin: str

    @property
    def kind(self) -> KindTraits:
        """The kind of connection that the operation is about."""
        assert self.traits is not None  # noqa: S101 -- a mistake in the table of operations
        return self.traits

    @property
    def show(self) -> Show:
        """A printer of entities for the answer."""
        return self.platform.show(self.origin)

    @property
    def representation(self) -> bool:
        """Whether ``Prefer`` asks for whole entities; without it lists are minimal."""
        preferences = self.headers.get("Prefer", "").replace(" ", "").lower()
        return "return=representation" in preferences.split(",")

    def check_ids(self, code: str) -> None:
        """Refuse ids that cannot be ids."""
        wrong = [name for name, value in self.params.items() if not ids.is_sound(value)]
        if wrong:
            raise unprocessable(code, *(invalid_value(name) for name in wrong))

    def connection(self, code: str) -> Connection:
        """Give the connection that the path names; refuse with 422 or 404."""
        self.check_ids(code)
        return self.platform.visible(self.client, self.kind.kind, self.params["connectionId"])

    def changeable(self, code: str) -> Connection:
        """Give the connection that the path names, if the client may change it."""
        connection = self.connection(code)
        if self.platform.role(self.client, connection.imodel_id) == "reader":
            raise insufficient_permissions()
        return connection

    def json(self, code: str) -> dict[str, Any]:
        """Read the body; refuse with 422 if there is none or it is not a JSON object."""
        if not self.body.strip():
            raise missing_body()
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise unprocessable(code, MALFORMED_BODY)
        return data

    def page(
        self,
        name: str,
        entities: Sequence[Any],
        show: Callable[[Any], dict[str, Any] | bytes],
        code: str,
        *,
        default: int = 100,
        extra_query: str = "",
    ) -> Answer:
        """Answer with the page of a list that ``$top`` and ``$skip`` ask for, with its links."""
        top, skip = self._window(code, default)
        shown = [encode(show(entity)) for entity in entities[skip : skip + top]]
        return Answer(200, encode_page(name, shown, self._links(len(entities), top, skip, extra_query)))

    def _window(self, code: str, default: int) -> tuple[int, int]:
        details = []
        top, skip = default, 0
        if "$top" in self.query:
            top = _whole(self.query["$top"])
            if not 1 <= top <= PAGE_LIMIT:
                details.append(invalid_value("$top", "Page size is out of limits."))
        if "$skip" in self.query:
            skip = _whole(self.query["$skip"])
            if skip < 0:
                details.append(invalid_value("$skip"))
        if details:
            raise unprocessable(code, *details)
        return top, skip

    def _links(self, total: int, top: int, skip: int, extra_query: str) -> dict[str, Any]:
        form = self.platform.oddities.next_links
        path = self.path
        if form == "wrong-path":
            # The pages of the real API show links to a path that no operation has.
            path = path.replace("connections/", "connection/", 1).replace("/storageconnection/", "/connection/")
        mark = "&" if form == "malformed" else "?"
        show = self.show

        def link(offset: int) -> dict[str, str]:
            return {"href": show.link(f"{path}{mark}{extra_query}$skip={offset}&$top={top}")}

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


def _whole(text: str) -> int:
    # int() would also take "1_000", " 5 " and digits of other scripts.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
