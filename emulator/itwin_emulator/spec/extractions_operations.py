"""The operations on extractions of the Grouping and Mapping API."""

from __future__ import annotations

from itwin_emulator.api import extractions
from itwin_emulator.api.extractions import ROOT
from itwin_emulator.spec.operation import Handler, Operation

_EXTRACTIONS = "/extractions"
_ONE = "/extractions/{extractionId}"
_OF_MAPPING = "/{mappingId}/extractions"
_CDM = f"{_OF_MAPPING}/{{extractionId}}/cdm"
_PAGES = ("$top", "$continuationToken")
_READ = (404, 422)


def _operation(
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...],
    response: str,
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
    media_type: str = "application/json",
) -> Operation:
    return Operation(
        identifier,
        method,
        f"{ROOT}{path}",
        handler,
        api="Grouping and Mapping",
        status=status,
        response=(response,),
        body=body,
        query=query,
        errors=errors,
        missing=extractions.API.missing,
        media_type=media_type,
    )


EXTRACTIONS_OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "run-extraction",
        "POST",
        _EXTRACTIONS,
        extractions.run_extraction,
        (403, 404, 422),
        "extraction-response",
        status=201,
        body="run-extraction",
    ),
    _operation(
        "get-imodel-extractions",
        "GET",
        _EXTRACTIONS,
        extractions.list_extractions,
        _READ,
        "extractions-page",
        query=("iModelId*", *_PAGES),
    ),
    _operation("get-extraction-status", "GET", _ONE, extractions.get_extraction, _READ, "extraction-response"),
    _operation(
        "get-extraction-logs",
        "GET",
        f"{_ONE}/logs",
        extractions.get_logs,
        _READ,
        "extraction-logs-page",
        query=_PAGES,
    ),
    _operation(
        "get-mapping-extractions",
        "GET",
        _OF_MAPPING,
        extractions.list_mapping_extractions,
        (422,),
        "mapping-extractions-page",
        query=_PAGES,
    ),
    _operation("get-cdm", "GET", _CDM, extractions.get_cdm, _READ, "cdm"),
    _operation(
        "get-cdm-partition",
        "GET",
        f"{_CDM}/partitions",
        extractions.get_cdm_partition,
        _READ,
        "csv",
        query=("location*",),
        media_type="text/csv",
    ),
)
