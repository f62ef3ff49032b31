"""The operations of the iTwins API."""

from __future__ import annotations

from itwin_emulator.api import itwins, repositories
from itwin_emulator.spec.operation import PAGED, Handler, Operation

_FILTERS = (
    "subClass",
    "status",
    "type",
    "number",
    "displayName",
    "parentId",
    "iTwinAccountId",
    "$search",
    "includeInactive",
)
_ITWIN = "/{iTwinId}"
_REPOSITORIES = f"{_ITWIN}/repositories"
_REPOSITORY = f"{_REPOSITORIES}/{{repositoryId}}"


def _operation(
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...],
    response: tuple[str, ...] = (),
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        identifier,
        method,
        f"/itwins{path}",
        handler,
        api="iTwins",
        status=status,
        response=response,
        body=body,
        query=query,
        errors=errors,
    )


ITWINS_OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "get-my-itwins",
        "GET",
        "",
        itwins.list_itwins,
        (422,),
        ("itwins-summary-page", "itwins-page"),
        query=(*_FILTERS, *PAGED),
    ),
    _operation(
        "create-itwin", "POST", "", itwins.create_itwin, (422,), ("itwin-response",), status=201, body="create-itwin"
    ),
    # In full unless Prefer asks for less, unlike lists.
    _operation("get-itwin", "GET", _ITWIN, itwins.get_itwin, (404,), ("itwin-response",)),
    _operation(
        "update-itwin", "PATCH", _ITWIN, itwins.update_itwin, (403, 404, 422), ("itwin-response",), body="update-itwin"
    ),
    _operation("delete-itwin", "DELETE", _ITWIN, itwins.delete_itwin, (403, 404), status=204),
    _operation(
        "get-repositories-by-itwin-id",
        "GET",
        _REPOSITORIES,
        repositories.list_repositories,
        (404,),
        ("repositories-response",),
        query=("class", "subClass"),
    ),
    _operation(
        "create-repository",
        "POST",
        _REPOSITORIES,
        repositories.create_repository,
        (403, 404, 422),
        ("repository-response",),
        status=201,
        body="create-repository",
    ),
    _operation("get-repository", "GET", _REPOSITORY, repositories.get_repository, (404,), ("repository-response",)),
    _operation(
        "update-itwin-repository",
        "PATCH",
        _REPOSITORY,
        repositories.update_repository,
        (403, 404, 422),
        ("repository-response",),
        body="update-repository",
    ),
    _operation("delete-repository", "DELETE", _REPOSITORY, repositories.delete_repository, (403, 404, 422), status=204),
)
