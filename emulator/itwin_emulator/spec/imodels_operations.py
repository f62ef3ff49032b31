"""The operations of the iModels API."""

from __future__ import annotations

from itwin_emulator.api import changesets, imodel_users, imodels, named_versions
from itwin_emulator.spec.operation import PAGED, Handler, Operation

API = "iModels"
VERSIONS = (1, 2)
"""Version 2 is the current one; a request that names no version gets version 1."""
_IMODEL = "/{iModelId}"


def _operation(
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...] = (404,),
    response: tuple[str, ...] = (),
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        identifier,
        method,
        f"/imodels{path}",
        handler,
        api=API,
        versions=VERSIONS,
        status=status,
        response=response,
        body=body,
        query=query,
        errors=errors,
    )


def _list(name: str) -> tuple[str, ...]:
    return (f"{name}-summary-page", f"{name}-page")


_ORDERED = (*PAGED, "$orderBy")
_CHANGES = (403, 404, 409, 422)
_CHANGESET = f"{_IMODEL}/changesets/{{changesetIdOrIndex}}"
_VERSION = f"{_IMODEL}/namedversions/{{namedVersionId}}"

IMODELS_OPERATIONS: tuple[Operation, ...] = (
    # iModels
    _operation(
        "get-itwin-imodels",
        "GET",
        "",
        imodels.list_imodels,
        (404, 422),
        _list("imodels"),
        query=("iTwinId*", "name", "$search", "state", *_ORDERED),
    ),
    _operation(
        "create-imodel",
        "POST",
        "",
        imodels.create_imodel,
        (*_CHANGES, 501),
        ("imodel-response",),
        status=201,
        body="create-imodel",
    ),
    _operation("get-imodel-details", "GET", _IMODEL, imodels.get_imodel, (404,), ("imodel-response",)),
    _operation(
        "update-imodel", "PATCH", _IMODEL, imodels.update_imodel, _CHANGES, ("imodel-response",), body="update-imodel"
    ),
    _operation("delete-imodel", "DELETE", _IMODEL, imodels.delete_imodel, (403, 404), status=204),
    _operation(
        "clone-imodel", "POST", f"{_IMODEL}/clone", imodels.clone_imodel, _CHANGES, status=202, body="clone-imodel"
    ),
    _operation("fork-imodel", "POST", f"{_IMODEL}/fork", imodels.fork_imodel, _CHANGES, status=202, body="fork-imodel"),
    _operation(
        "get-create-imodel-operation-details",
        "GET",
        f"{_IMODEL}/operations/create",
        imodels.get_create_operation,
        (404,),
        ("create-operation-response",),
    ),
    # Changesets
    _operation(
        "get-imodel-changesets",
        "GET",
        f"{_IMODEL}/changesets",
        changesets.list_changesets,
        (404, 422),
        _list("changesets"),
        query=("afterIndex", "lastIndex", *_ORDERED),
    ),
    _operation(
        "get-imodel-changeset-details", "GET", _CHANGESET, changesets.get_changeset, (404,), ("changeset-response",)
    ),
    _operation(
        "get-imodel-changeset-groups",
        "GET",
        f"{_IMODEL}/changesetgroups",
        changesets.list_changeset_groups,
        (404, 422),
        ("changeset-groups-page",),
        query=PAGED,
    ),
    _operation(
        "get-imodel-changeset-group-details",
        "GET",
        f"{_IMODEL}/changesetgroups/{{changesetGroupId}}",
        changesets.get_changeset_group,
        (404,),
        ("changeset-group-response",),
    ),
    # Named versions
    _operation(
        "create-imodel-named-version",
        "POST",
        f"{_IMODEL}/namedversions",
        named_versions.create_named_version,
        _CHANGES,
        ("named-version-response",),
        status=201,
        body="create-named-version",
    ),
    _operation(
        "get-imodel-named-versions",
        "GET",
        f"{_IMODEL}/namedversions",
        named_versions.list_named_versions,
        (404, 422),
        _list("named-versions"),
        query=("name", "$search", "state", *_ORDERED),
    ),
    _operation(
        "get-imodel-named-version-details",
        "GET",
        _VERSION,
        named_versions.get_named_version,
        (404,),
        ("named-version-response",),
    ),
    _operation(
        "update-imodel-named-version",
        "PATCH",
        _VERSION,
        named_versions.update_named_version,
        _CHANGES,
        ("named-version-response",),
        body="update-named-version",
    ),
    # Checkpoints
    _operation(
        "get-changeset-checkpoint",
        "GET",
        f"{_CHANGESET}/checkpoint",
        changesets.get_changeset_checkpoint,
        (404,),
        ("checkpoint-response",),
    ),
    _operation(
        "get-named-version-checkpoint",
        "GET",
        f"{_VERSION}/checkpoint",
        changesets.get_named_version_checkpoint,
        (404,),
        ("checkpoint-response",),
    ),
    _operation(
        "get-latest-checkpoint",
        "GET",
        f"{_IMODEL}/briefcases/checkpoint",
        changesets.get_latest_checkpoint,
        (404,),
        ("checkpoint-response",),
    ),
    # Users
    _operation(
        "get-imodel-users",
        "GET",
        f"{_IMODEL}/users",
        imodel_users.list_users,
        (404, 422),
        _list("imodel-users"),
        query=_ORDERED,
    ),
    _operation(
        "get-imodel-user-details",
        "GET",
        f"{_IMODEL}/users/{{userId}}",
        imodel_users.get_user,
        (404,),
        ("imodel-user-response",),
    ),
    _operation(
        "get-imodel-user-permissions",
        "GET",
        f"{_IMODEL}/permissions",
        imodel_users.get_permissions,
        (404,),
        ("imodel-permissions-response",),
    ),
)
