"""Version 1 of the Changed Elements API: change tracking of an iModel, and comparisons of its changesets without jobs."""

from __future__ import annotations

import re

from itwin_emulator.api.job_request import Details
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import IModel
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.domain.job_results import changed_elements
from itwin_emulator.http.errors import (
    ApiError,
    insufficient_permissions,
    invalid_value,
    missing_parameter,
    missing_property,
)
from itwin_emulator.http.responses import Response

INVALID = "InvalidChangedElementsRequest"
TRACKING_MISSING = ("TrackingNotFound", "Requested Tracking is not available.")
COMPARISON_MISSING = ("ComparisonNotFound", "Requested Comparison is not available.")
_CHANGESET_ID = re.compile("[0-9a-fA-F]{40}")
_ACTION = "enable or disable change tracking"


def set_tracking(request: ApiRequest) -> Response:
    """Enable or disable the change tracking of an iModel."""
    body = request.json(INVALID)
    itwin_id = body.get("iTwinId", body.get("projectId"))
    details: Details = []
    for name, value, kind in (
        ("enable", body.get("enable"), bool),
        ("iTwinId", itwin_id, str),
        ("iModelId", body.get("iModelId"), str),
    ):
        if value is None:
            details.append(missing_property(name, _ACTION))
        elif not isinstance(value, kind):
            details.append(invalid_value(name))
    if details:
        raise ApiError(422, INVALID, "Cannot perform operation.", details)
    imodel = _accessible(request, str(itwin_id), body["iModelId"])
    if request.store.role(request.client, imodel.id) == "reader":
        raise insufficient_permissions()
    imodel.change_tracking = body["enable"]
    return Response(202)


def get_tracking(request: ApiRequest) -> Response:
    """Return whether the changes of an iModel are tracked."""
    imodel = _imodel(request, [])
    if imodel.change_tracking is None:
        raise ApiError(404, *TRACKING_MISSING)
    return Response(200, {"enabled": imodel.change_tracking})


def list_changesets(request: ApiRequest) -> Response:
    """Return the changesets of an iModel, and which of them can be compared."""
    imodel = _imodel(request, [])
    history = request.store.history(imodel.id)
    ready = _ready_until(request, imodel, history)
    return request.page(
        "changesetStatus",
        history.changesets,
        lambda one: {"id": one.id, "index": one.index, "ready": one.index <= ready},
        INVALID,
        extra_query=request.repeated(("iTwinId", "projectId", "iModelId")),
    )


def get_comparison(request: ApiRequest) -> Response:
    """Return the elements that have changed from one changeset to another one."""
    details: Details = []
    names = ("startChangesetId", "endChangesetId")
    given = {name: request.query.get(name.lower()) for name in names}
    for name, value in given.items():
        if value is None:
            details.append(missing_parameter(name))
        elif _CHANGESET_ID.fullmatch(value) is None:
            details.append(invalid_value(name))
    imodel = _imodel(request, details)
    history = request.store.history(imodel.id)
    start, end = (history.changeset(str(given[name]).lower()) for name in names)
    if start is None or end is None or not start.index <= end.index <= _ready_until(request, imodel, history):
        raise ApiError(404, *COMPARISON_MISSING)
    return Response(200, changed_elements(start.index, end.index))


def _imodel(request: ApiRequest, details: Details) -> IModel:
    """Return the iModel of the query, if there are no details about what is invalid, and the client may read it."""
    itwin_id = request.query.get("itwinid", request.query.get("projectid"))
    imodel_id = request.query.get("imodelid")
    wrong = [
        missing_parameter(name) if value is None else invalid_value(name)
        for name, value in (("iTwinId", itwin_id), ("iModelId", imodel_id))
        if value is None or not ids.is_valid(value)
    ]
    if wrong or details:
        raise ApiError(422, INVALID, "Cannot perform operation.", [*wrong, *details])
    return _accessible(request, str(itwin_id), str(imodel_id))


def _accessible(request: ApiRequest, itwin_id: str, imodel_id: str) -> IModel:
    imodel = request.store.imodels.get(imodel_id)
    if imodel is None or imodel.itwin_id != itwin_id or request.store.role(request.client, imodel_id) is None:
        raise insufficient_permissions()
    return imodel


def _ready_until(request: ApiRequest, imodel: IModel, history: ImodelHistory) -> int:
    """Return the index of the last changeset that is processed: a named version or the end of a group makes the service do it."""
    if not imodel.change_tracking:
        return 0
    now = request.store.clock.now()
    ended = {one.id for one in history.groups if one.ended <= now}
    indexes = [one.changeset_index for one in history.named_versions]
    indexes += [one.index for one in history.changesets if one.group_id in ended]
    return max(indexes, default=0)
