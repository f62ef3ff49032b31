"""The endpoints of the iModels API: one function for each documented operation, which returns the :class:`Call` to perform."""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import quote

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Response
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET
from airflow_provider_itwin.api.models.decoding import decoded
from airflow_provider_itwin.api.models.imodels import (
    Changeset,
    ChangesetEnvelope,
    ChangesetPage,
    NamedVersion,
    NamedVersionEnvelope,
    NamedVersionPage,
)
from airflow_provider_itwin.api.models.validation import checked_id, known_id

Order: TypeAlias = Literal["newest first", "oldest first"]
"""The order of a list of changesets."""

# The service has several versions of this API on the same paths, and answers with the oldest one without this header.
_ACCEPT = {"accept": "application/vnd.bentley.itwin-platform.v2+json"}
_ALL_PROPERTIES = _ACCEPT | {"prefer": "return=representation"}


def _path(imodel_id: str, *segments: str) -> str:
    parts = (checked_id(imodel_id, "imodel_id"), *segments)
    return "/".join(["/imodels", *(quote(part, safe="") for part in parts)])


def get_changesets(
    imodel_id: str,
    top: int,
    skip: int,
    order: Order = "newest first",
    after_index: int | None = None,
    last_index: int | None = None,
) -> Call[ChangesetPage]:
    """``get-imodel-changesets``, with all properties of each changeset."""
    query = [("$top", str(top)), ("$skip", str(skip))]
    if order == "newest first":
        query.insert(0, ("$orderBy", "index desc"))
    if after_index is not None:
        query.append(("afterIndex", str(after_index)))
    if last_index is not None:
        query.append(("lastIndex", str(last_index)))
    return Call(
        operation="get-imodel-changesets",
        method="GET",
        path=_path(imodel_id, "changesets"),
        read=lambda response: decoded(response.body, ChangesetPage),
        query=tuple(query),
        headers=_ALL_PROPERTIES,
    )


def changeset_pages(
    imodel_id: str,
    order: Order = "newest first",
    after_index: int | None = None,
    last_index: int | None = None,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Pages[Changeset]:
    """Return the pages of the changesets of an iModel."""
    checked_id(imodel_id, "imodel_id")
    return Pages(
        lambda top, skip: get_changesets(imodel_id, top, skip, order, after_index, last_index),
        lambda page: (page.changesets, page.links),
        retry_budget,
    )


def get_changeset(imodel_id: str, id_or_index: str) -> Call[Changeset]:
    """``get-imodel-changeset-details``."""

    def read(response: Response) -> Changeset:
        changeset = decoded(response.body, ChangesetEnvelope).changeset
        if known_id(changeset.id) is None:
            raise ITwinProtocolError("The response is a changeset without a valid id")
        if id_or_index.lower() not in ((changeset.id or "").lower(), str(changeset.index)):
            raise ITwinProtocolError(
                f"The response is about changeset {changeset.id!r:.100}, but {id_or_index!r:.100} was requested"
            )
        return changeset

    path = _path(imodel_id, "changesets", checked_id(id_or_index, "changeset_id"))
    return Call("get-imodel-changeset-details", "GET", path, read, headers=_ACCEPT)


def get_named_versions(imodel_id: str, top: int, skip: int, name: str | None = None) -> Call[NamedVersionPage]:
    """``get-imodel-named-versions``, with all properties; `name` None: those of all names."""
    query = (("$top", str(top)), ("$skip", str(skip)))
    return Call(
        operation="get-imodel-named-versions",
        method="GET",
        path=_path(imodel_id, "namedversions"),
        read=lambda response: decoded(response.body, NamedVersionPage),
        query=query if name is None else (("name", name), *query),
        headers=_ALL_PROPERTIES,
    )


def named_version_pages(
    imodel_id: str, name: str | None = None, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Pages[NamedVersion]:
    """Return the pages of the named versions of an iModel; `name` None: those of all names."""
    checked_id(imodel_id, "imodel_id")
    return Pages(
        lambda top, skip: get_named_versions(imodel_id, top, skip, name),
        lambda page: (page.named_versions, page.links),
        retry_budget,
    )


def create_named_version(
    imodel_id: str, name: str, changeset_id: str, description: str | None = None
) -> Call[NamedVersion]:
    """``create-imodel-named-version``, on a changeset: without one, the service names the state before all changesets."""
    changeset_id = checked_id(changeset_id, "changeset_id")

    def read(response: Response) -> NamedVersion:
        version = decoded(response.body, NamedVersionEnvelope).named_version
        if known_id(version.id) is None:
            raise ITwinProtocolError("The response is a named version without a valid id")
        if (version.changeset_id or "").lower() != changeset_id.lower():
            raise ITwinProtocolError(
                f"The response is a named version on changeset {version.changeset_id!r:.100}, not on {changeset_id}"
            )
        return version

    body = {"name": name, "changesetId": changeset_id} | ({"description": description} if description else {})
    return Call(
        operation="create-imodel-named-version",
        method="POST",
        path=_path(imodel_id, "namedversions"),
        read=read,
        headers=_ACCEPT | {"content-type": "application/json"},
        body=msgspec.json.encode(body),
        accepts=frozenset({200, 201}),
    )
