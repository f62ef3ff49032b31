"""Operations on changesets, changeset groups and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from itwin_emulator.api.imodel_request import (
    Details,
    Keys,
    invalid_request,
    number,
    opened,
    ordered,
    page,
)
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.imodel_history import Changeset, ImodelHistory
from itwin_emulator.http.errors import ApiError, named_version_not_found
from itwin_emulator.http.responses import Response

_KEYS: Keys[Changeset] = {"index": lambda one: one.index}


def list_changesets(request: ApiRequest) -> Response:
    """Return the changesets of an iModel, oldest first."""
    history, serializer = opened(request)
    details: Details = []
    after = number(request, "afterIndex", details) or 0
    last = number(request, "lastIndex", details)
    found: Sequence[Changeset] = history.changesets[after:last]
    found = ordered(request, found, _KEYS, details)
    if details:
        raise invalid_request("get Changesets", details)
    full = request.representation
    return page(
        request,
        "changesets",
        found,
        lambda one: serializer.changeset(one, history) if full else serializer.changeset_summary(one),
        ("afterIndex", "lastIndex"),
    )


def get_changeset(request: ApiRequest) -> Response:
    """Return a changeset by id or index."""
    history, serializer = opened(request)
    changeset = find_changeset(history, request.params["changesetIdOrIndex"])
    return Response(200, {"changeset": serializer.changeset(changeset, history)})


def get_changeset_checkpoint(request: ApiRequest) -> Response:
    """Return the checkpoint of a changeset; 0: of the baseline."""
    history, serializer = opened(request)
    given = request.params["changesetIdOrIndex"]
    index = 0 if given == "0" else find_changeset(history, given).index
    return Response(200, {"checkpoint": serializer.checkpoint(index, history)})


def get_latest_checkpoint(request: ApiRequest) -> Response:
    """Return the newest checkpoint of an iModel."""
    history, serializer = opened(request)
    index = history.checkpoint_index(len(history.changesets))
    return Response(200, {"checkpoint": serializer.checkpoint(index, history)})


def get_named_version_checkpoint(request: ApiRequest) -> Response:
    """Return the checkpoint of a named version, which always exists."""
    history, serializer = opened(request)
    version = history.named_version(request.params["namedVersionId"])
    if version is None:
        raise named_version_not_found()
    return Response(200, {"checkpoint": serializer.checkpoint(version.changeset_index, history)})


def list_changeset_groups(request: ApiRequest) -> Response:
    """Return the changeset groups of an iModel, one for each run that has pushed changesets."""
    history, serializer = opened(request)
    return page(request, "changesetGroups", history.groups, serializer.group)


def get_changeset_group(request: ApiRequest) -> Response:
    """Return a changeset group."""
    history, serializer = opened(request)
    for group in history.groups:
        if group.id == request.params["changesetGroupId"]:
            return Response(200, {"changesetGroup": serializer.group(group)})
    raise ApiError(404, "ChangesetGroupNotFound", "Requested Changeset Group is not available.")


def find_changeset(history: ImodelHistory, id_or_index: str) -> Changeset:
    """
    Return a changeset by id or index.

    :raises ApiError: it does not exist
    """
    changeset = history.changeset(id_or_index)
    if changeset is None:
        raise ApiError(404, "ChangesetNotFound", "Requested Changeset is not available.")
    return changeset
