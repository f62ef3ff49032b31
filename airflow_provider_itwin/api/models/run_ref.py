"""
References to runs.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn, Self
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.json_types import RunRefDict
from airflow_provider_itwin.api.models.validation import checked_id, no_xcom


@dataclass(frozen=True, slots=True)
class RunRef:
    """
    The reference of a run: ``str(ref)`` is ``kind/connection_id/run_id``, which :meth:`parse` parses.

    :param kind: kind of the connection
    :param connection_id: id of the connection
    :param run_id: id of the run
    """

    kind: ConnectionKind
    connection_id: str
    run_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ConnectionKind(self.kind))
        checked_id(self.connection_id, "connection_id")
        checked_id(self.run_id, "run_id")

    def __str__(self) -> str:
        return f"{self.kind}/{self.connection_id}/{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse ``str(ref)``.

        :raises ValueError: if `text` is invalid
        """
        parts = text.split("/")
        if len(parts) != 3:
            raise ITwinInputError(f"invalid reference of a run {text!r}; expected kind/connection_id/run_id")
        return cls(ConnectionKind(parts[0]), parts[1], parts[2])

    def is_same(self, other: RunRef | None) -> bool:
        """Return whether `other` is the same run; ids are compared without regard to case, as the service does."""
        return other is not None and str(self).lower() == str(other).lower()

    def spelt_for(self, connection_id: str) -> Self:
        """Return the reference with `connection_id` in this case, if it is the same connection."""
        if self.connection_id.lower() != connection_id.lower():
            return self
        return replace(self, connection_id=connection_id)

    def as_dict(self) -> RunRefDict:
        """Return the three parts as JSON values, as in the XCom ``run_ref``."""
        return {"kind": self.kind.value, "connection_id": self.connection_id, "run_id": self.run_id}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @classmethod
    def from_dict(cls, parts: Mapping[str, object]) -> Self:
        """
        Parse the result of :meth:`as_dict`.

        :raises KeyError: if a part is missing
        :raises ValueError: if a part is invalid
        """
        connection_id, run_id = (checked_id(parts[name], name) for name in ("connection_id", "run_id"))
        return cls(ConnectionKind(str(parts["kind"])), connection_id, run_id)

    @classmethod
    def from_link(cls, href: str | None, kind: ConnectionKind, connection_id: str | None = None) -> Self | None:
        """
        Parse a link to a run: a ``location`` header, or ``_links.lastRun.href``.

        Only the path is used, in any case, with or without a trailing slash. It is ``…connections/{connection}/runs/{run}`` or
        ``…/runs/{connection}/{run}``.

        :param kind: kind of the requested connection, for a link without a kind
        :param connection_id: id of the requested connection; its case is used if the link has another one
        :return: None if it is not a link to a run
        """
        if not isinstance(href, str):
            return None
        try:
            segments = [unquote(part) for part in urlsplit(href.strip()).path.split("/") if part]
        except ValueError:
            return None
        lowered = [part.lower() for part in segments]
        if "runs" not in lowered:
            return None
        at = len(lowered) - 1 - lowered[::-1].index("runs")
        after = segments[at + 1 :]
        if len(after) == 1 and at >= 1:
            root, owner, run_id = lowered[: at - 1], segments[at - 1], after[0]
        elif len(after) == 2:
            root, owner, run_id = lowered[:at], *after
        else:
            return None
        try:
            ref = cls(_kind_of_path(root, kind), owner, run_id)
        except ValueError:
            return None
        return ref.spelt_for(connection_id) if connection_id else ref


def _kind_of_path(segments: list[str], otherwise: ConnectionKind) -> ConnectionKind:
    if "storageconnections" in segments:
        return ConnectionKind.STORAGE
    if "manifestconnections" in segments:
        return ConnectionKind.MANIFEST
    if "export" in segments[:1]:
        return ConnectionKind.EXPORT
    return otherwise
