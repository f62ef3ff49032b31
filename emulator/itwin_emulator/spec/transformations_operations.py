"""The operations of the Transformations API."""

from __future__ import annotations

from itwin_emulator.api import transformations
from itwin_emulator.spec.operation import PAGED, Handler, Operation

_ONE = "/{transformationId}"
_RESPONSE = ("transformation-response",)


def _operation(
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...],
    response: tuple[str, ...] = _RESPONSE,
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        identifier,
        method,
        f"/transformations{path}",
        handler,
        api="Transformations",
        versions=(2,),
        status=status,
        response=response,
        body=body,
        query=query,
        headers=headers,
        errors=errors,
        missing=transformations.API.missing,
    )


TRANSFORMATIONS_OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "create-transformation",
        "POST",
        "",
        transformations.create_transformation,
        (403, 404, 409, 422),
        status=201,
        body="create-transformation",
        headers=(transformations.QUEUEING,),
    ),
    _operation(
        "get-all-transformations",
        "GET",
        "",
        transformations.list_transformations,
        (422,),
        ("transformations-summary-page", "transformations-page"),
        query=("configurationId", "targetIModelId", "Status", "OrderBy", *PAGED),
    ),
    _operation("get-transformation", "GET", _ONE, transformations.get_transformation, (404, 422)),
    _operation("delete-transformation", "DELETE", _ONE, transformations.delete_transformation, (403, 404, 422)),
    _operation(
        "get-transformation-report",
        "GET",
        f"{_ONE}/report",
        transformations.get_report,
        (404, 422),
        ("transformation-report-response",),
    ),
    _operation(
        "get-transformation-configuration",
        "GET",
        "/configurations/{configurationId}",
        transformations.get_configuration,
        (403, 404, 422),
        ("transformation-configuration-response",),
    ),
)
