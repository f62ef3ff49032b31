"""Operations on the named versions of an iModel."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.changesets import find_changeset
from itwin_emulator.api.imodel_request import (
    INVALID,
    Details,
    Keys,
    check_description,
    check_name,
    choice,
    invalid_property,
    invalid_request,
    missing_property,
    opened,
    ordered,
    page,
    writable_imodel,
)
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.imodel_history import NAMED_VERSION_STATES, ImodelHistory, NamedVersion
from itwin_emulator.http.errors import ApiError, named_version_not_found
from itwin_emulator.http.responses import Response

_KEYS: Keys[NamedVersion] = {
    "changesetIndex": lambda one: one.changeset_index,
    "createdDateTime": lambda one: one.created,
}


def create_named_version(request: ApiRequest) -> Response:
    """Create a named version on a changeset; without ``changesetId`` on the baseline."""
    writable_imodel(request)
    history, serializer = opened(request)
    body = request.json(INVALID)
    details: Details = []
    check_name(body, details, required=True)
    check_description(body, details)
    changeset_id = body.get("changesetId")
    if changeset_id is not None and not isinstance(changeset_id, str):
        details.append(invalid_property("changesetId", "The value must be a string."))
    if details:
        raise invalid_request("create Named Version", details)
    changeset = find_changeset(history, changeset_id) if changeset_id else None
    _check_unique(history, body["name"])
    if history.named_version_on(0 if changeset is None else changeset.index) is not None:
        raise ApiError(
            409, "NamedVersionOnChangesetExists", "Named Version already exists for the specified Changeset."
        )
    version = history.add_named_version(
        body["name"], changeset, request.store.clock.now(), request.client.id, body.get("description")
    )
    return Response(201, {"namedVersion": serializer.named_version(version)})


def list_named_versions(request: ApiRequest) -> Response:
    """Return the named versions of an iModel."""
    history, serializer = opened(request)
    details: Details = []
    name, search = request.query.get("name"), request.query.get("$search")
    state = choice(request, "state", NAMED_VERSION_STATES, details)
    found = [
        one
        for one in history.named_versions
        if name in (None, one.name)
        and (search is None or search.lower() in f"{one.name}\n{one.description or ''}".lower())
        and state in (None, one.state)
    ]
    entities = ordered(request, found, _KEYS, details)
    if details:
        raise invalid_request("get Named Versions", details)
    full = request.representation
    return page(
        request,
        "namedVersions",
        entities,
        serializer.named_version if full else serializer.named_version_summary,
        ("name", "$search", "state"),
    )


def get_named_version(request: ApiRequest) -> Response:
    """Return a named version."""
    history, serializer = opened(request)
    return Response(200, {"namedVersion": serializer.named_version(_find(request, history))})


def update_named_version(request: ApiRequest) -> Response:
    """Update name, description or state of a named version."""
    writable_imodel(request)
    history, serializer = opened(request)
    version = _find(request, history)
    body = request.json(INVALID)
    details = _find_problems(body)
    if details:
        raise invalid_request("update Named Version", details)
    name = body.get("name")
    if name is not None and name != version.name:
        _check_unique(history, name)
        version.name = name
    version.description = body.get("description", version.description)
    version.state = body.get("state") or version.state
    return Response(200, {"namedVersion": serializer.named_version(version)})


def _find(request: ApiRequest, history: ImodelHistory) -> NamedVersion:
    version = history.named_version(request.params["namedVersionId"])
    if version is None:
        raise named_version_not_found()
    return version


def _find_problems(body: dict[str, Any]) -> Details:
    details: Details = []
    check_name(body, details, required=False)
    check_description(body, details)
    if body.get("state") not in (None, *NAMED_VERSION_STATES):
        details.append(invalid_property("state", f"It must be one of {', '.join(NAMED_VERSION_STATES)}."))
    if not details and all(body.get(name) is None for name in ("name", "description", "state")):
        details.append(missing_property("name"))
    return details


def _check_unique(history: ImodelHistory, name: str) -> None:
    if history.named_version_called(name) is not None:
        raise ApiError(409, "NamedVersionExists", "Named Version with the same name already exists.")
